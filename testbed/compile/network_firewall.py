"""A firewall's endpoint becomes a node with the stateless engine, and one behind it with the stateful one, which is Suricata.

    fabric ── eth0 [ nfw-a: stateless rules in nftables ] to-engine ── in [ nfw-a-engine: Suricata, frame by frame ] out ── from-engine [ nfw-a ] eth0 ── fabric
                     aws:pass      ─▶ mark 1 ─▶ back by eth0 to the subnet's .1
                     aws:forward   ─▶ mark 2 ─▶ to-engine;  what comes out by from-engine ─▶ mark 1
                     aws:drop      ─▶ gone

Both directions of a flow go the same way round. The stateful engine fails closed: without a Suricata nothing crosses it. No `ct` word may stand in these namespaces: the stateless engine has
no memory and sees fragments as they are. The endpoint changes nothing, is no hop, answers nobody, and what is larger than 8500 bytes vanishes at its link.
In the fabric it is no end of a flow, as the port of an appliance is none: each packet crosses the fabric twice.
Source: Network Firewall developer guide, "How AWS Network Firewall works", "Stateless and stateful rules engines in AWS Network Firewall" (documented).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from services.common.config import encode
from services.suricata.config import Config, Rule
from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import end_sysctls, forwarding_sysctls
from testbed.model.firewall_policy import FirewallPolicy
from testbed.model.firewall_policy import ordered as in_order
from testbed.model.network_firewall import MTU_BYTES, NetworkFirewall
from testbed.model.rule_group import STRICT_ORDER, RuleGroup
from testbed.model.stateful_rule import StatefulRule, Variables, expand
from testbed.model.stateless_rule import DROP, FORWARD, StatelessRule
from testbed.model.values import PortRange
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftTable, Node, NodeKind, PlanError, PolicyRule, Route, ServiceSpec
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND = "suricata"
TO_ENGINE, FROM_ENGINE, IN, OUT = "to-engine", "from-engine", "in", "out"
ONWARD, INSPECT, MARK_MASK = 1, 2, 0xFF
FIRST_TABLE = 100
INVISIBLE_END = IPv4Address("169.254.0.4")
"""Next hop behind the engine: a permanent neighbour entry, never seen in a packet."""


def lower(firewall: NetworkFirewall, resolved: Resolved) -> Fragment:
    """Every endpoint, each with its engines."""
    return join(*(_at(firewall, interface, resolved) for interface in resolved.interfaces_of(firewall.id)))


def engine_node(interface: ResolvedInterface) -> str:
    """The namespace of an endpoint's stateful engine."""
    return f"{interface.node}-engine"


def service_name(interface: ResolvedInterface) -> str:
    """The service of an endpoint's stateful engine."""
    return f"{interface.node}.{KIND}"


def _at(firewall: NetworkFirewall, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    policy, groups = _policy(firewall, resolved)
    endpoint, engine = interface.node, engine_node(interface)
    near, far = _end(endpoint, TO_ENGINE, offloads=False), _end(endpoint, FROM_ENGINE)
    inward, outward = _end(engine, IN), _end(engine, OUT)
    guest = guest_node(interface, NodeKind.NETWORK_FIREWALL, f"{firewall.id} endpoint in {interface.availability_zone}", resolved, forwards=forwarding_sysctls())
    if guest.identity is None:
        raise PlanError(f"{endpoint} has no identity")
    identity = replace(guest.identity, keeps_ttl=True)
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    nodes = (
        replace(guest, identity=identity),
        NodePart(
            name=endpoint,
            routes=(
                Route(destination=fabric.EVERYTHING, device=interface.device, via=router, onlink=True, table=FIRST_TABLE + ONWARD, origin=f"{interface.subnet} router"),
                Route(destination=fabric.EVERYTHING, device=TO_ENGINE, via=INVISIBLE_END, onlink=True, table=FIRST_TABLE + INSPECT, origin=f"{policy.id} stateful engine"),
            ),
            rules=tuple(PolicyRule(priority=FIRST_TABLE + mark, mark=mark, mask=MARK_MASK, table=FIRST_TABLE + mark, origin=firewall.id) for mark in (ONWARD, INSPECT)),
            neighbours=(
                Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device),
                Neighbour(address=INVISIBLE_END, mac=far.mac, device=TO_ENGINE),
            ),
            tables=(_stateless(firewall, interface, policy, in_order(policy.stateless_rule_group_references, groups)),),
        ),
        NodePart(
            name=engine,
            identity=Node(name=engine, kind=NodeKind.NETWORK_FIREWALL, label=f"{endpoint} stateful engine", origin=firewall.id, city=identity.city, group=interface.vpc),
            sysctls=end_sysctls(),
            routes=(Route(destination=fabric.EVERYTHING, device=OUT, via=INVISIBLE_END, onlink=True, origin=f"{policy.id} rejects"),),
            neighbours=(Neighbour(address=INVISIBLE_END, mac=far.mac, device=OUT),),
        ),
    )
    links = (ordered(Link(a=near, b=inward, origin=firewall.id)), ordered(Link(a=far, b=outward, origin=firewall.id)))
    service = _engine(firewall, interface, policy, in_order(policy.stateful_rule_group_references, groups), resolved)
    return join(lower_interface(interface, resolved, mtu_bytes=MTU_BYTES, fabric_mtu_bytes=fabric.VPC_MTU_BYTES), Fragment(nodes=nodes, links=links, services=(service,)))


def _policy(firewall: NetworkFirewall, resolved: Resolved) -> tuple[FirewallPolicy, dict[str, RuleGroup]]:
    policy = next((each for each in resolved.topology.of(FirewallPolicy) if each.id == firewall.firewall_policy_arn), None)
    if policy is None:
        raise PlanError(f"{firewall.id} has no policy")
    return policy, {group.id: group for group in resolved.topology.of(RuleGroup)}


def _end(node: str, name: str, *, offloads: bool = True) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), mtu_bytes=MTU_BYTES, sysctls=(("send_redirects", "0"),), offloads=offloads, origin=node)


def _stateless(firewall: NetworkFirewall, interface: ResolvedInterface, policy: FirewallPolicy, groups: tuple[RuleGroup, ...]) -> NftTable:
    rules = (
        *(_verdict(_conditions(rule), rule.action, f"{group.id}#{rule.priority}") for group in groups for rule in sorted(group.stateless_rules, key=lambda rule: rule.priority)),
        _verdict("ip frag-off & 0x3fff != 0", policy.stateless_fragment_default_actions, f"{policy.id} stateless fragment default"),
        _verdict("", policy.stateless_default_actions, f"{policy.id} stateless default"),
    )
    from_engine = NftRule(statement=f'iifname "{FROM_ENGINE}" meta mark set {ONWARD:#x} accept', origin=f"{policy.id} stateful engine")
    stranger = NftRule(statement=f'iifname != "{interface.device}" counter drop', origin=f"{firewall.id} takes packets from its subnet alone")
    nothing = NftRule(statement="counter drop", origin=f"{firewall.id} answers nobody")
    return NftTable(
        name="network_firewall",
        chains=(
            NftChain(name="prerouting", hook="type filter hook prerouting priority raw; policy drop;", rules=(from_engine, stranger, *rules)),
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(nothing,)),
            NftChain(name="output", hook="type filter hook output priority filter; policy drop;", rules=(nothing,)),
        ),
    )


def _verdict(conditions: str, action: str, origin: str) -> NftRule:
    if action == DROP:
        return NftRule(statement=f"{conditions} counter drop".strip(), origin=origin)
    return NftRule(statement=f"{conditions} meta mark set {INSPECT if action == FORWARD else ONWARD:#x} counter accept".strip(), origin=f"{origin} {action}")


def _conditions(rule: StatelessRule) -> str:
    words = (
        f"meta l4proto {_set(str(int(protocol)) for protocol in rule.protocols)}" if rule.protocols else "",
        f"ip saddr {_blocks(rule.sources)}" if rule.sources else "",
        f"ip daddr {_blocks(rule.destinations)}" if rule.destinations else "",
        f"th sport {_ports(rule.source_ports)}" if rule.source_ports else "",
        f"th dport {_ports(rule.destination_ports)}" if rule.destination_ports else "",
    )
    return " ".join(word for word in words if word)


def _set(elements: Iterable[str]) -> str:
    return f"{{ {', '.join(elements)} }}"


def _blocks(blocks: Iterable[IPv4Network]) -> str:
    return _set(map(str, collapse_addresses(blocks)))


def _ports(ranges: Iterable[PortRange]) -> str:
    """The ports of all ranges; an anonymous set takes none twice."""
    merged: list[PortRange] = []
    for each in sorted(ranges, key=lambda each: (each.first, each.last)):
        if merged and each.first <= merged[-1].last:
            merged[-1] = PortRange(first=merged[-1].first, last=max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return _set(f"{each.first}-{each.last}" if each.first != each.last else str(each.first) for each in merged)


def _engine(firewall: NetworkFirewall, interface: ResolvedInterface, policy: FirewallPolicy, groups: tuple[RuleGroup, ...], resolved: Resolved) -> ServiceSpec:
    home = resolved.vpc(firewall.vpc_id).vpc.cidr_blocks
    rules = tuple(Rule(group=group.id, sid=rule.sid or 0, text=_written_out(rule, group.variables(home))) for group in groups for rule in group.rules())
    config = Config(
        name=interface.node,
        firewall=firewall.id,
        policy=policy.id,
        availability_zone=interface.availability_zone,
        inward=IN,
        outward=OUT,
        rules=rules,
        strict=policy.rule_order == STRICT_ORDER,
        default_actions=policy.stateful_default_actions,
    )
    return ServiceSpec(name=service_name(interface), kind=KIND, node=engine_node(interface), config=encode(config), origin=firewall.id)


def _written_out(rule: StatefulRule, variables: Variables) -> str:
    """The rule in Suricata's words, without variables."""
    return replace(
        rule,
        source=expand(rule.source, variables),
        source_port=expand(rule.source_port, variables),
        destination=expand(rule.destination, variables),
        destination_port=expand(rule.destination_port, variables),
    ).text()
