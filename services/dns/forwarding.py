"""Resolver rules: which names are asked of other servers, and which are not.

    the longest of    rules, private hosted zones and other local zones    decides; of one name the rule beats the zone

A FORWARD rule has targets, a SYSTEM rule has none: it carves names out of a shorter rule, which are then resolved as if there were no rules.
Source: Route 53 developer guide, "How VPC Resolver determines whether the domain name in a query matches any rules", "Using rules to specify which queries to
forward to your network", "Considerations when working with a private hosted zone" (documented).
"""

from __future__ import annotations

from collections.abc import Iterable

from services.dns.config import ForwardingRule
from services.dns.message import Name, is_under, parse_name


class Rules:
    """The rules of one network, beside its local zones."""

    def __init__(self, rules: Iterable[ForwardingRule], zones: Iterable[Name]) -> None:
        self._rules = {parse_name(rule.domain): rule for rule in rules}
        self._zones = frozenset(zones)

    def forwards(self, name: Name) -> ForwardingRule | None:
        """The rule that sends questions about `name` elsewhere; None if they are answered or resolved here."""
        domain = max((domain for domain in self._rules if is_under(name, domain)), key=len, default=None)
        if domain is None or any(len(zone) > len(domain) and is_under(name, zone) for zone in self._zones):
            return None
        rule = self._rules[domain]
        return rule if rule.targets else None
