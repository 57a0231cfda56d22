"""Security groups: the stateful filter at a network interface.

Decides whether an interface may begin or receive a flow. Rules only allow; all rules of all groups of an interface are one
union, without order. Replies of an admitted flow are not asked about: that memory belongs to the interface (`oracle`, the fabric).

Source: VPC user guide, "Security group rules"; EC2 user guide, "Security group connection tracking" (documented).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, network, network_faults


class Flow(enum.Enum):
    """As seen from the interface: INGRESS reaches it, EGRESS leaves it."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupRule:
    """One permission. The far side is either `cidr_ip` or the members of `security_group_id` (CloudFormation's Source-/DestinationSecurityGroupId).

    `ip_protocol` is AWS's: ``tcp``, ``udp``, ``icmp``, ``-1`` for all, or a protocol number. For ICMP `from_port` is the type and
    `to_port` the code, -1 meaning any. Ports None mean all.
    """

    ip_protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr_ip: IPv4Network | None = None
    security_group_id: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.cidr_ip is not None:
            object.__setattr__(self, "cidr_ip", network(self.cidr_ip))


ALLOW_ALL_OUTBOUND = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)  # type: ignore[arg-type]


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
        return tuple(
            fault
            for flow in Flow
            for index, rule in enumerate(self.rules(flow))
            if rule.cidr_ip is not None
            for fault in network_faults(f"{self.id}#{flow.value}[{index}]", "cidr_ip", rule.cidr_ip)
        )
