"""Rules in words: what ``sg-db#ingress[2]`` or ``acl-private#100`` says, from the model as it was written."""

from __future__ import annotations

from testbed.model.network_acl import DEFAULT_RULE, NetworkAcl, NetworkAclEntry
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.topology import Topology
from testbed.model.values import ANYWHERE, Packet, PortRange, Protocol, Verdict


class Words:
    """The rules of a topology, by their names."""

    def __init__(self, topology: Topology) -> None:
        self._groups = {group.id: group for group in topology.of(SecurityGroup)}
        self._acls = {acl.id: acl for acl in topology.of(NetworkAcl)}

    def of(self, origin: str, direction: str = "") -> str:
        """What the rule named `origin` says, without its name; empty for what is no written rule. `direction` tells an ACL's two rules of one number apart."""
        resource, mark, rule = origin.partition("#")
        if not mark:
            return ""
        if resource in self._acls:
            return _acl_words(self._acls[resource], rule, direction)
        flow, bracket, index = rule.partition("[")
        group = self._groups.get(resource)
        if group is None or not bracket or flow not in (Flow.INGRESS.value, Flow.EGRESS.value):
            return ""
        rules = group.rules(Flow(flow))
        number = index.rstrip("]")
        return group_rule_words(rules[int(number)], Flow(flow)) if number.isdigit() and int(number) < len(rules) else ""


def group_rule_words(rule: SecurityGroupRule, flow: Flow) -> str:
    """``tcp/5432 from sg-app``."""
    number = rule.protocol_number()
    if number == Protocol.ANY:
        what = "all traffic"
    elif number == Protocol.ICMP:
        what = "icmp" if rule.from_port in (None, -1) else f"icmp type {rule.from_port}"
    else:
        what = f"{rule.ip_protocol}{_ports(rule.from_port, rule.to_port)}"
    return f"{what} {'from' if flow is Flow.INGRESS else 'to'} {far_side(rule)}"


def far_side(rule: SecurityGroupRule) -> str:
    """Whom a rule is about: a CIDR block, a prefix list, another group."""
    named = (rule.security_group_id, getattr(rule, "prefix_list_id", None), rule.cidr_ip)
    return str(next((name for name in named if name is not None), "nobody"))


def _acl_words(acl: NetworkAcl, rule: str, direction: str) -> str:
    if rule == DEFAULT_RULE:
        return f"{direction} denies what no rule allows".strip()
    return next((_entry_words(entry) for entry in acl.entries if str(entry.rule_number) == rule and direction in ("", entry.direction.value)), "")


def _entry_words(entry: NetworkAclEntry) -> str:
    action = "allows" if entry.rule_action is Verdict.ALLOW else "denies"
    ports = "" if entry.port_range in (None, PortRange()) else _ports(entry.port_range.first, entry.port_range.last)
    what = "everything" if entry.protocol is Protocol.ANY else f"{entry.protocol.name.lower()}{ports}"
    where = "" if entry.cidr_block == ANYWHERE else f" {'from' if entry.direction.value == 'inbound' else 'to'} {entry.cidr_block}"
    return f"{entry.direction.value} {action} {what}{where}"


def _ports(first: int | None, last: int | None) -> str:
    if first is None or last is None or (first, last) == (0, 65535):
        return ""
    return f"/{first}" if first == last else f"/{first}-{last}"


def packet_words(packet: Packet) -> str:
    """``tcp port 5432``, ``icmp type 8``: what a rule has to name."""
    name = Protocol(packet.protocol).name.lower() if packet.protocol in tuple(Protocol) else f"protocol {packet.protocol}"
    if packet.protocol == Protocol.ICMP:
        return f"icmp type {packet.icmp_type}"
    return name if packet.destination_port is None else f"{name} port {packet.destination_port}"
