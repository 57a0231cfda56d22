"""What a network firewall's stateful engine has dropped of a probe, as verdicts beside those of nftables: its own rules leave no trace in the kernel.

    alerts = Alerts(lab)     where each engine's log ends now
    ...
    alerts.verdicts()        what was blocked since, one verdict for each alert

An engine tells within milliseconds of the packet; a probe that it drops is waited for until its time is over.
NOT MODELLED: an alert of a ping is told by its addresses alone (Suricata logs no identifier).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from services.common.events import FIREWALL_ALERT
from testbed.observe.lab_view import LabView
from testbed.observe.packets import Header
from testbed.observe.probe import Protocol
from testbed.observe.probe_flow import NUMBERS
from testbed.observe.trace import Verdict

KIND = "suricata"
BLOCKED = "blocked"
NS_PER_S = 1_000_000_000


class FirewallAlert(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=FIREWALL_ALERT):
    """A rule took a packet; see `services.common.events`."""

    t: float
    rule: str
    action: str
    protocol: str
    source: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    node: str
    log: Path
    offset: int


class Alerts:
    """What the lab's engines tell from now on."""

    def __init__(self, lab: LabView) -> None:
        logs = ((service.node, lab.log_directory / f"{service.name}.jsonl") for service in lab.plan.services if service.kind == KIND)
        self._engines = tuple(_Engine(node=node, log=log, offset=log.stat().st_size if log.exists() else 0) for node, log in logs)

    def verdicts(self, identifier: int = 0) -> tuple[Verdict, ...]:
        """The drops so far, by time. `identifier` is that of an ICMP probe's messages."""
        found = (verdict for engine in self._engines for verdict in _verdicts(engine, identifier))
        return tuple(sorted(found, key=lambda verdict: verdict.time_ns))


def _verdicts(engine: _Engine, identifier: int) -> Iterator[Verdict]:
    if not engine.log.exists():
        return
    with engine.log.open("rb") as stream:
        stream.seek(engine.offset)
        for number, line in enumerate(stream):
            try:
                alert = msgspec.json.decode(line, type=FirewallAlert)
            except (msgspec.ValidationError, msgspec.DecodeError):
                continue  # another kind of event
            header = _header(alert, identifier)
            if alert.action == BLOCKED and header is not None:
                yield Verdict(time_ns=round(alert.t * NS_PER_S), node=engine.node, origin=alert.rule, verdict="drop", chain="stateful engine", packet=number, header=header)


def _header(alert: FirewallAlert, identifier: int) -> Header | None:
    if alert.protocol not in tuple(Protocol):
        return None
    (source, _, source_port), (destination, _, destination_port) = alert.source.partition(":"), alert.destination.partition(":")
    return Header(
        source=IPv4Address(source), destination=IPv4Address(destination), protocol=NUMBERS[Protocol(alert.protocol)],
        source_port=int(source_port or 0), destination_port=int(destination_port or 0), identifier=identifier,
    )  # fmt: skip
