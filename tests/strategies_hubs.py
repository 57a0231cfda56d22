"""Random hubs without faults, and probes of them, for hypothesis: transit gateways with everything that decides there.

Two to four VPCs (two may have the same range) in up to three zones, attached in some of them, in a subnet of their own or in an instance's; tables with associations, propagations, static
routes, prefix lists, blackholes; default tables or none; a second transit gateway behind a peering; network ACLs on both sides of the attachments; groups that name groups beyond the
hub; a middlebox and a NAT gateway behind an attachment. What AWS leaves to chance is kept out of the verdicts: an attachment with appliance mode has one table for all zones and no ACL.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from testbed.model import (
    Direction,
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    NatGateway,
    NetworkAcl,
    NetworkAclEntry,
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
    TransitGateway,
    TransitGatewayPeeringAttachment,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
    User,
    Verdict,
    Vpc,
)
from testbed.oracle import Probe
from testbed.resolve import Resolved, resolve
from testbed.resolve.resolved import OwnerKind

NEAR, FAR = "eu-west-1", "eu-west-2"
ANYWHERE = IPv4Network("0.0.0.0/0")
PRIVATE = IPv4Network("10.0.0.0/8")
RANGES = {letter: IPv4Network(f"10.{number}.0.0/16") for number, letter in enumerate("abcd")}
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)
HUB, PEER, PEERING = "tgw-hub", "tgw-peer", "attach-peer"

protocols = st.sampled_from((Protocol.TCP, Protocol.UDP, Protocol.ICMP))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoke:
    """One VPC, its attachment, and what its tables may name."""

    vpc: Vpc
    instances: tuple[Subnet, ...]
    attached: tuple[Subnet, ...]
    attachment: TransitGatewayVpcAttachment
    has_middlebox: bool
    has_nat: bool

    @property
    def letter(self) -> str:
        return self.vpc.id.removeprefix("vpc-")


@st.composite
def hubs(draw: st.DrawFn) -> Topology:
    """A hub with two to four spokes, the last of them beyond a peering sometimes. `resolve` finds no fault in it."""
    letters = "abcd"[: draw(st.integers(2, 4))]
    peered = len(letters) > 2 and draw(st.booleans())
    overlapping = len(letters) > 2 and draw(st.booleans())
    spokes = [draw(_spokes(letter, "b" if overlapping and letter == "c" else letter, PEER if peered and letter == letters[-1] else HUB)) for letter in letters]
    gateways: list[Resource] = []
    for gateway, region in ((HUB, NEAR), (PEER, FAR))[: 1 + peered]:
        own = [spoke.attachment.id for spoke in spokes if spoke.attachment.transit_gateway_id == gateway]
        gateways += draw(_gateways(gateway, region, own, peered=peered))
    if peered:
        gateways.append(TransitGatewayPeeringAttachment(id=PEERING, transit_gateway_id=HUB, peer_transit_gateway_id=PEER))
    entries = tuple(PrefixListEntry(cidr=block) for block in draw(st.lists(st.sampled_from([*RANGES.values(), PRIVATE]), unique=True, min_size=1, max_size=2)))
    contents = [resource for spoke in spokes for resource in draw(_contents(spoke, spokes))]
    outside = (Internet(), User(id="user", city="Paris"), PrefixList(id="pl-0", region=NEAR, max_entries=5, entries=entries))
    return Topology(name="hubs", resources=(*outside, *gateways, *contents))


def probes(topology: Topology) -> st.SearchStrategy[Probe]:
    """Probes between instances of all VPCs, the user, and addresses that nobody has."""
    resolved = resolve(topology)
    ends = [(source, destination) for source in _sources(resolved) for destination in _destinations(resolved, source)]
    return st.builds(_probe, st.sampled_from(ends), protocols, st.sampled_from((80, 443)))


def _sources(resolved: Resolved) -> list[str]:
    return [interface.node for interface in resolved.interfaces if interface.owner_kind is OwnerKind.INSTANCE]


def _destinations(resolved: Resolved, source: str) -> list[IPv4Address]:
    own = {interface.address for interface in resolved.interfaces if interface.node == source}
    others = [interface.address for interface in resolved.interfaces if interface.owner_kind is OwnerKind.INSTANCE and interface.address not in own]
    return [*others, *others, *(user.address for user in resolved.users), IPv4Address("10.1.0.250"), resolved.vpcs[-1].resolver]


def _probe(ends: tuple[str, IPv4Address], protocol: Protocol, port: int) -> Probe:
    source, destination = ends
    if protocol is Protocol.ICMP:
        return Probe(source=source, destination=destination, protocol=protocol, icmp_type=8, icmp_code=0)
    return Probe(source=source, destination=destination, protocol=protocol, destination_port=port, source_port=40000)


@st.composite
def _spokes(draw: st.DrawFn, letter: str, range_of: str, gateway: str) -> _Spoke:
    region = NEAR if gateway == HUB else FAR
    vpc = Vpc(id=f"vpc-{letter}", region=region, cidr_block=RANGES[range_of])
    blocks = list(vpc.cidr_block.subnets(new_prefix=24))
    zones = draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1, max_size=2))
    instances = tuple(Subnet(id=f"subnet-{letter}{zone}", vpc_id=vpc.id, cidr_block=blocks["abc".index(zone)], availability_zone=f"{region}{zone}") for zone in zones)
    attached = []
    enabled = {*draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1, max_size=3)), *(zones if draw(st.sampled_from((True, True, False))) else ())}
    for zone in sorted(enabled):
        shared = next((subnet for subnet in instances if subnet.id.endswith(zone)), None)
        own = Subnet(id=f"subnet-tgw-{letter}{zone}", vpc_id=vpc.id, cidr_block=blocks[10 + "abc".index(zone)], availability_zone=f"{region}{zone}")
        attached.append(shared if shared is not None and draw(st.booleans()) else own)
    attachment = TransitGatewayVpcAttachment(
        id=f"attach-{letter}",
        transit_gateway_id=gateway,
        vpc_id=vpc.id,
        subnet_ids=tuple(subnet.id for subnet in attached),
        appliance_mode_support=draw(st.sampled_from((False, False, True))),
        security_group_referencing_support=draw(st.sampled_from((True, True, False))),
    )
    return _Spoke(vpc=vpc, instances=instances, attached=tuple(attached), attachment=attachment, has_middlebox=letter == "a" and draw(st.booleans()), has_nat=letter == "b" and draw(st.booleans()))


@st.composite
def _gateways(draw: st.DrawFn, gateway: str, region: str, own: list[str], *, peered: bool) -> list[Resource]:
    """A transit gateway with up to two tables of its own."""
    defaults = draw(st.booleans())
    everything = [*own, *([PEERING] if peered else [])]
    tables = [f"tgw-rtb-{gateway[4:]}-{number}" for number in range(draw(st.integers(0 if defaults else 1, 2)))]
    places = {attachment: draw(st.sampled_from([*tables, *tables, None])) for attachment in everything}
    named = bool(tables) and defaults and draw(st.booleans())
    written = [
        TransitGatewayRouteTable(
            id=table,
            transit_gateway_id=gateway,
            associations=tuple(attachment for attachment, place in places.items() if place == table),
            propagations=tuple(attachment for attachment in own if draw(st.sampled_from((True, True, False)))),
            routes=draw(_static(everything)),
        )
        for table in tables
    ]
    return [
        TransitGateway(
            id=gateway,
            region=region,
            default_route_table_association=defaults,
            default_route_table_propagation=defaults,
            association_default_route_table_id=tables[0] if named else None,
            propagation_default_route_table_id=tables[-1] if named else None,
            security_group_referencing_support=draw(st.sampled_from((True, True, False))),
        ),
        *written,
    ]


@st.composite
def _static(draw: st.DrawFn, attachments: list[str]) -> tuple[TransitGatewayRoute, ...]:
    destinations = [*RANGES.values(), PRIVATE, ANYWHERE, ANYWHERE, "pl-0", *(next(block.subnets(new_prefix=24)) for block in RANGES.values())]
    routes = []
    for destination in draw(st.lists(st.sampled_from(destinations), unique=True, max_size=4)):
        target = draw(st.sampled_from([*attachments, *attachments, None]))
        named = {"destination_prefix_list_id": destination} if isinstance(destination, str) else {"destination_cidr_block": destination}
        routes.append(TransitGatewayRoute(**named, attachment_id=target, blackhole=target is None))  # type: ignore[arg-type]
    return tuple(routes)


@st.composite
def _contents(draw: st.DrawFn, own: _Spoke, spokes: list[_Spoke]) -> list[Resource]:
    letter, vpc, gateway = own.letter, own.vpc, own.attachment.transit_gateway_id
    resources: list[Resource] = [vpc, own.attachment, *{subnet.id: subnet for subnet in (*own.instances, *own.attached)}.values(), draw(_groups(own, spokes))]
    resources.append(SecurityGroup(id=f"sg-open-{letter}", vpc_id=vpc.id, security_group_ingress=OPEN))
    for subnet in own.instances:
        group = draw(st.sampled_from((f"sg-{letter}", f"sg-open-{letter}", f"sg-open-{letter}")))
        resources.append(Instance(id=subnet.id.replace("subnet", "i"), subnet_id=subnet.id, private_ip_address=subnet.cidr_block[10], security_group_ids=(group,)))
    outward = [Route(destination_cidr_block=ANYWHERE, transit_gateway_id=gateway)]
    others = [Route(destination_cidr_block=block, transit_gateway_id=gateway) for block in RANGES.values() if block != vpc.cidr_block]
    to_hub = draw(st.sampled_from((outward, outward, others)))
    served = {subnet.id for subnet in own.instances}
    resources.append(RouteTable(id=f"rtb-{letter}", vpc_id=vpc.id, associations=tuple(sorted(served)), routes=tuple(to_hub)))
    arrivals: list[Route] = []
    if own.has_middlebox:
        box = Subnet(id=f"subnet-box-{letter}", vpc_id=vpc.id, cidr_block=list(vpc.cidr_block.subnets(new_prefix=24))[100], availability_zone=own.attached[0].availability_zone)
        resources += [
            box,
            Instance(id=f"box-{letter}", subnet_id=box.id, security_group_ids=(f"sg-open-{letter}",), source_dest_check=False),
            RouteTable(id=f"rtb-box-{letter}", vpc_id=vpc.id, associations=(box.id,), routes=tuple(outward)),
        ]
        arrivals = [Route(destination_cidr_block=ANYWHERE, instance_id=f"box-{letter}")]
    if own.has_nat:
        public = Subnet(id=f"subnet-nat-{letter}", vpc_id=vpc.id, cidr_block=list(vpc.cidr_block.subnets(new_prefix=24))[200], availability_zone=own.attached[0].availability_zone)
        resources += [
            public,
            InternetGateway(id=f"igw-{letter}", vpc_id=vpc.id),
            ElasticIp(id=f"eip-{letter}", region=vpc.region),
            NatGateway(id=f"nat-{letter}", subnet_id=public.id, allocation_id=f"eip-{letter}"),
            RouteTable(id=f"rtb-nat-{letter}", vpc_id=vpc.id, associations=(public.id,), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id=f"igw-{letter}"), *others)),
        ]
        arrivals = [Route(destination_cidr_block=ANYWHERE, nat_gateway_id=f"nat-{letter}")]
    alone = tuple(sorted(subnet.id for subnet in own.attached if subnet.id not in served))
    resources.append(RouteTable(id=f"rtb-tgw-{letter}", vpc_id=vpc.id, associations=alone, routes=tuple(arrivals or draw(st.sampled_from(([], outward))))))
    if not own.attachment.appliance_mode_support:
        resources.append(draw(_acls(own)))
    return resources


@st.composite
def _acls(draw: st.DrawFn, own: _Spoke) -> NetworkAcl:
    """An ACL on some of the subnets, with a hole or two."""
    subnets = sorted({subnet.id for subnet in (*own.instances, *own.attached)})
    entries = [NetworkAclEntry(rule_number=200, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE) for direction in Direction]
    for number in range(draw(st.integers(0, 2))):
        block = draw(st.sampled_from([*RANGES.values(), PRIVATE]))
        entries.append(NetworkAclEntry(rule_number=100 + number, direction=draw(st.sampled_from(list(Direction))), rule_action=Verdict.DENY, cidr_block=block))
    return NetworkAcl(id=f"acl-{own.letter}", vpc_id=own.vpc.id, entries=tuple(entries), associations=tuple(subnet for subnet in subnets if draw(st.sampled_from((True, False, False)))))


@st.composite
def _groups(draw: st.DrawFn, own: _Spoke, spokes: list[_Spoke]) -> SecurityGroup:
    """A group that names groups beyond the hub, or ranges."""
    beyond = [spoke.letter for spoke in spokes if spoke.attachment.transit_gateway_id == own.attachment.transit_gateway_id and spoke is not own]
    far_sides = [*({"security_group_id": f"sg-{kind}{letter}"} for letter in (*beyond, own.letter) for kind in ("", "open-")), {"cidr_ip": RANGES["b"]}, {"cidr_ip": ANYWHERE}]
    rules = tuple(SecurityGroupRule(ip_protocol=draw(st.sampled_from(("-1", "tcp", "icmp"))), **draw(st.sampled_from(far_sides))) for _ in range(draw(st.integers(1, 2))))
    egress = tuple(SecurityGroupRule(ip_protocol="-1", **draw(st.sampled_from(far_sides))) for _ in range(draw(st.integers(1, 2))))
    return SecurityGroup(id=f"sg-{own.letter}", vpc_id=own.vpc.id, security_group_ingress=rules, security_group_egress=draw(st.sampled_from((None, None, egress))))
