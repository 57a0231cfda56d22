"""What a guest is told of its own routing and translation: each address answers through its own interface, and a NAT instance masquerades.

With one interface there is nothing to tell. With several, each has a table of its own with its subnet and its subnet's .1, chosen by the source address, as
the images of Amazon Linux and Ubuntu set it up (secondary: amazon-ec2-net-utils, cloud-init); what is bound to no address goes by the main table: an
interface in the destination's subnet, else eth0. Source: EC2 user guide, "Configure your network interface: policy routing" (assumed for eth0's own address).
VPC user guide, "NAT instances": masquerade on eth0 (documented). NOT MODELLED: a NAT instance's FIN on timeout; its timers are Linux's.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import NodePart
from testbed.model.instance import Instance, IpForwarding, StatefulFirewall
from testbed.plan import NftChain, NftRule, NftTable, PolicyRule, Route
from testbed.resolve.resolved import Resolved, ResolvedInterface

FIRST_TABLE = 1000
FIRST_PRIORITY = 1000
MOST_ADDRESSES = 64
"""Room for rules of one interface (an interface of AWS's largest instance types has 50 addresses)."""


def part(instance: Instance, interfaces: tuple[ResolvedInterface, ...], resolved: Resolved) -> NodePart:
    """The guest's tables and rules by source address, and its translation."""
    several = sorted(interfaces, key=lambda interface: (len(interface.device), interface.device)) if len(interfaces) > 1 else []
    return NodePart(
        name=instance.id,
        routes=tuple(route for number, interface in enumerate(several) for route in _routes(interface, FIRST_TABLE + number, resolved)),
        rules=tuple(
            PolicyRule(priority=FIRST_PRIORITY + number * MOST_ADDRESSES + index, source=IPv4Network(address), table=FIRST_TABLE + number, origin=interface.id)
            for number, interface in enumerate(several)
            for index, address in enumerate(interface.addresses)
        ),
        tables=_tables(instance),
    )


def _routes(interface: ResolvedInterface, table: int, resolved: Resolved) -> Iterator[Route]:
    subnet = fabric.subnet_of(resolved, interface.subnet).subnet
    yield Route(destination=subnet.cidr_block, device=interface.device, table=table, origin=interface.id)
    yield Route(destination=fabric.EVERYTHING, device=interface.device, via=fabric.router(subnet), onlink=True, table=table, origin=f"{interface.subnet} router")


def _tables(instance: Instance) -> tuple[NftTable, ...]:
    match instance.user_data:
        case IpForwarding(masquerade=True):
            return (_masquerade(instance.id),)
        case StatefulFirewall():
            return (_firewall(instance.id, instance.user_data),)
        case _:
            return ()


def _firewall(origin: str, firewall: StatefulFirewall) -> NftTable:
    ports = "" if firewall.tcp_ports is None else f" tcp dport {{ {', '.join(map(str, sorted(firewall.tcp_ports)))} }}"
    begins = (f"tcp flags & (fin | syn | rst | ack) == syn{ports}", "meta l4proto udp", "icmp type echo-request") if firewall.tcp_ports != () else ("meta l4proto udp", "icmp type echo-request")
    rules = (
        NftRule(statement="ct state { established, related } accept", origin=f"{origin} known flow"),
        *(NftRule(statement=f"{beginning} ct state new accept", origin=f"{origin} new flow") for beginning in begins),
        NftRule(statement="counter drop", origin=f"{origin} lets no such flow begin, and knows none that it belongs to"),
    )
    return NftTable(name="user_data", chains=(NftChain(name="forward", hook="type filter hook forward priority filter; policy drop;", rules=rules),))


def _masquerade(origin: str) -> NftTable:
    chain = NftChain(name="postrouting", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(NftRule(statement='oifname "eth0" masquerade', origin=f"{origin} user_data"),))
    return NftTable(name="user_data", chains=(chain,))
