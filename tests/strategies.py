"""Random small VPCs without faults, and probes of them, for hypothesis.

Values that AWS leaves to chance are kept out of the verdicts: a NAT gateway's source port is random, so an ACL opens either a single service port,
all ports, or the whole range 1024-65535, and probes' source ports lie in that range.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from testbed.model import (
    Direction,
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    IpForwarding,
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
    Topology,
    User,
    Verdict,
    Vpc,
)
from testbed.oracle import Probe
from testbed.resolve import Resolved, resolve

REGION = "eu-west-1"
VPC = "vpc-r"
GATEWAY = "igw-r"
NAT = "nat-r"
NAT_SUBNET = "subnet-nat"
USER = "user-r"
SERVICE_PORTS = (22, 80, 443, 8080)
EPHEMERAL_PORTS = PortRange(first=1024, last=65535)
ANYWHERE = IPv4Network("0.0.0.0/0")
CIDR_BLOCK = IPv4Network("10.7.0.0/16")
NAT_BLOCK = IPv4Network("10.7.255.0/24")
FIRST_CHOSEN_HOST = 10
SIZES = ((0, False), (0, False), (0, True), (0, True), (1500, True), (1501, True), (1501, False), (8500, True), (8501, True), (9001, False), (9001, True), (9002, True), (12328, False))
"""Lengths of probes at and around the MTUs, and whether they may not be cut; most are short."""
TCP_LENGTHS = {0: 0, 1500: 0, 1501: 4136, 8500: 8232, 8501: 8232, 9001: 8232, 9002: 12328, 12328: 12328}
"""What a SYN has instead: its data come in multiples of 4,096 (see `tests.dataplane.probing`)."""

FORGED_ONE_IN = 5
FOREIGN = (IPv4Address("203.0.113.9"), IPv4Address("10.7.0.251"), IPv4Address("172.31.0.9"))

ports = st.sampled_from(SERVICE_PORTS)
protocols = st.sampled_from((Protocol.TCP, Protocol.UDP, Protocol.ICMP))


@st.composite
def vpcs(draw: st.DrawFn) -> Topology:
    """One VPC of 1-4 subnets and 2-5 instances, often with gateways, and a user on the internet. `resolve` finds no fault in it."""
    subnet_blocks = list(CIDR_BLOCK.subnets(new_prefix=24))[: draw(st.integers(1, 4))]
    subnets = tuple(
        Subnet(id=f"subnet-{index}", vpc_id=VPC, cidr_block=block, availability_zone=REGION + draw(st.sampled_from("ab")), map_public_ip_on_launch=draw(st.booleans()))
        for index, block in enumerate(subnet_blocks)
    )
    has_gateway = draw(st.booleans())
    has_nat = has_gateway and draw(st.booleans())
    homes = draw(st.lists(st.sampled_from(subnets), min_size=2, max_size=5))
    addresses = [draw(st.sampled_from((None, subnet.cidr_block[FIRST_CHOSEN_HOST + index], subnet.cidr_block[FIRST_CHOSEN_HOST + index]))) for index, subnet in enumerate(homes)]
    groups = draw(_security_groups([IPv4Network(address) for address in addresses if address is not None]))
    instances = tuple(
        Instance(
            id=f"i-{index}",
            subnet_id=subnet.id,
            private_ip_address=address,
            security_group_ids=tuple(draw(st.lists(st.sampled_from([group.id for group in groups]), unique=True, max_size=2))),
        )
        for index, (subnet, address) in enumerate(zip(homes, addresses, strict=True))
    )
    gateways: tuple[Resource, ...] = (InternetGateway(id=GATEWAY, vpc_id=VPC),) if has_gateway else ()
    if has_nat:
        gateways += (
            Subnet(id=NAT_SUBNET, vpc_id=VPC, cidr_block=NAT_BLOCK, availability_zone=f"{REGION}a"),
            ElasticIp(id="eip-nat", region=REGION),
            NatGateway(id=NAT, subnet_id=NAT_SUBNET, allocation_id="eip-nat"),
            RouteTable(id="rtb-nat", vpc_id=VPC, associations=(NAT_SUBNET,), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id=GATEWAY),)),
        )
    if has_gateway and draw(st.booleans()):
        gateways += (ElasticIp(id="eip-i", region=REGION, instance_id=draw(st.sampled_from(instances)).id),)
    tables = draw(_route_tables(subnets, has_gateway, has_nat))
    acls = draw(_network_acls((*subnets, *(s for s in gateways if isinstance(s, Subnet)))))
    return Topology(
        name="random-vpc",
        resources=(Internet(), User(id=USER, city="Paris"), Vpc(id=VPC, region=REGION, cidr_block=CIDR_BLOCK), *subnets, *gateways, *tables, *groups, *acls, *instances),
    )


def probes(topology: Topology) -> st.SearchStrategy[Probe]:
    """Probes between any two places of the topology: instances, public addresses, the user, and addresses that nobody has."""
    resolved, unable = resolve(topology), honest(topology)
    return st.builds(
        _probe,
        ends=st.sampled_from([(source, destination) for source in _sources(resolved) for destination in _destinations(resolved, source)]),
        protocol=protocols,
        destination_port=ports,
        source_port=st.integers(32768, 60999),
        size=st.sampled_from(SIZES),
        claimed_source=claimed_sources(resolved),
    ).filter(lambda probe: is_sent(probe, unable))


def claimed_sources(resolved: Resolved) -> st.SearchStrategy[IPv4Address | None]:
    """Mostly none; else a source that a guest forges: another one's, one of the internet, one that nobody has."""
    others = [interface.address for interface in resolved.interfaces] + [user.address for user in resolved.users]
    return st.one_of(*[st.none()] * FORGED_ONE_IN, st.sampled_from([*others, *FOREIGN]))


def honest(topology: Topology) -> frozenset[str]:
    """Who forges nothing (see `oracle.packet_walk`): users of the internet, and NAT instances, which put their own address on all that leaves them."""
    masquerading = (instance.id for instance in topology.of(Instance) if isinstance(instance.user_data, IpForwarding) and instance.user_data.masquerade)
    return frozenset((*(user.id for user in topology.of(User)), *masquerading))


def is_sent(probe: Probe, honest: frozenset[str]) -> bool:
    """The honest forge nothing, and nobody sends to the address that it claims to have."""
    return probe.claimed_source is None or (probe.source not in honest and probe.claimed_source != probe.destination)


def _sources(resolved: Resolved) -> list[str]:
    return [interface.node for interface in resolved.interfaces if interface.owner != NAT] + [user.node for user in resolved.users]


def _destinations(resolved: Resolved, source: str) -> list[IPv4Address]:
    """Private addresses of the other interfaces, their public ones, the user's, and one that is absent; none of the source's own."""
    private = [interface.address for interface in resolved.interfaces if interface.node != source]
    public = [interface.public_address for interface in resolved.interfaces if interface.public_address is not None and interface.node != source]
    taken = {interface.address for interface in resolved.interfaces}
    absent = next(address for address in reversed(list(resolved.subnets[0].subnet.cidr_block.hosts())) if address not in taken)
    return [*private, *public, *(user.address for user in resolved.users if user.node != source), absent]


def _probe(ends: tuple[str, IPv4Address], protocol: Protocol, destination_port: int, source_port: int, size: tuple[int, bool], claimed_source: IPv4Address | None) -> Probe:
    source, destination = ends
    if protocol is Protocol.ICMP:
        return Probe(source=source, destination=destination, protocol=protocol, icmp_type=8, icmp_code=0, length_bytes=size[0], dont_fragment=size[1], claimed_source=claimed_source)
    length_bytes = size[0] if protocol is Protocol.UDP else TCP_LENGTHS[size[0]]
    return Probe(
        source=source, destination=destination, protocol=protocol, destination_port=destination_port, source_port=source_port, length_bytes=length_bytes, dont_fragment=size[1],
        claimed_source=claimed_source,
    )  # fmt: skip


@st.composite
def _security_groups(draw: st.DrawFn, hosts: list[IPv4Network]) -> tuple[SecurityGroup, ...]:
    """Groups whose rules speak of whole networks, of single `hosts`, and of each other."""
    ids = [f"sg-{index}" for index in range(draw(st.integers(1, 3)))]
    rules = st.lists(_group_rules(ids, hosts), max_size=3).map(tuple)
    everything = st.just((SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),))
    return tuple(
        SecurityGroup(id=group_id, vpc_id=VPC, security_group_ingress=draw(st.one_of(rules, everything)), security_group_egress=draw(st.one_of(st.none(), st.none(), rules)))
        for group_id in ids
    )


@st.composite
def _group_rules(draw: st.DrawFn, group_ids: list[str], hosts: list[IPv4Network]) -> SecurityGroupRule:
    far_sides: list[IPv4Network | str] = [ANYWHERE, CIDR_BLOCK, IPv4Network("10.7.0.0/24"), *hosts[:2], IPv4Network("198.18.0.0/15"), *group_ids, *group_ids]
    far_side = draw(st.sampled_from(far_sides))
    protocol = draw(st.sampled_from(("tcp", "udp", "icmp", "-1", "6")))
    first, last = None, None
    if protocol in ("tcp", "udp", "6"):
        port = draw(ports)
        first, last = draw(st.sampled_from(((port, port), (0, 65535), (port, 8080), (None, None))))
    elif protocol == "icmp":
        first, last = draw(st.sampled_from(((-1, -1), (8, -1), (8, 0), (0, -1), (None, None))))
    if isinstance(far_side, str):
        return SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, security_group_id=far_side)
    return SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, cidr_ip=far_side)


@st.composite
def _route_tables(draw: st.DrawFn, subnets: tuple[Subnet, ...], has_gateway: bool, has_nat: bool) -> tuple[RouteTable, ...]:
    """At most one table for each subnet and at most one main table; the rest of the subnets use the main one, written or not."""
    tables = [RouteTable(id="rtb-main", vpc_id=VPC, main=True, routes=draw(_routes(has_gateway, has_nat)))] if draw(st.booleans()) else []
    for subnet in subnets:
        if draw(st.booleans()):
            tables.append(RouteTable(id=f"rtb-{subnet.id}", vpc_id=VPC, associations=(subnet.id,), routes=draw(_routes(has_gateway, has_nat))))
    return tuple(tables)


@st.composite
def _routes(draw: st.DrawFn, has_gateway: bool, has_nat: bool) -> tuple[Route, ...]:
    targets = [{"gateway_id": GATEWAY}] * has_gateway + [{"nat_gateway_id": NAT}] * has_nat
    if not targets:
        return ()
    destinations = draw(st.lists(st.sampled_from((ANYWHERE, IPv4Network("198.18.0.0/16"), IPv4Network("198.18.0.0/15"))), unique=True, max_size=2))
    return tuple(Route(destination_cidr_block=destination, **draw(st.sampled_from(targets))) for destination in destinations)


@st.composite
def _network_acls(draw: st.DrawFn, subnets: tuple[Subnet, ...]) -> tuple[NetworkAcl, ...]:
    """At most two ACLs, each serving some of the subnets, no subnet served twice."""
    owner = {subnet.id: draw(st.sampled_from((None, "acl-0", "acl-1"))) for subnet in subnets}
    return tuple(
        NetworkAcl(id=acl_id, vpc_id=VPC, entries=draw(_entries()), associations=tuple(subnet_id for subnet_id, acl in owner.items() if acl == acl_id))
        for acl_id in sorted({acl for acl in owner.values() if acl is not None})
    )


@st.composite
def _entries(draw: st.DrawFn) -> tuple[NetworkAclEntry, ...]:
    """A few narrow rules, then in each direction everything, or what a service port, or what its replies would need."""
    entries: list[NetworkAclEntry] = []
    for direction in Direction:
        entries += [draw(_entry(number, direction)) for number in draw(st.lists(st.integers(1, 99), unique=True, max_size=3))]
        rest = draw(st.sampled_from(("everything", "everything", "services", "replies")))
        if rest == "everything":
            entries.append(NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE))
        else:
            opened = PortRange(first=1, last=1023) if rest == "services" else EPHEMERAL_PORTS
            for number, protocol in ((100, Protocol.TCP), (101, Protocol.UDP)):
                entries.append(NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE, protocol=protocol, port_range=opened))
    return tuple(draw(st.permutations(entries)))


@st.composite
def _entry(draw: st.DrawFn, number: int, direction: Direction) -> NetworkAclEntry:
    protocol = draw(st.sampled_from((Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ANY)))
    port_range = None
    if protocol in (Protocol.TCP, Protocol.UDP):
        port = draw(ports)
        port_range = draw(st.sampled_from((PortRange(first=port, last=port), EPHEMERAL_PORTS, PortRange(), None)))
    return NetworkAclEntry(
        rule_number=number,
        direction=direction,
        rule_action=draw(st.sampled_from((Verdict.ALLOW, Verdict.ALLOW, Verdict.DENY))),
        cidr_block=draw(st.sampled_from((ANYWHERE, CIDR_BLOCK, IPv4Network("10.7.0.0/24"), IPv4Network("10.7.1.0/24"), IPv4Network("198.18.0.0/15")))),
        protocol=protocol,
        port_range=port_range,
        icmp_type=draw(st.sampled_from((None, 8, 0))) if protocol is Protocol.ICMP else None,
    )


APPLIANCE, APPLIANCE_SUBNET, APPLIANCE_BLOCK = "i-appliance", "subnet-appliance", IPv4Network("10.7.254.0/24")


@st.composite
def vpcs_with_an_appliance(draw: st.DrawFn) -> Topology:
    """One of `vpcs`, where an instance in a subnet of its own forwards, or masquerades, and some tables lead some subnets' packets to it."""
    topology = draw(vpcs())
    has_gateway = any(isinstance(resource, InternetGateway) for resource in topology.resources)
    blocks = [subnet.cidr_block for subnet in topology.of(Subnet) if subnet.id != NAT_SUBNET]
    groups = [group.id for group in topology.of(SecurityGroup)]
    tables = {table.id: table for table in topology.of(RouteTable)}
    for table in tables.values():
        detours = draw(st.lists(st.sampled_from(blocks), unique=True, max_size=2))
        written = {route.destination_cidr_block for route in table.routes}
        routes = tuple(Route(destination_cidr_block=block, instance_id=APPLIANCE) for block in detours if block not in written)
        tables[table.id] = replace(table, routes=table.routes + routes)
    onward = (Route(destination_cidr_block=ANYWHERE, gateway_id=GATEWAY),) if has_gateway else ()
    added: tuple[Resource, ...] = (
        Subnet(id=APPLIANCE_SUBNET, vpc_id=VPC, cidr_block=APPLIANCE_BLOCK, availability_zone=f"{REGION}a"),
        RouteTable(id="rtb-appliance", vpc_id=VPC, associations=(APPLIANCE_SUBNET,), routes=onward),
        Instance(
            id=APPLIANCE,
            subnet_id=APPLIANCE_SUBNET,
            security_group_ids=tuple(draw(st.lists(st.sampled_from(groups), unique=True, max_size=2))),
            source_dest_check=False,
            user_data=IpForwarding(masquerade=draw(st.booleans())),
        ),
    )
    return replace(topology, name="random-vpc-with-an-appliance", resources=(*(tables.get(resource.id, resource) for resource in topology.resources), *added))


@st.composite
def other_rules(draw: st.DrawFn, topology: Topology) -> Topology:
    """The topology with some of its security groups' rules taken away, or all of them open: what a live change may do to flows."""

    def changed(group: SecurityGroup) -> SecurityGroup:
        ingress = tuple(rule for rule in group.security_group_ingress if draw(st.booleans()))
        egress = draw(st.sampled_from((group.security_group_egress, group.security_group_egress, (), None)))
        return replace(group, security_group_ingress=ingress, security_group_egress=egress)

    return replace(topology, resources=tuple(changed(resource) if isinstance(resource, SecurityGroup) else resource for resource in topology.resources))
