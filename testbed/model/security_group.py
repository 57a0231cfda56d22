"""Security groups: the stateful filter at a network interface.

Decides whether an interface may begin or receive a flow. Rules only allow; all rules of all groups of an interface are one
union, without order. Replies of an admitted flow are not asked about: that memory belongs to the interface (`oracle`, the fabric).
Which flows it remembers is said by `tracked`: one that is not remembered is judged packet by packet, and ends when its rule goes.

Source: VPC user guide, "Security group rules"; EC2 user guide, "Amazon EC2 security group connection tracking" (documented).
NOT MODELLED: IPv6 rules.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.values import ANYWHERE, Decision, Fault, Packet, Protocol, Verdict, id_faults, network, network_faults

PROTOCOL_NUMBERS = {"-1": Protocol.ANY.value, "tcp": Protocol.TCP.value, "udp": Protocol.UDP.value, "icmp": Protocol.ICMP.value}
ANY_ICMP = -1
HIGHEST_PORT = 65535

Members = Mapping[str, Container[IPv4Address]]
"""What a rule may name instead of a block, by id: the private addresses of the interfaces that hold a group, the addresses of a prefix list."""


class Flow(enum.Enum):
    """As seen from the interface: INGRESS reaches it, EGRESS leaves it."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupRule:
    """One permission. The far side is `cidr_ip`, the members of `security_group_id` or the blocks of `prefix_list_id` (CloudFormation's Source-/DestinationSecurityGroupId and -PrefixListId).

    `ip_protocol` is AWS's: ``tcp``, ``udp``, ``icmp``, ``-1`` for all, or a protocol number. For ICMP `from_port` is the type and
    `to_port` the code, -1 meaning any. Ports None mean all.
    """

    ip_protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr_ip: IPv4Network | None = None
    security_group_id: str | None = None
    prefix_list_id: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.cidr_ip is not None:
            object.__setattr__(self, "cidr_ip", network(self.cidr_ip))

    def protocol_number(self) -> int | None:
        """The IANA number of `ip_protocol`, -1 for all, None if it is no protocol."""
        if self.ip_protocol in PROTOCOL_NUMBERS:
            return PROTOCOL_NUMBERS[self.ip_protocol]
        number = int(self.ip_protocol) if self.ip_protocol.isascii() and self.ip_protocol.isdigit() else -1
        return number if 0 <= number <= 255 else None

    def matches(self, packet: Packet, flow: Flow, members: Members) -> bool:
        """Whether the rule permits a flow that begins with this packet."""
        far_side = packet.source if flow is Flow.INGRESS else packet.destination
        named = self.security_group_id or self.prefix_list_id
        if named is not None:
            if far_side not in members.get(named, ()):
                return False
        elif self.cidr_ip is None or far_side not in self.cidr_ip:
            return False
        return self.speaks_of(packet)

    def speaks_of(self, packet: Packet) -> bool:
        """Whether protocol and port, or ICMP type and code, are the rule's, whoever the far side is."""
        number = self.protocol_number()
        if number == Protocol.ANY:
            return True
        if number != packet.protocol:
            return False
        if number == Protocol.ICMP:
            return self.from_port in (None, ANY_ICMP, packet.icmp_type) and self.to_port in (None, ANY_ICMP, packet.icmp_code)
        if number in (Protocol.TCP, Protocol.UDP) and self.from_port is not None and self.to_port is not None:
            return packet.destination_port is not None and self.from_port <= packet.destination_port <= self.to_port
        return True

    def covers(self, protocol: Protocol) -> bool:
        """Whether the rule speaks of a whole protocol, all ports of it."""
        number = self.protocol_number()
        ports = (0 if self.from_port is None else self.from_port, HIGHEST_PORT if self.to_port is None else self.to_port)
        return number == Protocol.ANY or (number == protocol and ports == (0, HIGHEST_PORT))

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with this rule by itself; `name` is the rule's."""
        if self.cidr_ip is not None:
            yield from network_faults(name, "cidr_ip", self.cidr_ip)
        far_sides = [what for what, value in (("a CIDR block", self.cidr_ip), ("a security group", self.security_group_id), ("a prefix list", self.prefix_list_id)) if value is not None]
        if len(far_sides) != 1:
            problem = f"names {' and '.join(far_sides)}" if far_sides else "names neither a CIDR block, a security group nor a prefix list"
            yield Fault(resource=name, problem=problem, remedy="give exactly one of cidr_ip, security_group_id and prefix_list_id")
        number = self.protocol_number()
        if number is None:
            yield Fault(resource=name, problem=f"unknown protocol {self.ip_protocol!r}", remedy="use tcp, udp, icmp, -1 for all, or a protocol number from 0 to 255")
        elif number in (Protocol.TCP, Protocol.UDP):
            yield from self._port_faults(name)
        elif number == Protocol.ICMP:
            yield from self._icmp_faults(name)

    def _port_faults(self, name: str) -> Iterator[Fault]:
        if self.from_port is None and self.to_port is None:
            return
        if self.from_port is None or self.to_port is None:
            yield Fault(resource=name, problem="only one end of the port range is given", remedy="give both from_port and to_port, or neither for all ports")
        elif not 0 <= self.from_port <= self.to_port <= HIGHEST_PORT:
            yield Fault(resource=name, problem=f"port range {self.from_port}-{self.to_port} is out of order or bounds", remedy="use 0-65535, lowest first")

    def _icmp_faults(self, name: str) -> Iterator[Fault]:
        icmp_type = ANY_ICMP if self.from_port is None else self.from_port
        icmp_code = ANY_ICMP if self.to_port is None else self.to_port
        if not (ANY_ICMP <= icmp_type <= 255 and ANY_ICMP <= icmp_code <= 255):
            yield Fault(resource=name, problem=f"ICMP type {icmp_type} or code {icmp_code} is out of bounds", remedy="use 0-255, or -1 for any")
        elif icmp_type == ANY_ICMP and icmp_code != ANY_ICMP:
            yield Fault(resource=name, problem="an ICMP code without a type", remedy="name the type in from_port, or use -1 for both")


ALLOW_ALL_OUTBOUND = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group. `security_group_egress` None is AWS's default: everything outward is allowed."""

    id: str
    vpc_id: str
    group_description: str = ""
    security_group_ingress: tuple[SecurityGroupRule, ...] = ()
    security_group_egress: tuple[SecurityGroupRule, ...] | None = None

    def rules(self, flow: Flow) -> tuple[SecurityGroupRule, ...]:
        """The rules of one direction as they are in force, in the order written: their index names them (``sg-db#ingress[2]``)."""
        if flow is Flow.INGRESS:
            return self.security_group_ingress
        return ALLOW_ALL_OUTBOUND if self.security_group_egress is None else self.security_group_egress

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the group by itself."""
        return (
            *id_faults(self.id),
            *(fault for flow in Flow for index, rule in enumerate(self.rules(flow)) for fault in rule.faults(rule_name(self.id, flow, index))),
        )

    def evaluate(self, packet: Packet, flow: Flow, members: Members) -> Decision | None:
        """The first rule that permits a flow beginning with this packet, or None: another group of the interface may permit it."""
        for index, rule in enumerate(self.rules(flow)):
            if rule.matches(packet, flow, members):
                return Decision(verdict=Verdict.ALLOW, origin=rule_name(self.id, flow, index))
        return None


def evaluate(groups: Iterable[SecurityGroup], packet: Packet, flow: Flow, members: Members) -> Decision:
    """The verdict of all groups of an interface on a packet that belongs to no admitted flow: allowed if any rule of any group allows it."""
    groups = tuple(groups)
    for group in groups:
        decision = group.evaluate(packet, flow, members)
        if decision is not None:
            return decision
    return Decision(verdict=Verdict.DENY, origin=no_rule_name((group.id for group in groups), flow))


def tracked(groups: Iterable[SecurityGroup], packet: Packet, flow: Flow) -> bool:
    """Whether an interface remembers a flow that its rules admit, `packet` being the flow's first.

    A TCP or UDP flow is not tracked if a rule permits it from (or to) 0.0.0.0/0 and the other direction permits 0.0.0.0/0 on all ports (0-65535).
    ICMP and all other protocols always are. What AWS tracks whatever the rules say (flows through a NAT gateway, a load balancer …) the caller knows.
    """
    if packet.protocol not in (Protocol.TCP, Protocol.UDP):
        return True
    groups = tuple(groups)
    back = Flow.EGRESS if flow is Flow.INGRESS else Flow.INGRESS
    permits_everybody = any(rule.cidr_ip == ANYWHERE and rule.speaks_of(packet) for group in groups for rule in group.rules(flow))
    return not (permits_everybody and any(rule.cidr_ip == ANYWHERE and rule.covers(packet.protocol) for group in groups for rule in group.rules(back)))


def rule_name(group_id: str, flow: Flow, index: int) -> str:
    """How a rule is named: ``sg-db#ingress[0]``."""
    return f"{group_id}#{flow.value}[{index}]"


def no_rule_name(group_ids: Iterable[str], flow: Flow) -> str:
    """How it is named that no rule of an interface's groups allows: ``sg-db,sg-web#ingress no rule``."""
    return f"{','.join(group_ids)}#{flow.value} no rule"
