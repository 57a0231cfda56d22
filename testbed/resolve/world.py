"""Cities, Regions, edge locations and users: who is where, and with which public address.

    198.18.<i>.0/24   the i-th city of `geography.CITIES`: .1 router, .2 resolver, users from .10
    198.19.<r>.0/24   the r-th Region of `geography.REGIONS`: .1 its services plane, the rest `public_addresses`
    203.0.113.<10+i>  the i-th of `geography.EDGE_LOCATIONS`
      of each Region: .4/31 S3, .6/31 DynamoDB, .8 SQS, .9 KMS, where something uses them
    203.0.113.<64+i>  Global Accelerator there, .128-.255 accelerators' static addresses (`accelerators`)
    192.0.2.1, .2     root and top-level name servers; .53-.56 Route 53's four, anycast

All from documentation and benchmarking ranges (RFC 5737, RFC 2544), so that nothing in a lab can be mistaken for a real host.
Numbers follow the catalogue, not what is in use: a city that joins renumbers nobody (decision 0006).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.model.bucket import Bucket
from testbed.model.elastic_ip import ElasticIp
from testbed.model.geography import CITIES, EDGE_LOCATIONS, REGIONS
from testbed.model.internet import Internet, User
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.topology import Topology
from testbed.model.transit_gateway import TransitGateway
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import GATEWAY_SERVICES, VpcEndpoint
from testbed.resolve.resolved import AwsService, NameServer, ResolvedCity, ResolvedEdge, ResolvedRegion, ResolvedUser

FIRST_USER_HOST = 10
FIRST_EDGE = IPv4Address("203.0.113.10")

ROOT_SERVERS = (NameServer(host_name="a.root-servers.net", address=IPv4Address("192.0.2.1")),)
TOP_LEVEL_SERVERS = (NameServer(host_name="a.gtld-servers.net", address=IPv4Address("192.0.2.2")),)
ROUTE53_SERVERS = (
    NameServer(host_name="ns-53.awsdns-06.com", address=IPv4Address("192.0.2.53")),
    NameServer(host_name="ns-566.awsdns-06.net", address=IPv4Address("192.0.2.54")),
    NameServer(host_name="ns-1078.awsdns-06.org", address=IPv4Address("192.0.2.55")),
    NameServer(host_name="ns-1590.awsdns-06.co.uk", address=IPv4Address("192.0.2.56")),
)
"""Route 53 developer guide, "NS and SOA records that Amazon Route 53 creates for a public hosted zone" (form documented, numbers ours)."""


def slug(name: str) -> str:
    """A city's name as part of a node's: ``new-york``."""
    return name.lower().replace(" ", "-")


def edge_locations(topology: Topology) -> tuple[str, ...]:
    """The codes of the lab's edge locations, sorted."""
    return tuple(sorted({code for internet in topology.of(Internet) for code in internet.edge_locations}))


def regions(topology: Topology) -> tuple[ResolvedRegion, ...]:
    """The Regions in use, by id: those of a VPC, an Elastic IP, a bucket or a transit gateway."""
    in_use = sorted({vpc.region for vpc in topology.of(Vpc)} | {elastic_ip.region for elastic_ip in topology.of(ElasticIp)} | {bucket.region for bucket in topology.of(Bucket)} | {gateway.region for gateway in topology.of(TransitGateway)})
    with_services = {bucket.region for bucket in topology.of(Bucket)} | {endpoint.region for endpoint in topology.of(VpcEndpoint) if endpoint.aws_service is not None}
    return tuple(_region(region, public_pool(region), region in with_services) for region in in_use if region in REGIONS)


def public_pool(region: str) -> IPv4Network:
    """The public addresses of a Region that is known."""
    return IPv4Network((f"198.19.{list(REGIONS).index(region) + 1}.0", 24))


def cities(topology: Topology) -> tuple[ResolvedCity, ...]:
    """The cities in use, by name: those of a user, an edge location, a Region or a site."""
    names = {user.city for user in topology.of(User)}
    names |= {EDGE_LOCATIONS[code] for code in edge_locations(topology)}
    names |= {region.city for region in regions(topology)}
    names |= {site.city for site in topology.of(OnPremisesSite)}
    return tuple(_city(name, IPv4Network((f"198.18.{list(CITIES).index(name) + 1}.0", 24))) for name in sorted(names))


def users(topology: Topology, resolved_cities: tuple[ResolvedCity, ...]) -> tuple[ResolvedUser, ...]:
    """The users, by id, with an address of their city each."""
    networks = {resolved.city.name: resolved.network for resolved in resolved_cities}
    counts: dict[str, int] = {}
    found = []
    for user in topology.of(User):
        index = counts.get(user.city, 0)
        counts[user.city] = index + 1
        found.append(ResolvedUser(node=user.id, city=user.city, address=networks[user.city][FIRST_USER_HOST + index]))
    return tuple(found)


def edges(topology: Topology) -> tuple[ResolvedEdge, ...]:
    """The edge locations, by code. A POP's name is the airport's code, a number and a suffix (CloudFront's X-Amz-Cf-Pop; number assumed)."""
    return tuple(
        ResolvedEdge(code=code, node=f"edge-{code.lower()}", pop=f"{code}50-C1", city=EDGE_LOCATIONS[code], address=FIRST_EDGE + list(EDGE_LOCATIONS).index(code))
        for code in edge_locations(topology)
    )


def aws_services(region: str, pool: IPv4Network) -> tuple[AwsService, ...]:
    """The services of a Region, by name, each with its part of the Region's pool."""
    parts = (("dynamodb", 6, 31), ("kms", 9, 32), ("s3", 4, 31), ("sqs", 8, 32))
    return tuple(
        AwsService(name=name, block=IPv4Network((pool[first], length)), prefix_list=prefix_list_id(name, region) if name in GATEWAY_SERVICES else None) for name, first, length in parts
    )


def prefix_list_id(service: str, region: str) -> str:
    """The id of the prefix list that AWS keeps for a service; AWS's own are ``pl-`` and hexadecimal digits."""
    return f"pl-{service}-{region}"


def _region(region: str, pool: IPv4Network, with_services: bool) -> ResolvedRegion:
    services = aws_services(region, pool) if with_services else ()
    return ResolvedRegion(id=region, city=REGIONS[region], node=f"services-{region}", address=pool[1], public_pool=pool, aws_services=services)


def _city(name: str, network: IPv4Network) -> ResolvedCity:
    return ResolvedCity(city=CITIES[name], node=f"city-{slug(name)}", network=network, router=network[1], resolver_node=f"resolver-{slug(name)}", resolver=network[2])
