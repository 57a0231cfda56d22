"""Stateful rules of AWS Network Firewall: a Suricata rule, as text or put together of its 5-tuple.

    action protocol source port direction destination port (options)

A rule whose protocol is ip, tcp, udp or icmp and whose options only name or label it decides by the 5-tuple alone: `StatefulRule.matches` says whether it takes a packet. What
looks into payloads, domain names or the state of a connection is Suricata's own: such a rule `needs_engine`.
Source: Network Firewall developer guide, "Working with stateful rule groups in AWS Network Firewall", "Standard stateful rule groups", "Suricata compatible rule strings";
CloudFormation, "AWS::NetworkFirewall::RuleGroup StatefulRule", "… Header" (documented); Suricata user guide, "Rules Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.values import Fault, Packet, Protocol, choice_faults

ALERT, PASS, DROP, REJECT = "alert", "pass", "drop", "reject"
STATEFUL_ACTIONS = (ALERT, DROP, PASS, REJECT)
FORWARD, EITHER = "->", "<>"
ANY = "any"
NUMBERS = {"icmp": Protocol.ICMP, "tcp": Protocol.TCP, "udp": Protocol.UDP}
LABELS = frozenset(("classtype", "gid", "metadata", "msg", "priority", "reference", "rev", "sid"))
"""Options that decide nothing."""
TO_SERVER, TO_CLIENT = "to_server", "to_client"
RULE = re.compile(r"\s*(?P<action>\w+)\s+(?P<protocol>[\w-]+)\s+(?P<source>\S+)\s+(?P<source_port>\S+)\s+(?P<direction>->|<>)\s+(?P<destination>\S+)\s+(?P<destination_port>\S+)\s+\((?P<options>.*)\)\s*")
OPTION = re.compile(r'\s*([\w.-]+)(?:\s*:\s*((?:"(?:\\.|[^"\\])*"|[^;"\\]|\\.)*))?;')

Variables = Mapping[str, tuple[str, ...]]
"""What ``$NAME`` stands for in a rule: blocks, or ports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatefulRule:
    """A rule. `rule_options` are Suricata's, without parentheses: ``msg:"no telnet"; sid:7;``. Addresses and ports are in Suricata's words: ``any``, ``10.0.0.0/8``, ``[80,8000:8100]``, ``!$HOME_NET``."""

    action: str
    protocol: str
    source: str = ANY
    source_port: str = ANY
    direction: str = FORWARD
    destination: str = ANY
    destination_port: str = ANY
    rule_options: str

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """The options in their order, each with its value."""
        return tuple((name, value.strip()) for name, value in OPTION.findall(self.rule_options))

    @property
    def sid(self) -> int | None:
        """The rule's number; None if it has none."""
        written = next((value for name, value in self.options if name == "sid"), "")
        return int(written) if written.isdecimal() else None

    @property
    def needs_engine(self) -> bool:
        """Whether more than the 5-tuple and the direction decides."""
        return self.protocol not in (*NUMBERS, "ip") or any(name not in LABELS and (name != "flow" or value not in (TO_SERVER, TO_CLIENT)) for name, value in self.options)

    def text(self) -> str:
        """The rule as Suricata reads it."""
        return f"{self.action} {self.protocol} {self.source} {self.source_port} {self.direction} {self.destination} {self.destination_port} ({self.rule_options})"

    def matches(self, packet: Packet, variables: Variables, *, is_reply: bool) -> bool:
        """Whether the rule's header takes the packet; for a rule that `needs_engine`, whether it may take something of the packet's flow."""
        wanted = next((value for name, value in self.options if name == "flow" and value in (TO_SERVER, TO_CLIENT)), None)
        if wanted is not None and (wanted == TO_CLIENT) != is_reply:
            return False
        if self.protocol in NUMBERS and packet.protocol is not NUMBERS[self.protocol]:
            return False
        if self.protocol not in (*NUMBERS, "ip") and packet.protocol not in (Protocol.TCP, Protocol.UDP):
            return False
        ways = [(packet.source, packet.source_port, packet.destination, packet.destination_port)]
        if self.direction == EITHER:
            ways.append((packet.destination, packet.destination_port, packet.source, packet.source_port))
        return any(
            _has_address(self.source, source, variables) and _has_port(self.source_port, source_port, variables)
            and _has_address(self.destination, destination, variables) and _has_port(self.destination_port, destination_port, variables)
            for source, source_port, destination, destination_port in ways
        )  # fmt: skip

    def faults(self, group_id: str, variables: Variables) -> Iterator[Fault]:
        """What is wrong with the rule by itself; the rest Suricata says when it reads it."""
        name = f"{group_id}#{self.sid}"
        yield from choice_faults(name, "action", self.action, STATEFUL_ACTIONS)
        if self.sid is None:
            yield Fault(resource=group_id, problem=f"the rule {self.text()!r} has no sid", remedy='give each rule a number of its own: "sid:1;"')
        for expression in (self.source, self.destination, self.source_port, self.destination_port):
            for variable in re.findall(r"\$(\w+)", expression):
                if variable not in variables:
                    yield Fault(resource=name, problem=f"${variable} is not defined", remedy=f"add it to ip_sets or port_sets of {group_id}")
        for expression in (self.source, self.destination):
            for word in re.findall(r"[^\[\],!\s]+", expression):
                if word != ANY and not word.startswith("$") and not _is_block(word):
                    yield Fault(resource=name, problem=f"{word!r} is not an IPv4 CIDR block", remedy="write any, 10.0.0.0/8, a list in brackets or a variable")


def parse(text: str) -> StatefulRule | None:
    """The rule in a line of a rule string; None if it is no rule."""
    found = RULE.fullmatch(text)
    if found is None:
        return None
    words = found.groupdict()
    return StatefulRule(rule_options=words.pop("options").strip(), **words)


def expand(expression: str, variables: Variables) -> str:
    """An address or port expression with its variables written out."""
    return re.sub(r"\$(\w+)", lambda found: f"[{','.join(variables.get(found[1], ()))}]", expression)


def _is_block(word: str) -> bool:
    try:
        IPv4Network(word, strict=False)
    except ValueError:
        return False
    return True


def _has_address(expression: str, address: IPv4Address, variables: Variables) -> bool:
    return _holds(expand(expression, variables), lambda word: address in IPv4Network(word, strict=False))


def _has_port(expression: str, port: int | None, variables: Variables) -> bool:
    def among(word: str) -> bool:
        first, colon, last = word.partition(":")
        return port is not None and int(first or 0) <= port <= int(last or 65535 if colon else first)

    return _holds(expand(expression, variables), among)


def _holds(expression: str, holds: Callable[[str], bool]) -> bool:
    """Suricata's lists: one of what is named, and nothing of what is excepted by ``!``; only exceptions name everything else."""
    if expression.startswith("!"):
        return not _holds(expression[1:], holds)
    if not expression.startswith("["):
        return expression == ANY or holds(expression)
    parts = list(_parts(expression[1:-1]))
    named, excepted = [part for part in parts if not part.startswith("!")], [part[1:] for part in parts if part.startswith("!")]
    return (not named or any(_holds(part, holds) for part in named)) and not any(_holds(part, holds) for part in excepted)


def _parts(inside: str) -> Iterator[str]:
    """The members of a list, which may be lists."""
    depth, start = 0, 0
    for index, letter in enumerate(inside):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            yield inside[start:index].strip()
            start = index + 1
    if inside[start:].strip():
        yield inside[start:].strip()
