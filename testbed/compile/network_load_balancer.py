"""A Network Load Balancer becomes one namespace in each of its subnets, in which the kernel spreads flows over targets, and a daemon that knows their health.

    prerouting nat   a listener's protocol and port ─▶ its chain: hash ─▶ slot ─▶ dnat to a target; no target: drop
    forward          known flow, or its first packet ─▶ on; TCP without a flow (idle, or ended) ─▶ RST to whoever sent it; ICMP other than type 3: drop
    postrouting nat  the client's address stays, or becomes the node's own
    input            stray TCP for a listener, or from a target ─▶ RST; answers to the node's own health checks; else nothing: no ping, no other port

    client ─ fabric ─▶ eth0 ┐                             ┌ eth0 ─ fabric ─▶ target: its replies come back here, though they are for the client (`return_path`)
    endpoint ────────▶ pl-… ┴─── slots of the group ──────┴

The hash is of protocol, addresses, ports and, for TCP, the first sequence number; by source address alone where the group is sticky. A flow keeps its target whatever
becomes of the slots, which `services.nlb` writes by health. A node without targets of its own zone, cross-zone load balancing off, serves nobody (assumed: silently).
With its client's address kept, a target that reaches itself has a packet from its own address, which no host accepts: the hairpin fails by itself.
Source: ELB user guide, "Network Load Balancers" (hash, zones, idle timeouts), "Update the TCP idle timeout for your NLB listener", "Edit target group attributes for your NLB" (documented).
TLS listeners and groups with PROXY protocol v2 have bytes put into their connections: a process carries these (`network_relay`).
Assumed: the node is a hop (TTL). NOT MODELLED: QUIC listeners; a flow whose fabric has forgotten it (security groups' idle timeouts) before the balancer has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network

from services.common.config import encode
from services.nlb.config import Config, Target, slots_for, spread
from testbed.compile import fabric, network_relay, private_link, return_path
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.instance import service_name as instance_service_name
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.network_target_group import group_config, is_relayed, keepers, listeners_of, map_name, targets_of
from testbed.compile.places import forwarding_sysctls
from testbed.compile.zone_health import zone_health_file
from testbed.model.instance import Instance, WebApplication
from testbed.model.listener import Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.target_group import ALB, NETWORK_PROTOCOLS, TargetGroup
from testbed.plan import Neighbour, NftChain, NftMap, NftRule, NftSet, NftTable, NftTimeout, NodeKind, Route, ServiceSpec
from testbed.plan.names import identifier, mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND, APPLICATION_KIND = "nlb", "alb"
TABLE, TIMEOUTS_TABLE = "network_load_balancer", "idle_timeouts"
PORTS = "1024-65535"
HIDDEN = 1
"""Connection mark of this namespace: the target sees the node's address."""
TCP_IDLE_S, UDP_IDLE_S = 350, 120
TARGETS = "targets"
Served = tuple[tuple[Listener, TargetGroup, tuple[Target, ...]], ...]
"""What a node serves: each listener, its group, and the targets here."""


def lower(balancer: LoadBalancer, resolved: Resolved) -> Fragment:
    """The nodes of the balancer."""
    return join(*(_node(balancer, interface, resolved) for interface in resolved.interfaces_of(balancer.id)))


def _node(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    guest = guest_node(interface, NodeKind.LOAD_BALANCER, f"{balancer.id} ({interface.availability_zone})", resolved, forwards=_sysctls(resolved))
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    neighbour = Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device)
    served = tuple((listener, group, targets_of(group, interface, balancer, resolved)) for listener, group in listeners_of(balancer, resolved))
    timeouts = _timeouts(served, resolved.topology.time_scale)
    part = NodePart(name=interface.node, neighbours=(neighbour,), tables=(_table(balancer, interface, served, resolved), *timeouts))
    parts = (guest, part, *network_relay.part(balancer, interface, served, resolved))
    return join(lower_interface(interface, resolved), Fragment(nodes=parts, services=_services(balancer, interface, served, resolved)), _returns(interface, resolved))


def _services(balancer: LoadBalancer, interface: ResolvedInterface, served: Served, resolved: Resolved) -> tuple[ServiceSpec, ...]:
    groups = {group.id: group for _, group in listeners_of(balancer, resolved)}
    if not groups:
        return ()
    config = Config(
        load_balancer=balancer.id,
        availability_zone=interface.availability_zone,
        zone_health_file=zone_health_file(interface.node),
        table=TABLE,
        target_groups=tuple(group_config(groups[name], interface, balancer, resolved) for name in sorted(groups)),
    )
    after = _after(groups.values(), resolved)
    checks = ServiceSpec(name=f"{interface.node}.{KIND}", kind=KIND, node=interface.node, config=encode(config), after=after, origin=balancer.id)
    return (checks, *network_relay.service(balancer, interface, served, after, resolved))


def _after(groups: Collection[TargetGroup], resolved: Resolved) -> tuple[str, ...]:
    """The targets' own services: a first health check before they are there would cost an interval."""
    registered = {target for group in groups for target in group.targets}
    applications = (instance_service_name(each) for each in resolved.topology.of(Instance) if each.id in registered and isinstance(each.user_data, WebApplication))
    balancers = (f"{node.node}.{APPLICATION_KIND}" for group in groups if group.target_type == ALB for target in group.targets for node in resolved.interfaces_of(target))
    return tuple(sorted((*applications, *balancers)))


def _returns(interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    """Replies to what the node sends on with its client's address come back to it."""
    if interface not in keepers(resolved, interface.vpc):
        return Fragment()
    device, origin = fabric.device(interface), f"{interface.owner} client's address kept"
    subnet = fabric.subnet_of(resolved, interface.subnet).subnet.cidr_block
    table = return_path.kernel_table(interface.vpc, interface.id, resolved)
    route = Route(destination=fabric.EVERYTHING, device=device, via=interface.address, onlink=True, table=table, origin=origin)
    return return_path.lower(interface.vpc, interface.id, device, f"ip saddr != {interface.address}", route, resolved, origin=origin, subnet=subnet)


def _sysctls(resolved: Resolved) -> tuple[tuple[str, str], ...]:
    """Idle timeouts in this lab's time; a TCP packet without a connection makes none."""

    def scaled(seconds: int) -> str:
        return str(max(1, round(seconds / resolved.topology.time_scale)))

    return (
        *forwarding_sysctls(),
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("netfilter/nf_conntrack_tcp_loose", "0"),
        ("netfilter/nf_conntrack_tcp_timeout_established", scaled(TCP_IDLE_S)),
        ("netfilter/nf_conntrack_udp_timeout", scaled(UDP_IDLE_S)),
        ("netfilter/nf_conntrack_udp_timeout_stream", scaled(UDP_IDLE_S)),
    )


def _timeouts(served: Served, time_scale: float) -> tuple[NftTable, ...]:
    """Listeners' own idle timeouts: objects, in a table by itself because replacing one takes its objects from the flows that have them."""
    own = sorted({(listener.tcp_idle_timeout_seconds, listener.port) for listener, group, _ in served if "tcp" in NETWORK_PROTOCOLS[listener.protocol] and listener.tcp_idle_timeout_seconds != TCP_IDLE_S and not is_relayed(listener, group)})
    relayed, of_relay = network_relay.timeout(served)
    if not own and not relayed:
        return ()
    objects = tuple(NftTimeout(name=f"tcp_{seconds}", protocol="tcp", policy=(("established", max(1, round(seconds / time_scale))),)) for seconds in sorted({seconds for seconds, _ in own}))
    rules = tuple(NftRule(statement=f'meta l4proto tcp ct original proto-dst {port} ct timeout set "tcp_{seconds}"') for seconds, port in own)
    chain = NftChain(name="new_flows", hook="type filter hook forward priority -1; policy accept;", rules=(NftRule(statement="ct state != new accept"), *rules))
    return (NftTable(name=TIMEOUTS_TABLE, timeouts=(*objects, *relayed), chains=(*((chain,) if own else ()), *of_relay)),)


def _table(balancer: LoadBalancer, interface: ResolvedInterface, served: Served, resolved: Resolved) -> NftTable:
    name = balancer.id
    ends = tuple(str(private_link.link_addresses(endpoint, resolved)[1]) for endpoint in private_link.connected(interface, resolved))
    hidden = (NftRule(statement=f'iifname "{private_link.BALANCER_PREFIX}*" ct mark set {HIDDEN:#x}', origin=f"{name} through PrivateLink"),) if ends else ()
    clamp = (private_link.clamp(name),) if ends else ()
    targets = sorted({target.element for _, _, found in served for target in found})
    return NftTable(
        name=TABLE,
        sets=(NftSet(name=TARGETS, type="ipv4_addr . inet_service", elements=tuple(targets)),),
        maps=tuple(sorted((_listeners((str(interface.address), *ends), served), *_maps(served)), key=lambda each: each.name)),
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=tuple(_input(name, served))),
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    *clamp,
                    NftRule(statement="ct state established accept", origin=f"{name} known"),
                    NftRule(statement="ct state new ct status dnat accept", origin=f"{name} client"),
                    NftRule(statement="ct state related icmp type destination-unreachable accept", origin=f"{name} ICMP type 3"),
                    NftRule(statement="ct state invalid meta l4proto tcp counter reject with tcp reset", origin=f"{name} has no such connection (idle for {TCP_IDLE_S} s?)"),
                    NftRule(statement="counter drop", origin=f"{name} has no such flow"),
                ),
            ),
            NftChain(name="to_target", hook="type nat hook prerouting priority dstnat; policy accept;", rules=(*hidden, NftRule(statement="ip daddr . meta l4proto . th dport vmap @listeners"))),
            *_to_targets(served),
            NftChain(name="from_node", hook="type nat hook postrouting priority srcnat; policy accept;", rules=tuple(_from_node(interface, served, resolved))),
            *network_relay.chains(balancer, interface, served),
        ),
    )


def _maps(served: Served) -> tuple[NftMap, ...]:
    """The slots of each group, as if every target were healthy; the daemon knows better (decision 0011)."""
    maps = {}
    for _, group, targets in served:
        slots = slots_for(len(targets))
        elements = tuple((str(slot), target.element) for slot, target in enumerate(spread(targets, targets, slots)))
        maps[group.id] = NftMap(name=map_name(group), type="mark", value_type="ipv4_addr . inet_service", elements=elements, size=slots)
    return tuple(maps[name] for name in sorted(maps))


def _listeners(entrances: tuple[str, ...], served: Served) -> NftMap:
    """Which chain a new flow goes to, by what it asks for."""
    keys = ((f"{entrance} . {protocol} . {listener.port}", f"goto {_chain(listener, protocol)}") for listener, _, _ in _carried(served) for protocol in NETWORK_PROTOCOLS[listener.protocol] for entrance in entrances)
    return NftMap(name="listeners", type="ipv4_addr . inet_proto . inet_service", value_type="verdict", elements=tuple(sorted(keys)))


def _carried(served: Served) -> Served:
    """What the kernel carries."""
    return tuple(each for each in served if not is_relayed(each[0], each[1]))


def _chain(listener: Listener, protocol: str) -> str:
    return identifier("listener", listener.id, protocol)


def _to_targets(served: Served) -> Iterator[NftChain]:
    """A chain for each listener and protocol."""
    for listener, group, targets in _carried(served):
        for protocol in NETWORK_PROTOCOLS[listener.protocol]:
            mark = "" if group.preserves_client else f"ct mark set {HIDDEN:#x} "
            chosen = f"meta mark set {_hash(group, protocol)} mod {slots_for(len(targets))} seed 0x1 dnat ip to meta mark map @{map_name(group)}"
            forward = (NftRule(statement=f"{mark}{chosen}", origin=f"{listener.id} -> {group.id}"),) if targets else ()
            yield NftChain(name=_chain(listener, protocol), rules=(*forward, NftRule(statement="counter drop", origin=f"{group.id} has no target here")))


def _hash(group: TargetGroup, protocol: str) -> str:
    """What differs among the flows of one listener, protocol and node's address."""
    if group.stickiness_enabled:
        return "jhash ip saddr"
    return f"jhash ip saddr . {protocol} sport{' . tcp sequence' if protocol == 'tcp' else ''}"


def _from_node(interface: ResolvedInterface, served: Served, resolved: Resolved) -> Iterator[NftRule]:
    own = f"meta l4proto {{ tcp, udp }} snat to {interface.address}:{PORTS}"
    yield NftRule(statement=f"ct mark {HIDDEN:#x} {own}", origin=f"{interface.owner} {interface.address}")
    blocks = fabric.vpc_of(resolved, interface.vpc).vpc.cidr_blocks
    if any(not _inside(target, blocks) for _, _, targets in served for target in targets):
        yield NftRule(statement=f"ct status dnat ip daddr != {{ {', '.join(map(str, blocks))} }} {own}", origin=f"{interface.owner} {interface.address}: a target outside its VPC")


def _inside(target: Target, blocks: tuple[IPv4Network, ...]) -> bool:
    return any(target.address in block for block in blocks)


def _input(name: str, served: Served) -> Iterator[NftRule]:
    yield NftRule(statement="ct state established,related accept", origin=f"{name} health check")
    ports = sorted({listener.port for listener, _, _ in served if "tcp" in NETWORK_PROTOCOLS[listener.protocol]})
    if ports:
        stray = "ct state invalid counter reject with tcp reset"
        yield NftRule(statement=f"tcp dport {{ {', '.join(map(str, ports))} }} {stray}", origin=f"{name} has no such connection (idle for {TCP_IDLE_S} s?)")
        yield NftRule(statement=f"ip saddr . tcp sport @{TARGETS} {stray}", origin=f"{name} has no such connection (idle for {TCP_IDLE_S} s?)")
    yield from network_relay.accepted(name, served)
    yield NftRule(statement="counter drop", origin=f"{name} has no such listener")
