"""A VPC becomes one forwarding namespace, its fabric: no bridge, no broadcast, an interface per ENI. See `fabric` for the walk.

The fabric is silent: what has no route or no permission vanishes. It originates only path-MTU messages, from the sender's own .1.
Sources: VPC user guide, "Subnet CIDR blocks", "Network MTU" (documented); EC2 user guide, "Connection tracking timeouts" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.places import forwarding_sysctls, region_of
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, Route, RouteType
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved, ResolvedVpc, TargetKind

RESOLVER_LINK_LOCAL = IPv4Address("169.254.169.253")
DNS_PORT = 53
TCP_ESTABLISHED_S, UDP_SINGLE_S, UDP_STREAM_S = 350, 30, 180
"""Idle timeouts of security groups: TCP on current (Nitro v6) families, UDP of one exchange, UDP of several."""


def lower(vpc: ResolvedVpc, resolved: Resolved) -> Fragment:
    """The fabric itself: identity, silence, the chains that every VPC has, and the resolver's addresses."""
    name = vpc.vpc.id
    resolver_addresses = resolver_addresses_of(vpc)
    silent = (
        Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{name} no route"),
        Route(destination=IPv4Network(vpc.vpc.cidr_block), type=RouteType.BLACKHOLE, origin=f"{name} no such subnet"),
    )
    part = NodePart(
        name=name,
        identity=Node(name=name, kind=NodeKind.FABRIC, label=f"{name} {vpc.vpc.cidr_block}", origin=name, city=region_of(resolved, vpc.vpc.region).city, group=name),
        loopback=tuple(IPv4Interface(address) for address in resolver_addresses),
        sysctls=(
            *forwarding_sysctls(),
            ("ipv4/conf/all/accept_local", "1"),  # path-MTU messages come back through NAT gateways with the fabric's own .1 as source
            ("ipv4/fwmark_reflect", "1"),
            *conntrack_sysctls(resolved.topology.time_scale),
        ),
        routes=silent,
        tables=(
            NftTable(
                name=fabric.TABLE,
                sets=(NftSet(name="resolver", type="ipv4_addr", elements=tuple(sorted(map(str, resolver_addresses)))),),
                maps=tuple(fabric.verdicts(n, ()) for n in ("enter_subnet", "from_interface", "leave_subnet", "receiver_groups", "sender_groups")),
                chains=(*fabric.base_chains(bool(_checked_targets(name, resolved))), _input_chain(name)),
            ),
            fabric.ttl_table(),
        ),
    )
    return Fragment(nodes=(part, *_destination_checks(name, resolved)))


def resolver_addresses_of(vpc: ResolvedVpc) -> tuple[IPv4Address, ...]:
    """Where the VPC's resolver answers: base+2 of the primary CIDR and 169.254.169.253, unless DNS support is off."""
    return (vpc.resolver, RESOLVER_LINK_LOCAL) if vpc.vpc.enable_dns_support else ()


def conntrack_sysctls(time_scale: float) -> tuple[tuple[str, str], ...]:
    """AWS's idle timeouts, in this lab's time. A packet outside TCP's window is the end host's affair, not a filter's."""

    def scaled(seconds: int) -> str:
        return str(max(1, round(seconds / time_scale)))

    return (
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("netfilter/nf_conntrack_tcp_timeout_established", scaled(TCP_ESTABLISHED_S)),
        ("netfilter/nf_conntrack_udp_timeout", scaled(UDP_SINGLE_S)),
        ("netfilter/nf_conntrack_udp_timeout_stream", scaled(UDP_STREAM_S)),
    )


def _input_chain(name: str) -> NftChain:
    return NftChain(
        name="input",
        hook="type filter hook input priority filter; policy drop;",
        rules=(
            NftRule(statement=f"ip daddr @resolver meta l4proto {{ tcp, udp }} th dport {DNS_PORT} accept", origin=f"{name} resolver"),
            NftRule(statement="counter drop", origin=f"{name} reserved address"),
        ),
    )


def _checked_targets(name: str, resolved: Resolved) -> tuple[str, ...]:
    """Interfaces to which a route leads though they take only what is addressed to them."""
    targets = {
        route.target for table in resolved.route_tables if table.vpc == name for route in table.routes if route.target_kind is TargetKind.NETWORK_INTERFACE
    }
    return tuple(i.id for i in resolved.interfaces if i.source_dest_check and i.id in targets)


def _destination_checks(name: str, resolved: Resolved) -> tuple[NodePart, ...]:
    parts = []
    for interface in resolved.interfaces:
        if interface.id not in _checked_targets(name, resolved):
            continue
        chain = identifier("destination_check", interface.id)
        rule = NftRule(statement=f"ip daddr != {interface.address} counter drop", origin=f"{interface.id} source/destination check")
        check = NftMap(name="destination_check", type="ifname", value_type="verdict", elements=((fabric.quoted(fabric.device(interface)), f"jump {chain}"),))
        parts.append(fabric.chains(name, NftChain(name=chain, rules=(rule,)), maps=(check,)))
    return tuple(parts)
