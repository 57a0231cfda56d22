"""Listener rules: which one a request meets.

Rules are tried by ascending priority; the default rule (priority 0, without conditions) is last. All conditions of a rule must hold; the values of
one condition are alternatives. ``*`` stands for any characters or none, ``?`` for exactly one.

- host-header: case-insensitive, without the port. - path-pattern: case-sensitive, the path alone (no query), after URI normalisation.
- http-header: the name and the value case-insensitive, wildcards in the value only; several entries of one name are alternatives.

Source: ELB user guide, "Listener rules", "Condition types" (documented). What normalisation is, is assumed to be RFC 3986's section 6.2.2:
unreserved characters decoded, hexadecimal digits in upper case, dot segments removed.
NOT MODELLED: query-string, http-request-method and source-ip conditions; regular expressions; transforms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.alb.config import Rule

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


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


def alternatives(patterns: Iterable[str], *, ignore_case: bool) -> re.Pattern[bytes]:
    """One regular expression, for whole values, of `patterns` with ``*`` and ``?``."""
    translated = (b"".join(b".*" if char == "*" else b"." if char == "?" else re.escape(char.encode()) for char in pattern) for pattern in patterns)
    return re.compile(b"|".join(translated), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A rule's conditions, ready to be tried."""

    host: re.Pattern[bytes] | None
    path: re.Pattern[bytes] | None
    headers: tuple[tuple[bytes, re.Pattern[bytes]], ...]

    @classmethod
    def of(cls, rule: Rule) -> Conditions:
        by_name: dict[bytes, list[str]] = {}
        for name, value in rule.http_header:
            by_name.setdefault(name.lower().encode(), []).append(value)
        return cls(
            host=alternatives(rule.host_header, ignore_case=True) if rule.host_header else None,
            path=alternatives(rule.path_pattern, ignore_case=False) if rule.path_pattern else None,
            headers=tuple((name, alternatives(values, ignore_case=True)) for name, values in by_name.items()),
        )

    def hold(self, host: bytes, path: bytes, fields: dict[bytes, bytes]) -> bool:
        """Whether all of them hold for a request: `host` without port, `path` normalised, `fields` by lower-case name."""
        if self.path is not None and self.path.fullmatch(path) is None:
            return False
        if self.host is not None and self.host.fullmatch(host) is None:
            return False
        return all(name in fields and pattern.fullmatch(fields[name]) for name, pattern in self.headers) if self.headers else True


class RuleSet:
    """A listener's rules in the order of trying."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        ordered = sorted(rules, key=lambda rule: (rule.priority == 0, rule.priority))
        if not ordered or ordered[-1].priority != 0:
            raise ValueError("a listener without a default rule (priority 0)")
        self._tried = tuple((Conditions.of(rule), rule) for rule in ordered[:-1])
        self._default = ordered[-1]

    def select(self, host: bytes, path: bytes, fields: dict[bytes, bytes]) -> Rule:
        """The rule for a request: `host` without port, `path` as sent, `fields` by lower-case name."""
        if self._tried:
            normal = normalise_path(path)
            for conditions, rule in self._tried:
                if conditions.hold(host, normal, fields):
                    return rule
        return self._default
