"""Hosted zones as Route 53 serves them: its own SOA and NS, the records, and aliases as the addresses that they stand for.

Sources: Route 53 developer guide, "NS and SOA records that Amazon Route 53 creates for a public hosted zone", "Choosing between alias and
non-alias records" (documented); a TTL of 60 s for load balancers (documented), distributions (known, unconfirmed) and accelerators (assumed).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.dns.config import Failover, LocalZone, Location, Placed, Record, Zone
from testbed.compile import aws_service, host_name, load_balancer_keys
from testbed.compile.places import city_of
from testbed.compile.zone_health import zone_health_file
from testbed.model.distribution import Distribution
from testbed.model.hosted_zone import HostedZone, RecordSet
from testbed.model.load_balancer import LoadBalancer
from testbed.resolve.resolved import Resolved

ALIAS_TTL_S = 60
DEFAULT_TTL_S = 300
NAME_SERVERS_TTL_S = 172800
SOA_TIMES = "1 7200 900 1209600 86400"
HOSTMASTER = "awsdns-hostmaster.amazon.com."


def public_zones(resolved: Resolved) -> tuple[Zone, ...]:
    """Every zone that Route 53 serves: the topology's, and AWS's own for the names that the topology's resources have. Sorted by name."""
    own = tuple(_hosted(zone, resolved) for zone in resolved.topology.of(HostedZone) if not zone.is_private)
    return tuple(sorted((*own, *_aws_zones(resolved)), key=lambda zone: zone.name))


def private_zones(vpc_id: str, resolved: Resolved) -> tuple[LocalZone, ...]:
    """The private zones that the resolver of a VPC knows: they capture their names ("Considerations when working with a private hosted zone"; documented)."""
    found = (zone for zone in resolved.topology.of(HostedZone) if vpc_id in zone.vpcs)
    return tuple(LocalZone(name=zone.name, records=tuple(_record(record, resolved) for record in zone.record_sets), captures=True) for zone in found)


def load_balancer_record(name: str, balancer_id: str, resolved: Resolved) -> Record:
    """`name` as the addresses of a load balancer's nodes, those of unhealthy zones left out."""
    found = _zone_addresses(balancer_id, resolved)
    return Record(name=name, type="A", ttl=ALIAS_TTL_S, failover=tuple(Failover(value=address, health_file=zone_health_file(node)) for _, node, address in found), origin=balancer_id)


def _zone_records(name: str, balancer_id: str, resolved: Resolved) -> tuple[Record, ...]:
    """``eu-west-1a.<name>``: the node of each zone by itself, whatever its health ("Application Load Balancers", the name documented; that it stays is assumed)."""
    found = _zone_addresses(balancer_id, resolved)
    return tuple(Record(name=f"{zone}.{name}", type="A", ttl=ALIAS_TTL_S, values=(address,), origin=balancer_id) for zone, _, address in found)


def _zone_addresses(balancer_id: str, resolved: Resolved) -> tuple[tuple[str, str, str], ...]:
    """(zone, node, address) of each node that has one: the public address if the balancer faces the internet, else the private one, in public DNS too."""
    balancer = next(b for b in resolved.topology.of(LoadBalancer) if b.id == balancer_id)
    interfaces = resolved.interfaces_of(balancer_id)
    addresses = ((i.availability_zone, i.node, i.public_address if balancer.is_internet_facing else i.address) for i in interfaces)
    return tuple((zone, node, str(address)) for zone, node, address in addresses if address is not None)


def _hosted(zone: HostedZone, resolved: Resolved) -> Zone:
    return _zone(zone.name, tuple(_record(record, resolved) for record in zone.record_sets), resolved, origin=zone.id)


def _zone(name: str, records: tuple[Record, ...], resolved: Resolved, origin: str) -> Zone:
    servers = tuple(f"{server.host_name}." for server in resolved.route53_servers)
    apex = Record(name=name, type="NS", ttl=NAME_SERVERS_TTL_S, values=servers, origin=origin)
    return Zone(name=name, soa=f"{servers[0]} {HOSTMASTER} {SOA_TIMES}", records=(apex, *records), origin=origin)


def _record(record: RecordSet, resolved: Resolved) -> Record:
    name = absolute(record.name)
    if record.alias_target is None:
        return plain_record(record)
    if record.alias_target in {d.id for d in resolved.topology.of(Distribution)}:
        return _distribution_record(name, record.alias_target, resolved)
    if record.alias_target in {b.id for b in resolved.topology.of(LoadBalancer)}:
        return load_balancer_record(name, record.alias_target, resolved)
    if record.alias_target in {accelerator.id for accelerator in resolved.accelerators}:
        return _accelerator_record(name, record.alias_target, resolved)
    return Record(name=name, type=record.type, alias=absolute(record.alias_target))


def plain_record(record: RecordSet) -> Record:
    """A record set that is no alias."""
    values = tuple(_value(record.type, value) for value in record.resource_records)
    return Record(name=absolute(record.name), type=record.type, ttl=DEFAULT_TTL_S if record.ttl is None else record.ttl, values=values)


def absolute(name: str) -> str:
    """A domain name as the daemon's configuration has it: lower case, without the final dot."""
    return name.lower().removesuffix(".")


def _value(record_type: str, value: str) -> str:
    """Route 53 takes names without the final dot as absolute; master-file form wants it. Texts are quoted."""
    if record_type in ("CNAME", "NS", "PTR", "MX", "SRV") and not value.endswith("."):
        return f"{value}."
    if record_type == "TXT" and not value.startswith('"'):
        return f'"{value}"'
    return value


def _distribution_record(name: str, distribution: str, resolved: Resolved) -> Record:
    places = tuple(Placed(value=str(edge.address), location=location_of(edge.city, resolved)) for edge in resolved.edges)
    return Record(name=name, type="A", ttl=ALIAS_TTL_S, nearest=places, origin=distribution)


def _accelerator_record(name: str, accelerator_id: str, resolved: Resolved) -> Record:
    """Both static addresses, whoever asks and whatever the health of endpoints ("AWS Global Accelerator components"; documented)."""
    accelerator = next(each for each in resolved.accelerators if each.id == accelerator_id)
    return Record(name=name, type="A", ttl=ALIAS_TTL_S, values=tuple(map(str, accelerator.addresses)), origin=accelerator_id)


def location_of(city: str, resolved: Resolved) -> Location:
    """A city's coordinates as the DNS daemon's configuration has them."""
    place = city_of(resolved, city).city
    return Location(latitude=place.latitude, longitude=place.longitude)


def _aws_zones(resolved: Resolved) -> Iterator[Zone]:
    """``cloudfront.net``, ``amazonaws.com``, ``awsglobalaccelerator.com`` if there are any, and the zones of Route 53's own servers."""
    distributions = tuple(_distribution_record(name, distribution, resolved) for distribution, name in resolved.distribution_names)
    yield _zone("cloudfront.net", distributions, resolved, origin="CloudFront")
    names = resolved.load_balancer_names
    balancers = tuple(record for balancer, name in names for record in (load_balancer_record(name, balancer, resolved), *_zone_records(name, balancer, resolved)))
    yield _zone("amazonaws.com", (*balancers, *database_records(resolved), *host_name.public_records(resolved), *aws_service.public_records(resolved), *load_balancer_keys.public_records(resolved)), resolved, origin="AWS")
    if resolved.accelerators:
        accelerators = tuple(_accelerator_record(accelerator.dns_name, accelerator.id, resolved) for accelerator in resolved.accelerators)
        yield _zone("awsglobalaccelerator.com", accelerators, resolved, origin="Global Accelerator")
    for server in resolved.route53_servers:
        address = Record(name=server.host_name, type="A", ttl=NAME_SERVERS_TTL_S, values=(str(server.address),), origin="Route 53")
        yield _zone(server.host_name.partition(".")[2], (address,), resolved, origin="Route 53")


def database_records(resolved: Resolved, vpcs: tuple[str, ...] | None = None) -> tuple[Record, ...]:
    """The endpoints of DB instances (of some VPCs) as their private addresses, which public DNS tells too (RDS user guide, "Hiding a DB instance"; documented)."""
    if not resolved.databases:
        return ()
    interfaces = {interface.id: interface for interface in resolved.interfaces}
    return tuple(
        Record(name=database.endpoint, type="A", ttl=5, values=(str(interfaces[database.interface].address),), origin=database.id)
        for database in resolved.databases
        if vpcs is None or interfaces[database.interface].vpc in vpcs
    )
