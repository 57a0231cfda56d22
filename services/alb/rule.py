"""Listener rules: which one a request meets.

Rules are tried by ascending priority; the default rule (priority 0, without conditions) is last. All conditions of a rule must hold; the values of
one condition are alternatives. ``*`` stands for any characters or none, ``?`` for exactly one; a regular expression matches as a whole.

- host-header: case-insensitive, without the port. - path-pattern: case-sensitive, the path alone (no query), after URI normalisation.
- http-header: the name and the value case-insensitive, wildcards in the value only; several entries of one name are alternatives, of several names
  conditions of their own.
- http-request-method: exact and case-sensitive. - query-string: a pair, or any pair's value; case-insensitive, as sent (that nothing is decoded is assumed).
- source-ip: the TCP peer's address, never X-Forwarded-For's.

Source: ELB user guide, "Listener rules", "Condition types" (documented). What normalisation is, is assumed to be RFC 3986's section 6.2.2:
unreserved characters decoded, hexadecimal digits in upper case, dot segments removed. That Python's regular expressions read a pattern as AWS's
(RE2-like) do is assumed. What a rule rewrites is `transform`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.alb.config import Rule

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
Named = tuple[tuple[bytes, re.Pattern[bytes]], ...]


def normalise_path(path: bytes) -> bytes:
    """The path as patterns see it."""
    if b"%" in path:
        path = _ESCAPE.sub(_normalise_escape, path)
    if b"/." in path:
        path = _without_dot_segments(path)
    return path


def _normalise_escape(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else match[0].upper()


def _without_dot_segments(path: bytes) -> bytes:
    """RFC 3986 section 5.2.4, for a path that begins with a slash."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def alternatives(patterns: Iterable[str], expressions: Iterable[str] = (), *, ignore_case: bool) -> re.Pattern[bytes]:
    """One regular expression, for whole values, of `patterns` with ``*`` and ``?`` and of regular `expressions`. Raises re.error for one that is none."""
    translated = (b"".join(b".*" if char == "*" else b"." if char == "?" else re.escape(char.encode()) for char in pattern) for pattern in patterns)
    return re.compile(b"|".join((*translated, *(b"(?:%b)" % expression.encode() for expression in expressions))), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What conditions look at: `host` without port, `target` as sent, `fields` by lower-case name, `client` the TCP peer's address."""

    method: bytes = b"GET"
    host: bytes
    target: bytes
    fields: dict[bytes, bytes]
    client: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A rule's conditions, ready to be tried. None and empty: not asked."""

    host: re.Pattern[bytes] | None
    path: re.Pattern[bytes] | None
    headers: Named
    methods: frozenset[bytes]
    query: Named
    sources: tuple[IPv4Network, ...]

    @classmethod
    def of(cls, rule: Rule) -> Conditions:
        values = _by_name((name.lower(), value) for name, value in rule.http_header)
        expressions = _by_name((name.lower(), value) for name, value in rule.http_header_regex)
        names = sorted(values.keys() | expressions.keys())
        return cls(
            host=alternatives(rule.host_header, rule.host_header_regex, ignore_case=True) if rule.host_header or rule.host_header_regex else None,
            path=alternatives(rule.path_pattern, rule.path_pattern_regex, ignore_case=False) if rule.path_pattern or rule.path_pattern_regex else None,
            headers=tuple((name.encode(), alternatives(values.get(name, ()), expressions.get(name, ()), ignore_case=True)) for name in names),
            methods=frozenset(method.encode() for method in rule.http_request_method),
            query=tuple((key.lower().encode(), alternatives((value,), ignore_case=True)) for key, value in rule.query_string),
            sources=tuple(IPv4Network(block) for block in rule.source_ip),
        )

    def hold(self, asked: Asked, path: bytes, query: bytes) -> bool:
        """Whether all of them hold for a request with this normalised `path`."""
        if self.path is not None and self.path.fullmatch(path) is None:
            return False
        if self.host is not None and self.host.fullmatch(asked.host) is None:
            return False
        if self.methods and asked.method not in self.methods:
            return False
        if self.headers and not all(name in asked.fields and pattern.fullmatch(asked.fields[name]) for name, pattern in self.headers):
            return False
        if self.query and not self._query_holds(query):
            return False
        return not self.sources or self._source_holds(asked.client)

    def _query_holds(self, query: bytes) -> bool:
        pairs = [(key.lower(), value) for key, _, value in (pair.partition(b"=") for pair in query.split(b"&"))]
        return any(pattern.fullmatch(value) for wanted, pattern in self.query for key, value in pairs if not wanted or wanted == key)

    def _source_holds(self, client: bytes) -> bool:
        address = IPv4Address(client.decode())
        return any(address in block for block in self.sources)


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, value in pairs:
        by_name.setdefault(name, []).append(value)
    return by_name


class RuleSet:
    """A listener's rules in the order of trying."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        ordered = sorted(rules, key=lambda rule: (rule.priority == 0, rule.priority))
        if not ordered or ordered[-1].priority != 0:
            raise ValueError("a listener without a default rule (priority 0)")
        self._tried = tuple((Conditions.of(rule), rule) for rule in ordered[:-1])
        self._default = ordered[-1]
        self.single = None if self._tried else self._default
        """The default rule, if it is the only one: nothing need be asked."""

    def select(self, asked: Asked) -> Rule:
        """The rule for a request."""
        path, _, query = asked.target.partition(b"?")
        normal = normalise_path(path)
        for conditions, rule in self._tried:
            if conditions.hold(asked, normal, query):
                return rule
        return self._default
