"""Random networks of several VPCs without faults, and probes of them, for hypothesis: peerings, and route tables that use all that a table may hold.

Two or three VPCs with several CIDR blocks, peered or not (two of them may have the same range, if no peering joins them), a middlebox, gateways, prefix lists
with blocks in common, blackholes, gateway route tables. As in `tests.strategies`, what AWS leaves to chance is kept out of the verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from hypothesis import strategies as st

from testbed.model import (
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    NatGateway,
    PrefixList,
    PrefixListEntry,
    Protocol,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Vpc,
    VpcPeeringConnection,
)
from testbed.oracle import Probe, Stage, Walk
from testbed.resolve import Resolved, resolve
from testbed.resolve.resolved import OwnerKind
from tests.strategies import claimed_sources, honest, is_sent

NEAR, FAR = "eu-west-1", "eu-west-2"
ANYWHERE = IPv4Network("0.0.0.0/0")
USERS = IPv4Network("198.18.0.0/15")
RANGES = {"a": "10.0.0.0/16", "b": "10.1.0.0/16", "c": "10.2.0.0/16"}
SECONDARY = {"a": "100.64.0.0/16", "b": "100.65.0.0/16", "c": "100.66.0.0/16"}
LISTS = ("pl-0", "pl-1")
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)

protocols = st.sampled_from((Protocol.TCP, Protocol.UDP, Protocol.ICMP))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """One VPC and what its tables may name."""

    vpc: Vpc
    subnets: tuple[Subnet, ...]
    has_gateway: bool
    has_nat: bool
    has_middlebox: bool

    @property
    def letter(self) -> str:
        return self.vpc.id.removeprefix("vpc-")


@st.composite
def networks(draw: st.DrawFn) -> Topology:
    """Two or three VPCs. `resolve` finds no fault in them."""
    letters = "abc"[: draw(st.integers(2, 3))]
    overlapping = len(letters) == 3 and draw(st.booleans())
    drawn = [draw(_vpcs(letter, "b" if overlapping and letter == "c" else letter)) for letter in letters]
    pairs = [pair for pair in combinations(drawn, 2) if not (overlapping and {each.letter for each in pair} == {"b", "c"})]
    peerings = tuple(
        VpcPeeringConnection(id=f"pcx-{one.letter}{other.letter}", vpc_id=one.vpc.id, peer_vpc_id=other.vpc.id, accepted=draw(st.sampled_from((True, True, True, False))))
        for one, other in pairs
        if draw(st.sampled_from((True, True, False)))
    )
    near = {each.vpc.id for each in drawn if each.vpc.region == NEAR}
    resources = [resource for each in drawn for resource in draw(_contents(each, drawn, peerings, near))]
    lists = tuple(PrefixList(id=name, region=NEAR, max_entries=5, entries=draw(_entries())) for name in LISTS)
    return Topology(name="networks", resources=(Internet(), User(id="user", city="Paris"), *peerings, *lists, *resources))


def probes(topology: Topology) -> st.SearchStrategy[Probe]:
    """Probes between instances of all VPCs, the user, public addresses and addresses that nobody has."""
    resolved = resolve(topology)
    unable = honest(topology)
    ends = [(source, destination) for source in _sources(resolved) for destination in _destinations(resolved, source)]
    return st.builds(_probe, st.sampled_from(ends), protocols, st.sampled_from((80, 443)), claimed_sources(resolved)).filter(lambda probe: is_sent(probe, unable))


def is_symmetric(walk: Walk) -> bool:
    """Whether the reply passes the middleboxes that the request passed: AWS supports nothing else (VPC user guide, "Gateway route tables": considerations; documented).

    A reset that alone passes one ends the connection in the fabric before it has come back to it.
    """
    legs = (walk.request, *(() if walk.reply is None else (walk.reply,)))
    passed = [{hop.where for hop in leg.hops if hop.stage is Stage.HOST and hop.origin.endswith(" forwards")} for leg in legs]
    return passed[0] == passed[-1]


def _sources(resolved: Resolved) -> list[str]:
    return [interface.node for interface in resolved.interfaces if interface.owner_kind is OwnerKind.INSTANCE] + [user.node for user in resolved.users]


def _destinations(resolved: Resolved, source: str) -> list[IPv4Address]:
    own = {interface.address for interface in resolved.interfaces if interface.node == source}
    others = [interface for interface in resolved.interfaces if interface.node != source and interface.owner_kind is OwnerKind.INSTANCE]
    private = [interface.address for interface in others if interface.address not in own]
    public = [interface.public_address for interface in others if interface.public_address is not None]
    users = [user.address for user in resolved.users if user.node != source]
    return [*private, *private, *private, *public, *users, IPv4Address("10.1.0.250"), *(vpc.resolver for vpc in resolved.vpcs[1:2])]


def _probe(ends: tuple[str, IPv4Address], protocol: Protocol, port: int, claimed_source: IPv4Address | None) -> Probe:
    source, destination = ends
    if protocol is Protocol.ICMP:
        return Probe(source=source, destination=destination, protocol=protocol, icmp_type=8, icmp_code=0, claimed_source=claimed_source)
    return Probe(source=source, destination=destination, protocol=protocol, destination_port=port, source_port=40000, claimed_source=claimed_source)


@st.composite
def _vpcs(draw: st.DrawFn, letter: str, range_of: str) -> _Drawn:
    block = IPv4Network(RANGES[range_of])
    secondary = (IPv4Network(SECONDARY[letter]),) if draw(st.booleans()) else ()
    vpc = Vpc(id=f"vpc-{letter}", region=draw(st.sampled_from((NEAR, NEAR, FAR))) if letter == "c" else NEAR, cidr_block=block, cidr_block_associations=secondary)
    blocks = [*list(block.subnets(new_prefix=24))[:2], *(next(each.subnets(new_prefix=24)) for each in secondary)]
    subnets = tuple(Subnet(id=f"subnet-{letter}{index}", vpc_id=vpc.id, cidr_block=each, availability_zone=f"{vpc.region}a") for index, each in enumerate(blocks))
    has_gateway = draw(st.sampled_from((True, True, False)))
    return _Drawn(vpc=vpc, subnets=subnets, has_gateway=has_gateway, has_nat=has_gateway and draw(st.booleans()), has_middlebox=letter == "a" and draw(st.booleans()))


@st.composite
def _contents(draw: st.DrawFn, own: _Drawn, everyone: list[_Drawn], peerings: tuple[VpcPeeringConnection, ...], near: set[str]) -> list[Resource]:
    letter, vpc = own.letter, own.vpc
    resources: list[Resource] = [vpc, *own.subnets, draw(_groups(own, everyone, peerings, near))]
    resources.append(SecurityGroup(id=f"sg-open-{letter}", vpc_id=vpc.id, security_group_ingress=OPEN))
    for index, subnet in enumerate(own.subnets):
        group = draw(st.sampled_from((f"sg-{letter}", f"sg-open-{letter}", f"sg-open-{letter}")))
        public = own.has_gateway and draw(st.booleans())
        resources.append(Instance(id=f"i-{letter}{index}", subnet_id=subnet.id, private_ip_address=subnet.cidr_block[10], security_group_ids=(group,), associate_public_ip_address=public))
        resources.append(RouteTable(id=f"rtb-{letter}{index}", vpc_id=vpc.id, associations=(subnet.id,), routes=draw(_routes(own, everyone, peerings))))
    resources += draw(_gateways(own, everyone, peerings))
    return resources


@st.composite
def _gateways(draw: st.DrawFn, own: _Drawn, everyone: list[_Drawn], peerings: tuple[VpcPeeringConnection, ...]) -> list[Resource]:
    """The internet gateway with its table, the NAT gateway with a subnet of its own, the middlebox."""
    letter, vpc, resources = own.letter, own.vpc, list[Resource]()
    aside = list(vpc.cidr_block.subnets(new_prefix=24))
    if own.has_gateway:
        resources.append(InternetGateway(id=f"igw-{letter}", vpc_id=vpc.id))
    if own.has_nat:
        outward = [Route(destination_cidr_block=ANYWHERE, gateway_id=f"igw-{letter}")]
        over = [Route(destination_cidr_block=_far(peering, vpc, everyone), vpc_peering_connection_id=peering.id) for peering in peerings if vpc.id in peering.vpcs]
        blocks = {route.destination_cidr_block: route for route in over}
        resources += [
            Subnet(id=f"subnet-nat-{letter}", vpc_id=vpc.id, cidr_block=aside[200], availability_zone=f"{vpc.region}a"),
            ElasticIp(id=f"eip-{letter}", region=vpc.region),
            NatGateway(id=f"nat-{letter}", subnet_id=f"subnet-nat-{letter}", allocation_id=f"eip-{letter}"),
            RouteTable(id=f"rtb-nat-{letter}", vpc_id=vpc.id, associations=(f"subnet-nat-{letter}",), routes=(*outward, *blocks.values())),
        ]
    if own.has_middlebox:
        resources += [
            Subnet(id=f"subnet-box-{letter}", vpc_id=vpc.id, cidr_block=aside[100], availability_zone=f"{vpc.region}a"),
            Instance(
                id=f"box-{letter}",
                subnet_id=f"subnet-box-{letter}",
                security_group_ids=(f"sg-open-{letter}",),
                source_dest_check=False,
                associate_public_ip_address=own.has_gateway and draw(st.booleans()),
            ),
            RouteTable(
                id=f"rtb-box-{letter}",
                vpc_id=vpc.id,
                associations=(f"subnet-box-{letter}",),
                routes=(Route(destination_cidr_block=ANYWHERE, gateway_id=f"igw-{letter}"),) if own.has_gateway else (),
            ),
        ]
        if own.has_gateway and draw(st.booleans()):
            edge = tuple(
                Route(destination_cidr_block=block, instance_id=f"box-{letter}")
                for block in draw(st.lists(st.sampled_from([*(subnet.cidr_block for subnet in own.subnets), *vpc.cidr_blocks]), unique=True, max_size=2))
            )
            resources.append(RouteTable(id=f"rtb-edge-{letter}", vpc_id=vpc.id, gateway_associations=(f"igw-{letter}",), routes=edge))
    return resources


@st.composite
def _routes(draw: st.DrawFn, own: _Drawn, everyone: list[_Drawn], peerings: tuple[VpcPeeringConnection, ...]) -> tuple[Route, ...]:
    letter, mine = own.letter, [peering for peering in peerings if own.vpc.id in peering.vpcs]
    ways = [{"nat_gateway_id": f"nat-{letter}"}] * own.has_nat  # from there it goes over the peering, too
    usual = [Route(destination_cidr_block=_far(peering, own.vpc, everyone), **draw(st.sampled_from([{"vpc_peering_connection_id": peering.id}, *ways]))) for peering in mine]
    targets: list[dict[str, str]] = [{"vpc_peering_connection_id": peering.id} for peering in mine]
    targets += [{"gateway_id": f"igw-{letter}"}] * own.has_gateway + [{"nat_gateway_id": f"nat-{letter}"}] * own.has_nat
    targets += [{"instance_id": f"box-{letter}"}] * own.has_middlebox + [{"nat_gateway_id": "nat-deleted", "state": "blackhole"}]
    foreign = [other.subnets[0].cidr_block for other in everyone if other is not own and not other.subnets[0].cidr_block.subnet_of(own.vpc.cidr_block)]
    chosen = {route.destination: route for route in usual if draw(st.sampled_from((True, True, False)))}
    for destination in draw(st.lists(st.sampled_from([ANYWHERE, USERS, *foreign, *LISTS]), unique=True, max_size=3)):
        named = {"destination_prefix_list_id": destination} if isinstance(destination, str) else {"destination_cidr_block": destination}
        chosen.setdefault(str(destination), Route(**named, **draw(st.sampled_from(targets))))  # type: ignore[arg-type]
    if own.has_middlebox:
        inside = [subnet.cidr_block for subnet in own.subnets]
        for block in draw(st.sampled_from(([], inside, inside, [*inside, own.vpc.cidr_block], inside[:1]))):
            chosen[str(block)] = Route(destination_cidr_block=block, instance_id=f"box-{letter}")
    lists_allowed = own.vpc.region == NEAR and own.vpc.cidr_block != IPv4Network(RANGES["c"])
    return tuple(route for route in chosen.values() if route.destination_prefix_list_id is None or lists_allowed)


@st.composite
def _entries(draw: st.DrawFn) -> tuple[PrefixListEntry, ...]:
    """Blocks that meet those of static routes and of each other, outside every VPC that uses the lists."""
    blocks = draw(st.lists(st.sampled_from((USERS, IPv4Network("198.18.0.0/16"), IPv4Network("10.2.0.0/16"), IPv4Network("10.2.0.0/24"))), unique=True, min_size=1, max_size=3))
    return tuple(PrefixListEntry(cidr=block) for block in blocks)


@st.composite
def _groups(draw: st.DrawFn, own: _Drawn, everyone: list[_Drawn], peerings: tuple[VpcPeeringConnection, ...], near: set[str]) -> SecurityGroup:
    """A group that names groups of the VPCs that are peered in the Region, or their ranges."""
    peers = [other.letter for other in everyone if any(peering.accepted and {own.vpc.id, other.vpc.id} == set(peering.vpcs) for peering in peerings) and {own.vpc.id, other.vpc.id} <= near]
    far_sides = [*({"security_group_id": f"sg-{letter}"} for letter in (*peers, own.letter)), {"cidr_ip": IPv4Network("10.1.0.0/16")}, {"cidr_ip": ANYWHERE}]
    rules = tuple(SecurityGroupRule(ip_protocol=draw(st.sampled_from(("-1", "tcp", "icmp"))), **draw(st.sampled_from(far_sides))) for _ in range(draw(st.integers(1, 2))))
    egress = tuple(SecurityGroupRule(ip_protocol="-1", **draw(st.sampled_from(far_sides))) for _ in range(draw(st.integers(1, 2))))
    return SecurityGroup(id=f"sg-{own.letter}", vpc_id=own.vpc.id, security_group_ingress=rules, security_group_egress=draw(st.sampled_from((None, None, egress))))


def _far(peering: VpcPeeringConnection, vpc: Vpc, everyone: list[_Drawn]) -> IPv4Network:
    other = peering.other(vpc.id)
    return next(each.vpc.cidr_block for each in everyone if each.vpc.id == other)
