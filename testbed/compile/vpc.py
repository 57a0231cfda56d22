"""A VPC becomes one forwarding namespace, its fabric: no bridge, no broadcast, an interface per ENI. See `fabric` for the walk.

The fabric is silent: what has no route or no permission vanishes. It originates only path-MTU messages, from the sender's own .1.
Sources: VPC user guide, "Subnet CIDR blocks", "Network MTU" (documented); EC2 user guide, "Connection tracking timeouts" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from testbed.compile import fabric, flow_log, idle_timeouts, link_local, resets, vpn_gateway
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.places import forwarding_sysctls, region_of
from testbed.compile.transit_gateway_vpc_attachment import zone_letter
from testbed.compile.vpc_peering_connection import peerings_of
from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ICMP_TIMEOUT_S, OTHER_TIMEOUT_S, ConnectionTrackingSpecification
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, Route, RouteType
from testbed.plan.names import identifier
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedVpc, TargetKind


def lower(vpc: ResolvedVpc, resolved: Resolved) -> Fragment:
    """The fabric itself: identity, silence, the chains that every VPC has, and the resolver's addresses."""
    name = vpc.vpc.id
    resolver_addresses = resolver_addresses_of(vpc)
    hops, appliances = _same_subnet_hops(name, resolved), any(not fabric.is_end(interface) for interface in resolved.interfaces_in(name))
    filled = {s.subnet.cidr_block for s in resolved.subnets_in(name)}  # by one subnet, which is as silent itself
    silent = (
        Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{name} no route"),
        *(Route(destination=block, type=RouteType.BLACKHOLE, origin=f"{name} no such subnet") for block in vpc.vpc.cidr_blocks if block not in filled),
    )
    part = NodePart(
        name=name,
        identity=Node(name=name, kind=NodeKind.FABRIC, label=f"{name} {' '.join(map(str, vpc.vpc.cidr_blocks))}", origin=name, city=region_of(resolved, vpc.vpc.region).city, group=name, keeps_ttl=True),
        loopback=tuple(IPv4Interface(address) for address in (*resolver_addresses, link_local.INSTANCE_METADATA, link_local.TIME_SYNC)),
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
                sets=(NftSet(name="resolver", type="ipv4_addr", elements=tuple(sorted(map(str, resolver_addresses)))), link_local.LIMITED, fabric.doors(fabric.quoted("lo")), NftSet(name=fabric.ALWAYS_TRACKED, type="iface_index"), *((resets.RESETS,) if appliances else ())),
                maps=(fabric.own_addresses(()), *(fabric.verdicts(n, ()) for n in ("enter_subnet", "from_interface", "leave_subnet", *fabric.END_MAPS))),
                chains=(*fabric.base_chains(bool(_checked_targets(name, resolved)), same_subnet_hops=bool(hops.elements), crossing=flow_log.crossing(name, resolved), appliances=appliances), _input_chain(name, peered=bool(peerings_of(name, resolved)), told=vpn_gateway.propagation_rules(name, resolved))),
            ),
        ),
    )
    within = (NodePart(name=name, tables=(NftTable(name=fabric.TABLE, sets=(hops,)),)),) if hops.elements else ()
    timeouts = idle_timeouts.part(name, resolved)
    return Fragment(nodes=(part, *within, *_destination_checks(name, resolved), *(() if timeouts is None else (timeouts,))))


def resolver_addresses_of(vpc: ResolvedVpc) -> tuple[IPv4Address, ...]:
    """Where the VPC's resolver answers: base+2 of the primary CIDR and 169.254.169.253, unless DNS support is off."""
    return (vpc.resolver, link_local.RESOLVER) if vpc.vpc.enable_dns_support else ()


def conntrack_sysctls(time_scale: float, timeouts: ConnectionTrackingSpecification = DEFAULT_TIMEOUTS) -> tuple[tuple[str, str], ...]:
    """AWS's idle timeouts, in this lab's time. A packet outside TCP's window is the end host's affair, not a filter's."""

    def scaled(seconds: int) -> str:
        return str(max(1, round(seconds / time_scale)))

    return (
        ("netfilter/nf_conntrack_generic_timeout", scaled(OTHER_TIMEOUT_S)),
        ("netfilter/nf_conntrack_icmp_timeout", scaled(ICMP_TIMEOUT_S)),
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("netfilter/nf_conntrack_tcp_timeout_established", scaled(timeouts.tcp_established_timeout_s)),
        ("netfilter/nf_conntrack_udp_timeout", scaled(timeouts.udp_timeout_s)),
        ("netfilter/nf_conntrack_udp_timeout_stream", scaled(timeouts.udp_stream_timeout_s)),
    )


def _input_chain(name: str, *, peered: bool, told: tuple[NftRule, ...]) -> NftChain:
    strangers = (NftRule(statement=f'iifname "{fabric.PEERING_PREFIX}*" counter drop', origin=f"{name} answers no peer"),) if peered else ()
    return NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(*strangers, *told, *link_local.rules(name)))


def _checked_targets(name: str, resolved: Resolved) -> tuple[str, ...]:
    """Interfaces to which a route leads though they take only what is addressed to them."""
    targets = {
        route.target for table in resolved.route_tables_in(name) for route in table.routes if route.target_kind is TargetKind.NETWORK_INTERFACE
    }
    return tuple(i.id for i in resolved.interfaces_in(name) if i.source_dest_check and i.id in targets)


def _same_subnet_hops(name: str, resolved: Resolved) -> NftSet:
    """Pairs of devices: an interface, or a transit gateway's end, and another interface of its subnet to which the subnet's route table leads."""
    routes = {table.id: table.routes for table in resolved.route_tables_in(name)}
    inside = resolved.interfaces_in(name)
    pairs = set()
    for subnet in resolved.subnets_in(name):
        targets = {r.target for r in routes[subnet.route_table] if r.target_kind in (TargetKind.NETWORK_INTERFACE, TargetKind.NAT_GATEWAY)}
        neighbours = [interface for interface in inside if interface.subnet == subnet.subnet.id]
        arriving = [
            fabric.quoted(fabric.transit_gateway_device(attachment.id, zone_letter(number))) for attachment in resolved.attachments_to(name) for number, attached in attachment.subnets if attached == subnet.subnet.id
        ]
        for hop in (i for i in neighbours if i.id in targets or (i.owner in targets and i.owner_kind is OwnerKind.NAT_GATEWAY)):
            pairs |= {f"{device} . {fabric.quoted(fabric.device(hop))}" for device in (*(fabric.quoted(fabric.device(i)) for i in neighbours if i is not hop), *arriving)}
    return NftSet(name=fabric.SAME_SUBNET_HOPS, type="iface_index . iface_index", elements=tuple(sorted(pairs)))


def _destination_checks(name: str, resolved: Resolved) -> tuple[NodePart, ...]:
    parts = []
    checked = frozenset(_checked_targets(name, resolved))
    for interface in resolved.interfaces_in(name):
        if interface.id not in checked:
            continue
        chain = identifier("destination_check", interface.id)
        rule = NftRule(statement=f"ip daddr != {fabric.addresses(interface)} counter drop", origin=f"{interface.id} source/destination check")
        check = NftMap(name="destination_check", type="iface_index", value_type="verdict", elements=((fabric.quoted(fabric.device(interface)), f"jump {chain}"),))
        parts.append(fabric.chains(name, NftChain(name=chain, rules=(rule,)), maps=(check,)))
    return tuple(parts)
