"""Resolver rules: which names a VPC's resolver asks of other servers, through an outbound endpoint.

Of rules and private hosted zones the longest name decides; a rule beats a zone of its name; a SYSTEM rule makes an exception from a shorter FORWARD rule.
How that is decided is the daemon's: `services/dns/forwarding`.
Source: Route 53 developer guide, "Forwarding outbound DNS queries to your network", "Values that you specify when you create or edit rules"; CloudFormation,
"AWS::Route53Resolver::ResolverRule", "…ResolverRuleAssociation" (documented). NOT MODELLED: sharing with other accounts; DELEGATE rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.hosted_zone import is_domain_name
from testbed.model.values import Fault, address, address_faults, bounds_faults, choice_faults, id_faults

FORWARD, SYSTEM = "FORWARD", "SYSTEM"
EVERY_NAME = "."
MOST_TARGETS = 6
DNS_PORT = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverRule:
    """A rule for `domain_name` (``.`` for every name), in force in the VPCs of `associations`. FORWARD has targets and an outbound endpoint, SYSTEM neither."""

    id: str
    rule_type: str
    domain_name: str
    resolver_endpoint_id: str | None = None
    target_ips: tuple[IPv4Address, ...] = ()
    target_port: int = DNS_PORT
    associations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_ips", tuple(address(target) for target in self.target_ips))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the rule by itself."""
        targets = (fault for target in self.target_ips for fault in address_faults(self.id, "target_ips", target))
        port = bounds_faults(self.id, "target_port", self.target_port, 1, 65535)
        return (*id_faults(self.id), *choice_faults(self.id, "rule_type", self.rule_type, (FORWARD, SYSTEM)), *targets, *port, *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if self.domain_name != EVERY_NAME and not (is_domain_name(self.domain_name) or is_domain_name(f"x.{self.domain_name}")):
            yield Fault(resource=self.id, problem=f"domain_name {self.domain_name!r} is not a domain name", remedy="write it in lower case without a final dot, or . for every name")
        if self.rule_type == FORWARD and not (self.resolver_endpoint_id and 1 <= len(self.target_ips) <= MOST_TARGETS):
            yield Fault(resource=self.id, problem="a FORWARD rule needs an outbound endpoint and targets", remedy=f"give resolver_endpoint_id and one to {MOST_TARGETS} target_ips")
        if self.rule_type == SYSTEM and (self.resolver_endpoint_id or self.target_ips):
            yield Fault(resource=self.id, problem="a SYSTEM rule with an endpoint or targets", remedy="leave out resolver_endpoint_id and target_ips: its names are resolved in the VPC")
