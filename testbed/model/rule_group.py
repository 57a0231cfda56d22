"""Rule groups of AWS Network Firewall: stateless rules by priority, or stateful ones as text, as 5-tuples or as a list of domains.

A list of domains is short for rules: one for HTTP's Host and one for TLS's server name for each domain, and with an allow list two that drop what names no allowed one.
``.example.com`` holds every name below it, and example.com itself. It looks at what $HOME_NET sends to $EXTERNAL_NET: by default the firewall's own VPC and everything else, so
that a firewall which inspects for other VPCs sees nothing of theirs until HOME_NET names them.
Source: Network Firewall developer guide, "Stateful domain list rule groups in AWS Network Firewall", "Examples of stateful rules": the rules that AWS generates; CloudFormation,
"AWS::NetworkFirewall::RuleGroup" (documented). The numbers of generated rules are ours.
NOT MODELLED: reference sets, tags, the capacity that a group's rules really take (it is only asked for), TLS inspection.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.stateful_rule import StatefulRule, Variables, expand, parse
from testbed.model.stateless_rule import StatelessRule
from testbed.model.values import Fault, choice_faults, id_faults

STATELESS, STATEFUL = "STATELESS", "STATEFUL"
DEFAULT_ACTION_ORDER, STRICT_ORDER = "DEFAULT_ACTION_ORDER", "STRICT_ORDER"
HTTP_HOST, TLS_SNI = "HTTP_HOST", "TLS_SNI"
ALLOWLIST, DENYLIST = "ALLOWLIST", "DENYLIST"
BLOCK = re.compile(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?")
FIRST_GENERATED_SID, GENERATED_SIDS = 100_000_000, 1_000
"""Each group's generated rules have numbers of their own, by the group's id: a policy's rules may not share any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesSourceList:
    """A list of domains: `targets` like ``example.com`` or ``.example.com``."""

    targets: tuple[str, ...]
    target_types: tuple[str, ...] = (HTTP_HOST, TLS_SNI)
    generated_rules_type: str = ALLOWLIST

    def rules(self, sid: int) -> Iterator[StatefulRule]:
        """The rules that it is short for, in AWS's words, numbered from `sid`."""
        allowed = self.generated_rules_type == ALLOWLIST
        for domain in self.targets:
            for kind in self.target_types:
                yield _generated("pass" if allowed else "drop", kind, _named(kind, domain), f"{'matching' if allowed else 'not allowing'} {_words(kind)} {'allowlisted' if allowed else 'denylisted'} FQDNs", sid)
                sid += 1
        for kind in self.target_types if allowed else ():
            header = "ssl_state:client_hello;" if kind == TLS_SNI else 'http.header_names; content:"|0d 0a|"; startswith;'
            yield _generated("drop", kind, header, f"not matching any {_words(kind)} allowlisted FQDNs", sid)
            sid += 1

    def faults(self, group_id: str) -> Iterator[Fault]:
        """What is wrong with the list by itself."""
        yield from choice_faults(group_id, "generated_rules_type", self.generated_rules_type, (ALLOWLIST, DENYLIST))
        for kind in self.target_types:
            yield from choice_faults(group_id, "target_types", kind, (HTTP_HOST, TLS_SNI))
        if not self.targets or not self.target_types:
            yield Fault(resource=group_id, problem="the list of domains names none, or no protocol to look at", remedy="name domains in targets, and HTTP_HOST or TLS_SNI in target_types")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """A group of one `type`, with exactly one source of rules of that type. `rules_string` has a Suricata rule on each line.

    `ip_sets` and `port_sets` say what ``$NAME`` stands for in its stateful rules. `rule_order` must be that of the policies which use a stateful group.
    """

    id: str
    type: str
    capacity: int = 100
    stateless_rules: tuple[StatelessRule, ...] = ()
    rules_string: str = ""
    rules_source_list: RulesSourceList | None = None
    stateful_rules: tuple[StatefulRule, ...] = ()
    rule_order: str = DEFAULT_ACTION_ORDER
    ip_sets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    port_sets: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def rules(self) -> tuple[StatefulRule, ...]:
        """The stateful rules in the order in which they are written; lines that are no rules are left out (they are faults)."""
        written = (parse(line) for line in self._lines())
        return (*(rule for rule in written if rule is not None), *(() if self.rules_source_list is None else self.rules_source_list.rules(_first_sid(self.id))), *self.stateful_rules)

    def variables(self, home: tuple[IPv4Network, ...] = ()) -> Variables:
        """What ``$NAME`` stands for; `home` are the blocks of the firewall's VPC."""
        own = {**dict(self.ip_sets), **dict(self.port_sets)}
        home_net = own.get("HOME_NET", tuple(map(str, home)))
        return {"HOME_NET": home_net, "EXTERNAL_NET": tuple(f"!{block}" for block in home_net), **own}

    def blocks(self) -> tuple[IPv4Network, ...]:
        """Every CIDR block that its stateful rules name, in whatever sense."""
        variables = self.variables()
        written = " ".join(expand(expression, variables) for rule in self.rules() for expression in (rule.source, rule.destination))
        return tuple(IPv4Network(block, strict=False) for block in dict.fromkeys(BLOCK.findall(written)))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the group by itself."""
        return (*id_faults(self.id), *choice_faults(self.id, "type", self.type, (STATELESS, STATEFUL)), *choice_faults(self.id, "rule_order", self.rule_order, (DEFAULT_ACTION_ORDER, STRICT_ORDER)), *self._own_faults())

    def _lines(self) -> tuple[str, ...]:
        return tuple(line for line in map(str.strip, self.rules_string.splitlines()) if line and not line.startswith("#"))

    def _own_faults(self) -> Iterator[Fault]:
        sources = [bool(self.stateless_rules), bool(self.rules_string), self.rules_source_list is not None, bool(self.stateful_rules)]
        if sum(sources) != 1 or sources[0] != (self.type == STATELESS):
            yield Fault(resource=self.id, problem=f"a {self.type} group with {sum(sources)} sources of rules, or of the other type", remedy="give stateless_rules, or one of rules_string, rules_source_list and stateful_rules")
        for priority, times in Counter(rule.priority for rule in self.stateless_rules).items():
            if times > 1:
                yield Fault(resource=f"{self.id}#{priority}", problem=f"{times} rules have this priority", remedy="give each rule a priority of its own")
        for sid, times in Counter(rule.sid for rule in self.rules()).items():
            if sid is not None and times > 1:
                yield Fault(resource=f"{self.id}#{sid}", problem=f"{times} rules have this sid", remedy="give each rule a sid of its own")
        for line in self._lines():
            if parse(line) is None:
                yield Fault(resource=self.id, problem=f"{line!r} is no Suricata rule", remedy='write: action protocol source port -> destination port (msg:"…"; sid:1;)')
        for rule in self.stateless_rules:
            yield from rule.faults(self.id)
        for stateful in self.rules():
            yield from stateful.faults(self.id, self.variables())
        if self.rules_source_list is not None:
            yield from self.rules_source_list.faults(self.id)


def _first_sid(group_id: str) -> int:
    return FIRST_GENERATED_SID + zlib.crc32(group_id.encode()) % GENERATED_SIDS * GENERATED_SIDS


def _words(kind: str) -> str:
    return "TLS" if kind == TLS_SNI else "HTTP"


def _named(kind: str, domain: str) -> str:
    """Options that match a domain, or everything below it."""
    end = f'dotprefix; content:"{domain}"; {"nocase; " if kind == TLS_SNI else ""}endswith;' if domain.startswith(".") else f'content:"{domain}"; startswith; {"nocase; " if kind == TLS_SNI else ""}endswith;'
    return f"ssl_state:client_hello; tls.sni; {end}" if kind == TLS_SNI else f"http.host; {end}"


def _generated(action: str, kind: str, options: str, message: str, sid: int) -> StatefulRule:
    """A rule as AWS generates it for a list of domains."""
    return StatefulRule(
        action=action,
        protocol="tls" if kind == TLS_SNI else "http",
        source="$HOME_NET",
        destination="$EXTERNAL_NET",
        rule_options=f'{options} msg:"{message}"; priority:1; flow:to_server, established; sid:{sid}; rev:1;',
    )
