"""A NAT gateway becomes a namespace behind an interface without groups, which translates the ports of what it forwards outward.

It is a hop to traceroute, answers no ping, and lets nothing in that nobody inside asked for.
Source: VPC user guide, "NAT gateway basics", "Troubleshoot NAT gateways", "Compare NAT gateways and NAT instances" (documented).
NOT MODELLED yet: RST after 350 s of idleness, the limit of 55,000 connections, TCP and ICMP fragments dropped, MTU 8500.
"""

from __future__ import annotations

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import forwarding_sysctls
from testbed.compile.vpc import conntrack_sysctls
from testbed.model.nat_gateway import NatGateway
from testbed.plan import Neighbour, NftChain, NftRule, NftTable, NodeKind
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

PORTS = "1024-65535"


def lower(gateway: NatGateway, resolved: Resolved) -> Fragment:
    """The gateway's interface, namespace and translation."""
    return join(*(_at(interface, resolved) for interface in resolved.interfaces_of(gateway.id)))


def _at(interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    sysctls = (*forwarding_sysctls(), *conntrack_sysctls(resolved.topology.time_scale))
    guest = guest_node(interface, NodeKind.NAT_GATEWAY, f"{interface.owner} {interface.public_address}", resolved, forwards=sysctls)
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    neighbour = Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device)
    return join(lower_interface(interface, resolved), Fragment(nodes=(guest, NodePart(name=interface.node, neighbours=(neighbour,), tables=(_translation(interface),)))))


def _translation(interface: ResolvedInterface) -> NftTable:
    name, address = interface.owner, interface.address
    return NftTable(
        name="nat_gateway",
        chains=(
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    NftRule(statement="ct state { established, related } accept", origin=f"{name} known"),
                    NftRule(statement="ct state new meta l4proto { tcp, udp, icmp } accept", origin=f"{name} client"),
                    NftRule(statement="counter drop", origin=f"{name} translates TCP, UDP and ICMP only"),
                ),
            ),
            NftChain(
                name="input",
                hook="type filter hook input priority filter; policy drop;",
                rules=(NftRule(statement="counter drop", origin=f"{name} unsolicited"),),
            ),
            NftChain(
                name="translate",
                hook="type nat hook postrouting priority srcnat; policy accept;",
                rules=(
                    NftRule(statement=f"meta l4proto {{ tcp, udp }} snat to {address}:{PORTS} fully-random", origin=name),
                    NftRule(statement=f"meta l4proto icmp snat to {address}", origin=name),
                ),
            ),
        ),
    )
