"""A virtual private gateway becomes a namespace between a fabric and AWS's tunnel endpoints: no state, no hop, a device for each tunnel.

    fabric e-<vgw> ═ vpc   vgw   t-<connection>-<n> ═ gateway   <connection>-tunnel-<n>   (see `vpn_connection`)

A tunnel that is down has no carrier here, and what would leave by it takes the next one (ignore_routes_with_linkdown): one tunnel at a time carries what AWS sends.
Metrics rank what leads to one prefix: Direct Connect, then static routes of VPNs, then BGP routes of VPNs; of equal ones the first connection's first tunnel.
What comes from a tunnel reaches interfaces of the VPC, and sites of other connections (CloudHub); no route table of the VPC is asked, so no gateway of it.
Source: Site-to-Site VPN user guide, "Site-to-Site VPN routing options", "Secure communication between connections using VPN CloudHub" (documented);
that it is no hop in a traceroute is assumed. Its silence about packets that are too big is documented ("Site-to-Site VPN quotas": no path MTU discovery).
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import city_of, forwarding_sysctls, region_of
from testbed.model.vpn_gateway import VpnGateway
from testbed.plan import Interface, Link, Neighbour, NftChain, NftMap, NftRule, NftTable, Node, NodeKind, Route, RouteType
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved

INSIDE = "vpc"
SPEAKER_IN_FABRIC, SPEAKER = IPv4Address("100.126.0.0"), IPv4Address("100.126.0.1")
"""Between a gateway and its VPC's fabric, for what BGP learns and route tables are told (`vpn_gateway_speaker`); no packet of a customer has them."""
TABLE = "vpn_gateway"
TUNNELS = "tunnels"
"""Map from a tunnel's device to a chain that names the tunnel."""
DIRECT_CONNECT_METRIC, STATIC_METRIC, BGP_METRIC = 300, 400, 700
MOST_TUNNELS = BGP_METRIC - STATIC_METRIC


def lower(gateway: VpnGateway, resolved: Resolved) -> Fragment:
    """The gateway's namespace and its link to the fabric; connections bring their own devices."""
    vpc = fabric.vpc_of(resolved, gateway.vpc_id)
    city = city_of(resolved, region_of(resolved, vpc.vpc.region).city)
    inside = Interface(node=gateway.id, name=INSIDE, mac=mac_address(gateway.id, INSIDE), mtu_bytes=fabric.VPC_MTU_BYTES, addresses=(IPv4Interface((SPEAKER, 31)),), origin=gateway.id)
    at_fabric = replace(fabric.end(gateway.vpc_id, fabric.gateway_device(gateway.id), origin=gateway.id), addresses=(IPv4Interface((SPEAKER_IN_FABRIC, 31)),))
    node = NodePart(
        name=gateway.id,
        identity=Node(name=gateway.id, kind=NodeKind.VPN_GATEWAY, label=f"{gateway.id} AS {gateway.amazon_side_asn}", origin=gateway.id, city=city.city.name, group=gateway.vpc_id, keeps_ttl=True),
        sysctls=(*forwarding_sysctls(), ("ipv4/conf/all/ignore_routes_with_linkdown", "1"), ("ipv4/conf/default/ignore_routes_with_linkdown", "1")),
        routes=(
            Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{gateway.id} no route"),
            *(Route(destination=block, device=INSIDE, via=fabric.FABRIC_END, onlink=True, origin=f"{gateway.id} to {gateway.vpc_id}") for block in vpc.vpc.cidr_blocks),
        ),
        neighbours=(Neighbour(address=fabric.FABRIC_END, mac=at_fabric.mac, device=INSIDE),),
        tables=(NftTable(name=TABLE, maps=(NftMap(name=TUNNELS, type="ifname", value_type="verdict"),), chains=(_input(gateway.id), _forward(), _output(gateway.id))),),
    )
    in_fabric = NodePart(name=gateway.vpc_id, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=inside.mac, device=at_fabric.name),))
    return Fragment(nodes=(node, in_fabric, fabric.door(gateway.vpc_id, at_fabric.name)), links=(ordered(Link(a=inside, b=at_fabric, origin=gateway.id)),))


def propagation_rules(vpc_id: str, resolved: Resolved) -> tuple[NftRule, ...]:
    """What lets a VPC's fabric be told of routes by its gateway."""
    return tuple(
        NftRule(statement=f'iifname "{fabric.gateway_device(gateway.id)}" ip saddr {SPEAKER} tcp {way} 179 accept', origin=f"{gateway.id} propagation")
        for gateway in resolved.topology.of(VpnGateway)
        if gateway.vpc_id == vpc_id
        for way in ("dport", "sport")
    )


def _input(gateway: str) -> NftChain:
    """AWS's inside addresses answer pings (documented as the way to keep a tunnel busy) and BGP."""
    return NftChain(
        name="input",
        hook="type filter hook input priority filter; policy drop;",
        rules=(
            NftRule(statement=f'iifname != "{INSIDE}" icmp type echo-request accept', origin=f"{gateway} inside address"),
            NftRule(statement=f'iifname != "{INSIDE}" tcp dport 179 accept', origin=f"{gateway} BGP"),
            NftRule(statement=f'iifname != "{INSIDE}" tcp sport 179 accept', origin=f"{gateway} BGP"),
            NftRule(statement=f'iifname != "{INSIDE}" udp dport 3784 accept', origin=f"{gateway} BFD"),
            NftRule(statement=f'iifname "{INSIDE}" ip saddr {SPEAKER_IN_FABRIC} tcp dport 179 accept', origin=f"{gateway} propagation"),
            NftRule(statement=f'iifname "{INSIDE}" ip saddr {SPEAKER_IN_FABRIC} tcp sport 179 accept', origin=f"{gateway} propagation"),
            NftRule(statement="counter drop", origin=f"{gateway} answers nothing else"),
        ),
    )


def _forward() -> NftChain:
    return NftChain(
        name="forward",
        hook="type filter hook forward priority filter; policy accept;",
        rules=(NftRule(statement=f"oifname vmap @{TUNNELS}"), NftRule(statement=f"iifname vmap @{TUNNELS}")),
    )


def _output(gateway: str) -> NftChain:
    return NftChain(
        name="output",
        hook="type filter hook output priority filter; policy accept;",
        rules=(NftRule(statement="icmp type { destination-unreachable, redirect, time-exceeded, parameter-problem } counter drop", origin=f"{gateway} is silent"),),
    )
