"""Plans to and from JSON: how a plan crosses from the command line to a running lab, and what `testbed plan --json` prints."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import msgspec

from testbed.plan import Plan

_ADDRESSES = (IPv4Address, IPv4Interface, IPv4Network)


def encode(plan: Plan) -> bytes:
    """The plan as JSON; equal plans give equal bytes."""
    return msgspec.json.encode(plan, enc_hook=_to_json)


def decode(text: bytes) -> Plan:
    """The plan in `text`. Raises msgspec.ValidationError naming the field at fault."""
    return msgspec.json.decode(text, type=Plan, dec_hook=_from_json)


def _to_json(value: Any) -> str:
    if isinstance(value, _ADDRESSES):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} in a plan")


def _from_json(kind: type[Any], value: Any) -> Any:
    if kind in _ADDRESSES:
        return kind(value)
    raise NotImplementedError(f"{kind.__name__} in a plan")
