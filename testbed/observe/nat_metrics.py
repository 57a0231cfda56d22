"""A NAT gateway's CloudWatch metrics, from the counters in its namespace. They add up since the lab's start; AWS shows them for each minute.

Source: VPC user guide, "Monitor NAT gateways with Amazon CloudWatch" (documented). A connection counts as idle-timed-out when it was answered, was
ended by neither side, and conntrack has forgotten it.
NOT MODELLED: PeakBytesPerSecond, PeakPacketsPerSecond (nothing samples them), and periods.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from testbed.observe.lab_view import LabView

NAMESPACE = "AWS/NATGateway"
ANSWERED, CLOSED = 1, 2
MARK = re.compile(r"\bmark=(\d+)")
REFUSED = re.compile(r"\binsert_failed=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGatewayMetrics:
    """Counts since the lab began; `active_connection_count` is now's. Bytes are those of IP packets."""

    active_connection_count: int
    bytes_in_from_destination: int
    bytes_in_from_source: int
    bytes_out_to_destination: int
    bytes_out_to_source: int
    connection_attempt_count: int
    connection_established_count: int
    error_port_allocation: int
    idle_timeout_count: int
    packets_drop_count: int
    packets_in_from_destination: int
    packets_in_from_source: int
    packets_out_to_destination: int
    packets_out_to_source: int


def cloudwatch_name(field: str) -> str:
    """CloudWatch's name of a field: ``error_port_allocation`` is ErrorPortAllocation."""
    return "".join(word.capitalize() for word in field.split("_"))


def nat_gateway_metrics(lab: LabView, gateway: str) -> NatGatewayMetrics:
    """The metrics of the gateway whose node this is. Raises OSError if they cannot be read."""
    rules = json.loads(_output(lab, gateway, "nft", "-j", "list", "ruleset"))["nftables"]
    counted = _counters(rules, "cloudwatch")
    established, closed = counted["ConnectionEstablishedCount"][0], counted["closed"][0]
    entries = _output(lab, gateway, "conntrack", "-L", "-p", "tcp").splitlines()
    open_now = sum(1 for line in entries if (mark := MARK.search(line)) and int(mark[1]) & (ANSWERED | CLOSED) == ANSWERED)
    flows = {f"{unit}_{way}": counted[name][place] for place, unit in enumerate(("packets", "bytes")) for way, name in _WAYS}
    return NatGatewayMetrics(
        active_connection_count=open_now,
        connection_attempt_count=counted["ConnectionAttemptCount"][0],
        connection_established_count=established,
        error_port_allocation=sum(map(int, REFUSED.findall(_output(lab, gateway, "conntrack", "-S")))),
        idle_timeout_count=max(0, established - closed - open_now),
        packets_drop_count=sum(_dropped(rules)),
        **flows,
    )


_WAYS = (
    ("in_from_destination", "InFromDestination"),
    ("in_from_source", "InFromSource"),
    ("out_to_destination", "OutToDestination"),
    ("out_to_source", "OutToSource"),
)


def _output(lab: LabView, node: str, *command: str) -> str:
    done = lab.popen(node, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.communicate()
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)} in {node}: {err.decode(errors='replace').strip()}")
    return out.decode()


def _counters(entries: list[dict[str, Any]], table: str) -> dict[str, tuple[int, int]]:
    """(packets, bytes) by the rules' comments."""
    return {rule["comment"]: counter for rule in _rules(entries, table) if (counter := _counter(rule)) is not None}


def _dropped(entries: list[dict[str, Any]]) -> list[int]:
    """The packets of every rule that drops or resets."""
    return [counter[0] for rule in _rules(entries, "nat_gateway") if (counter := _counter(rule)) and {"drop", "reject"} & set(rule["expr"][-1])]


def _rules(entries: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    return [entry["rule"] for entry in entries if "rule" in entry and entry["rule"]["table"] == table]


def _counter(rule: dict[str, Any]) -> tuple[int, int] | None:
    return next(((part["counter"]["packets"], part["counter"]["bytes"]) for part in rule["expr"] if "counter" in part), None)
