"""Random VPCs with endpoints and without faults, and probes of them, for hypothesis.

    vpc-c   two subnets of hosts, a subnet of endpoints, perhaps a NAT gateway      gateway endpoints of S3 and DynamoDB, interface endpoints of SQS, of a provider
    vpc-p   the provider's: a network balancer and its target, and a client of it; perhaps the same range as vpc-c
    vpc-n   perhaps: a peer of vpc-c, whose table tries S3's prefix list over the peering

Every subnet, also those of endpoints, gateways and balancers, may have a network ACL. As in `tests.strategies`, what AWS leaves to chance is kept out of the verdicts:
one target for each balancer, one Availability Zone.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from testbed.model import (
    Direction,
    ElasticIp,
    Forward,
    Instance,
    Internet,
    InternetGateway,
    Listener,
    LoadBalancer,
    NatGateway,
    NetworkAcl,
    NetworkAclEntry,
    PortRange,
    Protocol,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    TargetGroup,
    Topology,
    User,
    Verdict,
    Vpc,
    VpcEndpoint,
    VpcEndpointService,
    VpcPeeringConnection,
)
from testbed.oracle import Probe
from testbed.resolve import Resolved, resolve
from tests.strategies import claimed_sources, honest, is_sent

REGION, ZONE = "eu-west-1", "eu-west-1a"
ANYWHERE = IPv4Network("0.0.0.0/0")
CONSUMER, PROVIDER, NEIGHBOUR = "10.4.0.0/16", "10.5.0.0/16", "10.6.0.0/16"
HTTPS, ORDERS, SSH = 443, 8080, 22
PORTS = (80, HTTPS, HTTPS, HTTPS, ORDERS, SSH)
PREFIX_LISTS = {service: f"pl-{service}-{REGION}" for service in ("s3", "dynamodb")}
EVERYTHING = SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE)
USER = "user"


@st.composite
def private_accesses(draw: st.DrawFn) -> Topology:
    """A consumer, a provider and perhaps a peer. `resolve` finds no fault in it."""
    provider_block = draw(st.sampled_from((PROVIDER, CONSUMER)))
    subnets = (_subnet("c0", "vpc-c", "10.4.0.0/24"), _subnet("c1", "vpc-c", "10.4.1.0/24"), _subnet("ce", "vpc-c", "10.4.9.0/24"))
    has_neighbour, has_nat = draw(st.booleans()), draw(st.booleans())
    to_neighbour = (Route(destination_cidr_block=NEIGHBOUR, vpc_peering_connection_id="pcx"),) if has_neighbour else ()
    outward = (Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat"),) if has_nat else ()
    groups = ("sg-0", "sg-1")
    resources: list[Resource] = [
        Internet(), User(id=USER, city="Paris"),
        Vpc(id="vpc-c", region=REGION, cidr_block=CONSUMER, enable_dns_hostnames=True), *subnets,
        *(_group(name, "vpc-c", draw(_rules(groups)), draw(st.one_of(st.none(), _rules(groups)))) for name in groups),
        *(RouteTable(id=f"rtb-{s.id}", vpc_id="vpc-c", associations=(s.id,), routes=(*to_neighbour, *(outward if draw(st.booleans()) else ()))) for s in subnets),
        *(Instance(id=f"i-{n}", subnet_id=subnets[n % 2].id, private_ip_address=f"10.4.{n % 2}.{20 + n}", security_group_ids=(draw(st.sampled_from(groups)),)) for n in range(3)),
        *draw(_endpoints([f"rtb-{s.id}" for s in subnets], groups)),
        *draw(_provider(provider_block)),
        *(_outward() if has_nat else ()), *(_neighbour() if has_neighbour else ()),
    ]  # fmt: skip
    every = [resource for resource in resources if isinstance(resource, Subnet)]
    acls = {vpc: tuple(s.id for s in every if s.vpc_id == vpc and draw(st.sampled_from((True, False, False)))) for vpc in sorted({s.vpc_id for s in every})}
    resources += [NetworkAcl(id=f"acl-{vpc}", vpc_id=vpc, associations=held, entries=draw(_entries())) for vpc, held in acls.items() if held]
    return Topology(name="private-accesses", resources=tuple(resources))


def probes(topology: Topology) -> st.SearchStrategy[Probe]:
    """Probes from instances and the user to services, endpoints, the provider, each other."""
    resolved = resolve(topology)
    instances = [instance.id for instance in topology.of(Instance)]
    own = {name: {address for interface in resolved.interfaces if interface.node == name for address in interface.addresses} for name in instances}
    own["orders"] |= {interface.address for interface in resolved.interfaces if interface.owner == "nlb-p"}  # what comes back to its sender looks like no arrival
    ends = [(source, destination) for source in instances for destination in _destinations(resolved) if destination not in own[source]]
    built = st.builds(_probe, st.sampled_from(ends), st.sampled_from((Protocol.TCP, Protocol.TCP, Protocol.UDP, Protocol.ICMP)), st.sampled_from(PORTS), claimed_sources(resolved))
    unable = honest(topology)
    return built.filter(lambda probe: is_sent(probe, unable))


def _destinations(resolved: Resolved) -> list[IPv4Address]:
    services = [service.addresses[0] for region in resolved.regions for service in region.aws_services]
    interfaces = [interface.address for interface in resolved.interfaces]
    return [*services, *services, *interfaces, *(user.address for user in resolved.users)]


def _probe(ends: tuple[str, IPv4Address], protocol: Protocol, port: int, claimed_source: IPv4Address | None) -> Probe:
    source, destination = ends
    if protocol is Protocol.ICMP:
        return Probe(source=source, destination=destination, protocol=protocol, icmp_type=8, icmp_code=0, claimed_source=claimed_source)
    return Probe(source=source, destination=destination, protocol=protocol, destination_port=port, source_port=40000, claimed_source=claimed_source)


def _subnet(name: str, vpc: str, block: str) -> Subnet:
    return Subnet(id=name, vpc_id=vpc, cidr_block=block, availability_zone=ZONE)


def _group(name: str, vpc: str, ingress: tuple[SecurityGroupRule, ...], egress: tuple[SecurityGroupRule, ...] | None = None) -> SecurityGroup:
    return SecurityGroup(id=name, vpc_id=vpc, security_group_ingress=ingress, security_group_egress=egress)


@st.composite
def _rules(draw: st.DrawFn, groups: tuple[str, ...]) -> tuple[SecurityGroupRule, ...]:
    """Rules that speak of blocks, groups, and the services' prefix lists."""
    far_sides = [{"cidr_ip": ANYWHERE}, {"cidr_ip": "10.4.0.0/16"}, {"cidr_ip": "10.0.0.0/8"}, *({"security_group_id": group} for group in groups)]
    far_sides += [{"prefix_list_id": name} for name in PREFIX_LISTS.values()]
    kinds = st.sampled_from((("tcp", HTTPS, HTTPS), ("tcp", 0, 65535), ("-1", None, None), ("icmp", -1, -1), ("udp", 0, 65535)))
    return tuple(
        SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, **draw(st.sampled_from(far_sides))) for protocol, first, last in draw(st.lists(kinds, min_size=1, max_size=3))
    )


@st.composite
def _endpoints(draw: st.DrawFn, tables: list[str], groups: tuple[str, ...]) -> tuple[Resource, ...]:
    held = {service: tuple(draw(st.lists(st.sampled_from(tables), unique=True))) for service in PREFIX_LISTS}
    gateways = (VpcEndpoint(id=f"vpce-{service}", vpc_id="vpc-c", service_name=f"com.amazonaws.{REGION}.{service}", route_table_ids=named) for service, named in held.items() if named)
    places = st.sampled_from(("c0", "ce"))
    named = {"sqs": f"com.amazonaws.{REGION}.sqs", "orders": f"com.amazonaws.vpce.{REGION}.vpce-svc-p"}
    interfaces = (
        VpcEndpoint(id=f"vpce-{name}", vpc_id="vpc-c", service_name=service, vpc_endpoint_type="Interface", subnet_ids=(draw(places),), security_group_ids=(draw(st.sampled_from(groups)),))
        for name, service in named.items()
    )
    return (*gateways, *interfaces)


@st.composite
def _provider(draw: st.DrawFn, block: str) -> tuple[Resource, ...]:
    """A balancer with or without groups, in its target's subnet or another, which keeps its clients' addresses or not; a target that opens to some of those who may come."""
    base = block.removesuffix("0.0/16")
    far_sides = ({"cidr_ip": f"{base}7.0/24"}, {"cidr_ip": ANYWHERE}, {"security_group_id": "sg-b"}, {"security_group_id": "sg-client"})
    of_target = tuple(SecurityGroupRule(ip_protocol=protocol, from_port=ORDERS, to_port=ORDERS, **draw(st.sampled_from(far_sides))) for protocol in ("tcp", "udp"))
    closed = (SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=ANYWHERE),)
    of_balancer = tuple(SecurityGroupRule(ip_protocol=protocol, from_port=HTTPS, to_port=HTTPS, cidr_ip=draw(st.sampled_from((ANYWHERE, block, "10.4.0.0/24")))) for protocol in ("tcp", "udp"))
    protocol, target_type = draw(st.sampled_from(("TCP", "TCP", "UDP", "TCP_UDP"))), draw(st.sampled_from(("instance", "ip")))
    preserved = draw(st.sampled_from((None, True, False))) if protocol == "TCP" else None
    egress = draw(st.one_of(st.none(), st.just((SecurityGroupRule(ip_protocol="tcp", from_port=ORDERS, to_port=ORDERS, cidr_ip=block),))))
    return (
        Vpc(id="vpc-p", region=REGION, cidr_block=block), _subnet("p0", "vpc-p", f"{base}7.0/24"), _subnet("p1", "vpc-p", f"{base}8.0/24"),
        _group("sg-p", "vpc-p", draw(st.sampled_from((of_target, of_target, closed)))), _group("sg-client", "vpc-p", ()), _group("sg-b", "vpc-p", of_balancer, egress),
        Instance(id="orders", subnet_id="p1", private_ip_address=f"{base}8.20", security_group_ids=("sg-p",)),
        Instance(id="client-p", subnet_id=draw(st.sampled_from(("p0", "p1"))), security_group_ids=("sg-client",)),
        LoadBalancer(
            id="nlb-p", type="network", scheme="internal", subnets=(draw(st.sampled_from(("p0", "p1"))),), security_groups=draw(st.sampled_from(((), ("sg-b",)))),
            enforce_security_group_inbound_rules_on_private_link_traffic=draw(st.sampled_from(("on", "off"))),
        ),
        Listener(id="listener-p", load_balancer_arn="nlb-p", port=HTTPS, protocol=protocol, default_actions=(Forward(target_group_arn="tg-p"),)),
        TargetGroup(
            id="tg-p", vpc_id="vpc-p", port=ORDERS, protocol=protocol, target_type=target_type, preserve_client_ip_enabled=preserved,
            targets=("orders" if target_type == "instance" else f"{base}8.20",),
        ),
        VpcEndpointService(id="vpce-svc-p", network_load_balancer_arns=("nlb-p",)),
    )  # fmt: skip


def _outward() -> tuple[Resource, ...]:
    public = RouteTable(id="rtb-public", vpc_id="vpc-c", associations=("public",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw"),))
    return (InternetGateway(id="igw", vpc_id="vpc-c"), _subnet("public", "vpc-c", "10.4.100.0/24"), ElasticIp(id="eip", region=REGION), NatGateway(id="nat", subnet_id="public", allocation_id="eip"), public)


def _neighbour() -> tuple[Resource, ...]:
    tried = tuple(Route(destination_prefix_list_id=name, vpc_peering_connection_id="pcx") for name in PREFIX_LISTS.values())
    return (
        Vpc(id="vpc-n", region=REGION, cidr_block=NEIGHBOUR), _subnet("n0", "vpc-n", "10.6.0.0/24"), VpcPeeringConnection(id="pcx", vpc_id="vpc-c", peer_vpc_id="vpc-n"),
        RouteTable(id="rtb-n", vpc_id="vpc-n", associations=("n0",), routes=(Route(destination_cidr_block=CONSUMER, vpc_peering_connection_id="pcx"), *tried)),
        _group("sg-n", "vpc-n", (EVERYTHING,)), Instance(id="i-n", subnet_id="n0", private_ip_address="10.6.0.20", security_group_ids=("sg-n",)),
    )  # fmt: skip


@st.composite
def _entries(draw: st.DrawFn) -> tuple[NetworkAclEntry, ...]:
    """In each direction everything, or low ports, or what replies need."""
    entries = []
    for direction in Direction:
        first, last = draw(st.sampled_from(((0, 65535), (0, 65535), (1, 1023), (1024, 65535))))
        entries.append(
            NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE, protocol=Protocol.TCP, port_range=PortRange(first=first, last=last))
        )
        if draw(st.booleans()):
            entries.append(NetworkAclEntry(rule_number=50, direction=direction, rule_action=Verdict.DENY, cidr_block=draw(st.sampled_from(("10.4.0.0/24", "10.4.9.0/24", "198.19.0.0/16")))))
    return tuple(entries)
