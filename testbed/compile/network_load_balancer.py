"""A Network Load Balancer becomes one namespace in each of its subnets, in which the kernel spreads connections over targets.

    client ─ fabric ─▶ eth0 ┐                            ┌ eth0 ─ fabric ─▶ target
    endpoint ────────▶ pl-… ┴ dnat: hash over 60 slots ──┴ snat to the node's own address

A node serves the targets of its own Availability Zone; with cross-zone load balancing, or where its zone has none, all of them. What is for no listener's
port vanishes. An established connection keeps its target whatever becomes of the slots.
Source: ELB user guide, "Network Load Balancers" (hash, zones, idle timeout 350 s), "Edit target group attributes for your NLB" (documented).
NOT MODELLED yet (4 of 4 completes the balancer): client address preservation, so every target sees the node's address, as it does on AWS with
``preserve_client_ip.enabled`` false and always through PrivateLink; health checks, so every registered target is taken to be healthy; UDP and TLS listeners; the reset after idleness.
"""

from __future__ import annotations

from testbed.compile import fabric, private_link
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.target_group import TargetGroup
from testbed.plan import Neighbour, NftChain, NftMap, NftRule, NftTable, NodeKind
from testbed.plan.names import identifier, mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

SLOTS = 60
SLOTS_PER_TARGET = 4
PORTS = "1024-65535"


def lower(balancer: LoadBalancer, resolved: Resolved) -> Fragment:
    """The nodes of the balancer."""
    return join(*(_node(balancer, interface, resolved) for interface in resolved.interfaces_of(balancer.id)))


def targets_of(group: TargetGroup, interface: ResolvedInterface, balancer: LoadBalancer, resolved: Resolved) -> tuple[ResolvedInterface, ...]:
    """The targets that one node serves, by id."""
    found = tuple(i for target in sorted(group.targets) for i in resolved.interfaces_of(target) if i.device == "eth0")
    near = tuple(i for i in found if i.availability_zone == interface.availability_zone)
    return found if balancer.load_balancing_cross_zone_enabled or not near else near


def _node(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    guest = guest_node(interface, NodeKind.LOAD_BALANCER, f"{balancer.id} ({interface.availability_zone})", resolved, forwards=private_link.sysctls(resolved))
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    neighbour = Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device)
    part = NodePart(name=interface.node, neighbours=(neighbour,), tables=(_table(balancer, interface, resolved),))
    return join(lower_interface(interface, resolved), Fragment(nodes=(guest, part)))


def _table(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> NftTable:
    listeners = tuple(listener for listener in resolved.topology.of(Listener) if listener.load_balancer_arn == balancer.id)
    groups = {group.id: group for group in resolved.topology.of(TargetGroup)}
    ends = tuple(str(private_link.link_addresses(endpoint, resolved)[1]) for endpoint in private_link.connected(interface, resolved))
    entrances = ", ".join((str(interface.address), *ends))
    rules, maps = [], []
    for listener in listeners:
        group = groups[next(action.target_group_arn for action in listener.default_actions if isinstance(action, Forward))]
        targets = targets_of(group, interface, balancer, resolved)
        slots = max(SLOTS, SLOTS_PER_TARGET * len(targets))
        name = identifier("targets", listener.id)
        elements = tuple((str(slot), f"{targets[slot % len(targets)].address} . {group.port}") for slot in range(slots)) if targets else ()
        maps.append(NftMap(name=name, type="mark", value_type="ipv4_addr . inet_service", elements=elements))
        for_listener = f"ip daddr {{ {entrances} }} tcp dport {listener.port}"
        if targets:
            hashed = f"jhash ip saddr . ip daddr . meta l4proto . tcp sport . tcp dport . tcp sequence mod {slots} seed 0x1"
            rules.append(NftRule(statement=f"{for_listener} meta mark set {hashed} dnat ip to meta mark map @{name}", origin=f"{listener.id} -> {group.id}"))
        rules.append(NftRule(statement=f"{for_listener} counter drop", origin=f"{group.id} has no target"))
    return NftTable(
        name="network_load_balancer",
        maps=tuple(maps),
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{balancer.id} has no such listener"),)),
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    private_link.clamp(balancer.id),
                    NftRule(statement="ct state established,related accept", origin=f"{balancer.id} known"),
                    NftRule(statement="ct state new ct status dnat accept", origin=f"{balancer.id} client"),
                    NftRule(statement="counter drop", origin=f"{balancer.id} has no such connection"),
                ),
            ),
            NftChain(name="to_target", hook="type nat hook prerouting priority dstnat; policy accept;", rules=tuple(rules)),
            NftChain(
                name="from_node",
                hook="type nat hook postrouting priority srcnat; policy accept;",
                rules=(NftRule(statement=f'oifname "{interface.device}" meta l4proto tcp snat to {interface.address}:{PORTS}', origin=f"{balancer.id} {interface.address}"),),
            ),
        ),
    )
