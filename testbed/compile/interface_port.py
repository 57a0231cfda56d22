"""The port of an interface that forwards for others: a namespace between its guest and the fabric, where its security groups are enforced.

    guest eth0 ── guest [ port-eni-… ] fabric ── e-… [ VPC's fabric ]
                  iif guest:  sender's groups (egress)     mark 1 ─> everything to the .1
                  iif fabric: receiver's groups (ingress)  mark 2 ─> everything to the guest

What an appliance or NAT instance forwards crosses the fabric twice, as one 5-tuple: in the fabric's connection table that is one flow with two real ends, and the
interface in the middle has no bit in its mark. Here the same flow has this interface as its only end: entering is judged inward, leaving outward, each
with a bit of its own, whatever other appliances it passes. The port is no hop, has no address, answers ARP for what exists in the subnet, and keeps
its own timeouts. Decision 0004; EC2 user guide, "Amazon EC2 security group connection tracking": state is per interface (documented).
NOT MODELLED: switching the source/destination check of a running interface re-plugs it, so its flows end; a flow through a NAT gateway is not known as such here.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.compile import fabric, resets, security_group
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, forwarding_sysctls, region_of_interface
from testbed.compile.vpc import conntrack_sysctls
from testbed.model.security_group import Flow
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftSet, NftTable, Node, NodeKind, PolicyRule, Route, RouteType
from testbed.plan.marks import BOTH_ADMITTED
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

GUEST, FABRIC = fabric.PORT_GUEST, "fabric"
FROM_GUEST, FROM_FABRIC, MARK_MASK = 1, 2, 0xFF
FIRST_TABLE = 100
INVISIBLE_END = IPv4Address("169.254.0.3")
"""Next hop to the guest: a permanent neighbour entry, never seen in a packet."""


def node_name(interface: ResolvedInterface) -> str:
    """The port's namespace."""
    return fabric.port_node(interface)


def lower(interface: ResolvedInterface, guest: Interface, fabric_end: Interface, resolved: Resolved) -> Fragment:
    """The namespace, and its links to `guest` and to the fabric, where it looks like the guest itself."""
    name, mtu = node_name(interface), guest.mtu_bytes
    sysctls = (("ipv4/neigh/{}/proxy_delay", "0"), ("proxy_arp", "1"), ("send_redirects", "0"))
    inner = Interface(node=name, name=GUEST, mac=mac_address(name, GUEST), mtu_bytes=mtu, sysctls=sysctls, origin=interface.id)
    outer = Interface(node=name, name=FABRIC, mac=interface.mac, mtu_bytes=mtu, sysctls=(("send_redirects", "0"),), origin=interface.id)
    city = city_of(resolved, region_of_interface(resolved, interface).city)
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    part = NodePart(
        name=name,
        identity=Node(name=name, kind=NodeKind.NETWORK_INTERFACE, label=f"{interface.id} port", origin=interface.id, city=city.city.name, group=interface.vpc, keeps_ttl=True),
        sysctls=(*forwarding_sysctls(), *conntrack_sysctls(resolved.topology.time_scale, interface.connection_tracking)),
        routes=_routes(interface, router, resolved),
        rules=tuple(
            PolicyRule(priority=FIRST_TABLE + mark, mark=mark, mask=MARK_MASK, table=FIRST_TABLE + mark, origin=interface.id) for mark in (FROM_GUEST, FROM_FABRIC)
        ),
        neighbours=(
            Neighbour(address=router, mac=fabric_end.mac, device=FABRIC),
            Neighbour(address=INVISIBLE_END, mac=interface.mac, device=GUEST),
        ),
        tables=(_table(interface),),
    )
    links = (ordered(Link(a=guest, b=inner, origin=interface.id)), ordered(Link(a=outer, b=fabric_end, origin=interface.id)))
    return join(Fragment(nodes=(part,), links=links), _groups(interface, resolved))


def _routes(interface: ResolvedInterface, router: IPv4Address, resolved: Resolved) -> tuple[Route, ...]:
    """Everything across, by where it comes from; the main table only says for whom ARP is answered: the .1 and the subnet's other interfaces."""
    neighbours = {address for other in resolved.interfaces_in(interface.vpc) if other.subnet == interface.subnet and other.id != interface.id for address in other.addresses}
    across = (
        Route(destination=fabric.EVERYTHING, device=FABRIC, via=router, onlink=True, table=FIRST_TABLE + FROM_GUEST, origin=interface.id),
        Route(destination=fabric.EVERYTHING, device=GUEST, via=INVISIBLE_END, onlink=True, table=FIRST_TABLE + FROM_FABRIC, origin=interface.id),
    )
    answered = (Route(destination=IPv4Network(address), device=FABRIC, origin=f"{interface.subnet} neighbour") for address in (router, *sorted(neighbours)))
    return (*across, *answered, Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{interface.subnet} no such address"))


def _table(interface: ResolvedInterface) -> NftTable:
    """The walk: nothing but the two ends, of which the fabric's side is none."""
    no_end = ((fabric.quoted(FABRIC), "return"),)
    return NftTable(
        name=fabric.TABLE,
        sets=(fabric.doors(), NftSet(name=fabric.ALWAYS_TRACKED, type="iface_index"), NftSet(name=fabric.FORWARDERS, type="iface_index", elements=(fabric.quoted(GUEST),)), resets.RESETS),
        maps=(*(fabric.verdicts(name, no_end if name.endswith("_groups") else ()) for name in fabric.END_MAPS),),
        chains=(
            NftChain(
                name="prerouting",
                hook="type filter hook prerouting priority raw; policy accept;",
                rules=(
                    NftRule(statement=f'iifname "{GUEST}" ether saddr != {interface.mac} counter drop', origin=f"{interface.id} source MAC address"),
                    NftRule(statement=f'iifname "{GUEST}" meta mark set {FROM_GUEST:#x}'),
                    NftRule(statement=f'iifname "{FABRIC}" meta mark set {FROM_FABRIC:#x}'),
                ),
            ),
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    NftRule(statement=f"{fabric.TRACKED} ct mark & {BOTH_ADMITTED:#x} == {BOTH_ADMITTED:#x} goto admitted", origin="admitted inward and outward before"),
                    NftRule(statement="jump sender"),
                    NftRule(statement="jump receiver"),
                    NftRule(statement="goto admitted"),
                ),
            ),
            NftChain(name="admitted", rules=(resets.remember(fabric.FORWARDERS), NftRule(statement="accept"))),
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{interface.id} is no host"),)),
            *fabric.ends(appliances=True),
        ),
    )


def _groups(interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    name, groups = node_name(interface), tuple(sorted(interface.security_groups))
    return join(Fragment(nodes=(security_group.rules_of(name, groups, resolved),)), *(security_group.at_end(name, GUEST, groups, flow, resolved) for flow in Flow))
