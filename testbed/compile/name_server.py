"""Who answers DNS: the root and top-level servers, Route 53 at the edge, providers' resolvers, and the VPC resolver of each Region.

    root ──> com net org uk ──> Route 53 (anycast): hosted zones, cloudfront.net, amazonaws.com, awsdns-*

The top level delegates each public hosted zone that has no hosted parent (a child zone is delegated by its parent's own NS record, as on AWS).
Sources: RFC 1034; Route 53 developer guide, "How internet traffic is routed"; VPC user guide, "DNS attributes for your VPC" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from services.common.config import Listen, Transport, encode
from services.dns.config import Authority, Config, LocalZone, NetworkLocation, Record, Resolver, Zone
from testbed.compile import aws_service, host_name, resolver_endpoint
from testbed.compile.attach import attach
from testbed.compile.fragment import Fragment, join
from testbed.compile.hosted_zone import database_records, location_of, private_zones, public_zones
from testbed.compile.link_local import DNS_PORT
from testbed.compile.vpc import resolver_addresses_of
from testbed.plan import Node, NodeKind, ServiceSpec
from testbed.resolve.resolved import NameServer, Resolved, ResolvedCity, ResolvedEdge, ResolvedRegion

KIND = "dns"
NODE = "name-servers"
DELEGATION_TTL_S = 172800
ROOT_SOA = "a.root-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 86400"
TOP_LEVEL_SOA = "a.gtld-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 86400"
PACKETS_PER_SECOND = 1024


def lower(resolved: Resolved) -> Fragment:
    """The node of the root and top-level servers, in the first city that has an edge location."""
    servers = (*resolved.root_servers, *resolved.top_level_servers)
    if not servers or not resolved.cities:
        return Fragment()
    city = name_servers_city(resolved)
    identity = Node(name=NODE, kind=NodeKind.NAME_SERVER, label="root and top-level name servers", origin="DNS", city=city.city.name, group=city.node)
    public = public_zones(resolved)
    config = Config(
        name=NODE,
        authorities=(
            Authority(listen=_listens(resolved.root_servers), zones=(_root(public, resolved),)),
            Authority(listen=_listens(resolved.top_level_servers), zones=_top_level(public, resolved)),
        ),
    )
    service = ServiceSpec(name=f"{NODE}.{KIND}", kind=KIND, node=NODE, config=encode(config), origin="DNS")
    return join(attach(identity, city, servers[0].address, also=tuple(s.address for s in servers[1:])), Fragment(services=(service,)))


def name_servers_city(resolved: Resolved) -> ResolvedCity:
    """Where the root and top-level servers stand: the first city by name that has an edge location, else the first city."""
    with_edge = {edge.city for edge in resolved.edges}
    return next((c for c in resolved.cities if c.city.name in with_edge), resolved.cities[0])


def resolver_service(city: ResolvedCity, resolved: Resolved) -> ServiceSpec:
    """A provider's recursive resolver. It sends no EDNS Client Subnet: its own address, in its clients' city, stands for them."""
    resolver = Resolver(listen=_listen_both(city.resolver), root_hints=_root_hints(resolved), source=city.resolver)
    config = Config(name=city.resolver_node, resolvers=(resolver,))
    return ServiceSpec(name=resolver_service_name(city), kind=KIND, node=city.resolver_node, config=encode(config), origin=city.city.name)


def resolver_service_name(city: ResolvedCity) -> str:
    """The service of a city's resolver."""
    return f"{city.resolver_node}.{KIND}"


def route53_service(edge: ResolvedEdge, resolved: Resolved) -> ServiceSpec:
    """Route 53's authority at one edge location: all public zones, on the anycast addresses."""
    config = Config(
        name=edge.node,
        authorities=(Authority(listen=_listens(resolved.route53_servers), zones=public_zones(resolved)),),
        locations=_locations(resolved),
        edge_location=edge.pop,
    )
    return ServiceSpec(name=f"{edge.node}.{KIND}", kind=KIND, node=edge.node, config=encode(config), origin="Route 53")


def vpc_resolver_service_name(region: ResolvedRegion) -> str:
    """The service of a Region's VPC resolvers."""
    return f"{region.node}.{KIND}"


def vpc_resolver_service(region: ResolvedRegion, resolved: Resolved) -> ServiceSpec | None:
    """The resolver of every VPC of a Region that has DNS support: a socket in each fabric, upstream from the plane."""
    resolvers = tuple(
        Resolver(
            listen=tuple(listen for address in resolver_addresses_of(vpc) for listen in _listen_both(address, namespace=vpc.vpc.id)) + resolver_endpoint.listens(vpc.vpc.id, resolved),
            root_hints=_root_hints(resolved),
            local_zones=_local_zones(vpc.vpc.id, region, resolved),
            rules=resolver_endpoint.rules(vpc.vpc.id, resolved),
            packets_per_second=PACKETS_PER_SECOND,
            source=region.address,
        )
        for vpc in resolved.vpcs
        if vpc.vpc.region == region.id and vpc.vpc.enable_dns_support
    )
    if not resolvers:
        return None
    return ServiceSpec(name=vpc_resolver_service_name(region), kind=KIND, node=region.node, config=encode(Config(name=region.node, resolvers=resolvers)), origin=region.id)


def _local_zones(vpc: str, region: ResolvedRegion, resolved: Resolved) -> tuple[LocalZone, ...]:
    """The endpoints of the VPC's own databases, the names of its instances, AWS's services and the VPC's endpoints, which it knows even where the internet is out of reach."""
    databases = tuple(LocalZone(name=record.name, records=(record,)) for record in database_records(resolved, (vpc,)))
    return (*private_zones(vpc, resolved), *databases, *host_name.zones_inside(vpc, resolved), *aws_service.local_zones(vpc, region, resolved))


def _locations(resolved: Resolved) -> tuple[NetworkLocation, ...]:
    """Where the askers are: cities' networks and Regions' public addresses."""
    places = [(city.network, city.city.name) for city in resolved.cities]
    places += [(region.public_pool, region.city) for region in resolved.regions]
    places += [(IPv4Network(edge.address), edge.city) for edge in resolved.edges]
    return tuple(NetworkLocation(network=network, location=location_of(city, resolved)) for network, city in sorted(places))


def _root(public: tuple[Zone, ...], resolved: Resolved) -> Zone:
    delegations = tuple(Record(name=label, type="NS", ttl=DELEGATION_TTL_S, values=_names(resolved.top_level_servers), origin="DNS") for label in _labels(public))
    apex = Record(name="", type="NS", ttl=DELEGATION_TTL_S, values=_names(resolved.root_servers), origin="DNS")
    return Zone(name="", soa=ROOT_SOA, soa_ttl=86400, records=(apex, *delegations), glue=_glue((*resolved.root_servers, *resolved.top_level_servers)), origin="DNS")


def _top_level(public: tuple[Zone, ...], resolved: Resolved) -> tuple[Zone, ...]:
    names = {zone.name for zone in public}
    topmost = [zone for zone in public if not any(zone.name.endswith(f".{name}") for name in names)]
    zones = []
    for label in _labels(public):
        apex = Record(name=label, type="NS", ttl=DELEGATION_TTL_S, values=_names(resolved.top_level_servers), origin="DNS")
        delegations = tuple(
            Record(name=zone.name, type="NS", ttl=DELEGATION_TTL_S, values=_names(resolved.route53_servers), origin=zone.origin) for zone in topmost if zone.name.split(".")[-1] == label
        )
        own = tuple(record for record in _glue((*resolved.root_servers, *resolved.top_level_servers)) if record.name.split(".")[-1] == label)
        zones.append(Zone(name=label, soa=TOP_LEVEL_SOA, records=(apex, *delegations, *own), glue=_glue((*resolved.top_level_servers, *resolved.route53_servers)), origin="DNS"))
    return tuple(zones)


def _labels(public: tuple[Zone, ...]) -> tuple[str, ...]:
    return tuple(sorted({zone.name.split(".")[-1] for zone in public}))


def _names(servers: tuple[NameServer, ...]) -> tuple[str, ...]:
    return tuple(f"{server.host_name}." for server in servers)


def _glue(servers: tuple[NameServer, ...]) -> tuple[Record, ...]:
    return tuple(Record(name=server.host_name, type="A", ttl=DELEGATION_TTL_S, values=(str(server.address),), origin="DNS") for server in servers)


def _root_hints(resolved: Resolved) -> tuple[IPv4Address, ...]:
    return tuple(server.address for server in resolved.root_servers)


def _listens(servers: tuple[NameServer, ...]) -> tuple[Listen, ...]:
    return tuple(listen for server in servers for listen in _listen_both(server.address))


def _listen_both(address: IPv4Address, namespace: str | None = None) -> tuple[Listen, ...]:
    return tuple(Listen(address=address, port=DNS_PORT, transport=transport, namespace=namespace) for transport in (Transport.UDP, Transport.TCP))


