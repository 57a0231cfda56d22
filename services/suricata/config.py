"""Configuration of a firewall's stateful engine: a Suricata of the distribution's package, between two interfaces of its node.

    what comes in by `inward` ─▶ rules ─▶ out by `outward` (and the other way round); without a Suricata nothing comes out

Addresses in rules are written out: there are no variables here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule in Suricata's words, and the group of which it is: users name it ``<group>#<sid>``."""

    group: str
    sid: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One engine. `strict` has the rules asked in their order, else by action: pass, drop, reject, alert. `default_actions` (strict order only) are AWS's words, ``aws:drop_strict``."""

    name: str
    firewall: str
    policy: str
    availability_zone: str
    inward: str
    outward: str
    rules: tuple[Rule, ...] = ()
    strict: bool = False
    default_actions: tuple[str, ...] = ()


FOLDER = "/run/testbed/suricata"
