"""Addresses by whom they belong to. Which ones `resolve` chooses is the concern of `tests/unit/resolve` alone; every other test asks here."""

from __future__ import annotations

from testbed.resolve import Resolved
from testbed.resolve.resolved import ResolvedInterface


def private(resolved: Resolved, node: str) -> str:
    """The address of a node's primary interface: ``web-a``, ``alb-shop-a``, ``nat-a``. Raises LookupError."""
    return str(_primary(resolved, node).address)


def public(resolved: Resolved, node: str) -> str:
    """What the internet gateway maps a node's primary interface to. Raises LookupError, also where it has none."""
    address = _primary(resolved, node).public_address
    if address is None:
        raise LookupError(f"{node} has no public address")
    return str(address)


def _primary(resolved: Resolved, node: str) -> ResolvedInterface:
    for interface in resolved.interfaces:
        if (interface.node, interface.device) == (node, "eth0"):
            return interface
    raise LookupError(f"no interface is of {node}")
