"""A NAT gateway becomes a namespace behind an interface without groups, which translates the ports of what it forwards outward.

    prerouting -450  a fragment of TCP or ICMP? drop                       (before conntrack puts fragments together at -400)
    input            addressed to itself and nobody inside asked for it: drop, pings too
    forward          known flow ─> on; TCP without a flow (idle for 350 s) ─> RST to the inside host; new TCP, UDP, ICMP ─> on; else drop
    postrouting      new flow ─> one of its addresses, one of the ports that its destination may use

Each destination (address, port) has a window of `connections_per_destination` ports, at one end or the other of 1024-65535, which its hash chooses: so
a destination meets the limit while the gateway as a whole uses all ports. Where the window has no free port conntrack refuses the flow; its
counter of refusals is ErrorPortAllocation. Exact for windows up to 128; of larger ones the kernel tries 240 ports, so the last one in a hundred may be missed.
A second table only counts for CloudWatch (`observe.nat_metrics`): it never changes, so its counters outlive a live change.

It is a hop to traceroute (its private address), and its links are 8500 bytes wide: the subnet's .1 says so to what is larger (which of the two says it is assumed).
Source: VPC user guide, "NAT gateway basics", "Troubleshoot NAT gateways", "Compare NAT gateways and NAT instances", "Monitor NAT gateways with
Amazon CloudWatch" (documented). Assumed: addresses are taken in turn; UDP and ICMP flows are idle after 350 s too; a port is free 120 s after its connection closed.
NOT MODELLED: the 5 to 100 Gbit/s at which AWS drops.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import forwarding_sysctls
from testbed.model.nat_gateway import FIRST_PORT, IDLE_TIMEOUT_S, LAST_PORT, MTU_BYTES, NatGateway
from testbed.plan import Neighbour, NftChain, NftRule, NftTable, NodeKind
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

TIME_WAIT_S = 120
BEFORE_REASSEMBLY = -450
ESTABLISHED, CLOSED = 1, 2
"""Connection marks of this namespace: the connection has been answered; one side has ended it."""
CLOUDWATCH_TABLE = "cloudwatch"


def lower(gateway: NatGateway, resolved: Resolved) -> Fragment:
    """The gateway's interface, namespace and translation."""
    return join(*(_at(gateway, interface, resolved) for interface in resolved.interfaces_of(gateway.id)))


def _at(gateway: NatGateway, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    sysctls = (*forwarding_sysctls(), *_timers(resolved.topology.time_scale))
    shown = interface.public_address or interface.address
    guest = guest_node(interface, NodeKind.NAT_GATEWAY, f"{interface.owner} {shown}", resolved, forwards=sysctls)
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    neighbour = Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device)
    tables = (_translation(gateway, interface.addresses), _counting(gateway.id))
    return join(lower_interface(interface, resolved, mtu_bytes=MTU_BYTES), Fragment(nodes=(guest, NodePart(name=interface.node, neighbours=(neighbour,), tables=tables))))


def _timers(time_scale: float) -> tuple[tuple[str, str], ...]:
    """Idle timeouts in this lab's time; a TCP packet without a connection makes none."""

    def scaled(seconds: int) -> str:
        return str(max(1, round(seconds / time_scale)))

    idle = scaled(IDLE_TIMEOUT_S)
    return (
        ("netfilter/nf_conntrack_icmp_timeout", idle),
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("netfilter/nf_conntrack_tcp_loose", "0"),
        ("netfilter/nf_conntrack_tcp_timeout_established", idle),
        ("netfilter/nf_conntrack_tcp_timeout_time_wait", scaled(TIME_WAIT_S)),
        ("netfilter/nf_conntrack_udp_timeout", idle),
        ("netfilter/nf_conntrack_udp_timeout_stream", idle),
    )


def _translation(gateway: NatGateway, addresses: tuple[IPv4Address, ...]) -> NftTable:
    name, width = gateway.id, gateway.connections_per_destination
    low, high = f"{FIRST_PORT}-{FIRST_PORT + width - 1}", f"{LAST_PORT - width + 1}-{LAST_PORT}"
    return NftTable(
        name="nat_gateway",
        chains=(
            NftChain(
                name="fragments",
                hook=f"type filter hook prerouting priority {BEFORE_REASSEMBLY}; policy accept;",
                rules=(NftRule(statement="ip frag-off & 0x3fff != 0 meta l4proto { tcp, icmp } counter drop", origin=f"{name} drops fragments of TCP and ICMP"),),
            ),
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    NftRule(statement="tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu", origin=f"{name} clamps the MSS"),
                    NftRule(statement="ct state { established, related } accept", origin=f"{name} known"),
                    NftRule(statement="ct state invalid meta l4proto tcp counter reject with tcp reset", origin=f"{name} has no such connection (idle for {IDLE_TIMEOUT_S} s?)"),
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
                    NftRule(statement="meta l4proto { tcp, udp } jhash ip daddr . th dport mod 2 vmap { 0 : goto low_ports, 1 : goto high_ports }"),
                    NftRule(statement=f"meta l4proto icmp snat ip to {_in_turn(addresses)}:{low}", origin=name),
                ),
            ),
            NftChain(name="high_ports", rules=(NftRule(statement=f"meta l4proto {{ tcp, udp }} snat ip to {_in_turn(addresses)}:{high} fully-random", origin=name),)),
            NftChain(name="low_ports", rules=(NftRule(statement=f"meta l4proto {{ tcp, udp }} snat ip to {_in_turn(addresses)}:{low} fully-random", origin=name),)),
        ),
    )


def _in_turn(addresses: tuple[IPv4Address, ...]) -> str:
    """One address, or each of several in its turn."""
    if len(addresses) == 1:
        return str(addresses[0])
    return f"numgen inc mod {len(addresses)} map {{ {', '.join(f'{index} : {each}' for index, each in enumerate(addresses))} }} "


def _counting(name: str) -> NftTable:
    """Counters by CloudWatch's names. A connection is counted as answered and as ended once each, whatever is repeated."""
    return NftTable(
        name=CLOUDWATCH_TABLE,
        chains=(
            NftChain(
                name="connections",
                hook="type filter hook forward priority 10; policy accept;",
                rules=(
                    NftRule(statement="ct direction original counter", origin="OutToDestination"),
                    NftRule(statement="ct direction reply counter", origin="OutToSource"),
                    NftRule(statement="ct state new meta l4proto tcp counter", origin="ConnectionAttemptCount"),
                    NftRule(
                        statement=f"ct direction reply ct mark & {ESTABLISHED} == 0 tcp flags & (syn | ack) == syn | ack ct mark set ct mark | {ESTABLISHED} counter",
                        origin="ConnectionEstablishedCount",
                    ),
                    NftRule(
                        statement=f"tcp flags & (fin | rst) != 0 ct mark & {ESTABLISHED | CLOSED} == {ESTABLISHED} ct mark set ct mark | {CLOSED} counter",
                        origin="closed",
                    ),
                ),
            ),
            NftChain(
                name="received",
                hook="type filter hook prerouting priority mangle; policy accept;",
                rules=(
                    NftRule(statement="ct direction original counter", origin="InFromSource"),
                    NftRule(statement="ct direction reply counter", origin="InFromDestination"),
                ),
            ),
        ),
    )
