"""Flow log records as they are written: the lines of one interface, of a subnet's, of a VPC's, or of a transit gateway's or one of its attachments', read from the lab's log folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from services.common.events import FLOW_LOG_RECORD
from testbed.observe.lab_view import LabView

KIND, HUB_KIND = "flow_log", "transit_gateway_flow_log"
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLogRecord:
    """One record, its fields by AWS's names, as text."""

    line: str
    values: dict[str, str]

    def __getitem__(self, field: str) -> str:
        return self.values[field]


class FlowLogReader:
    """The records of `resource` (an interface's, an instance's, a subnet's, a VPC's, a transit gateway's or an attachment's id) in a running lab, from the lab's beginning. `logged` is all that has a log."""

    def __init__(self, lab: LabView, resource: str) -> None:
        services = [service for service in lab.plan.services if service.kind == KIND]
        hubs = [service for service in lab.plan.services if service.kind == HUB_KIND]
        self._files = {lab.log_directory / f"{service.name}.jsonl": 0 for service in (*services, *hubs)}
        interfaces = [(config["vpc_id"], interface) for config in (msgspec.json.decode(service.config) for service in services) for interface in config["interfaces"]]
        self._wanted = {resource, *(interface["interface_id"] for _, interface in interfaces if interface["instance_id"] == resource)}
        of_hubs = {name for service in hubs for name in _logged_at(msgspec.json.decode(service.config))}
        self.logged = tuple(sorted(of_hubs | {name for vpc, interface in interfaces for name in (vpc, interface["subnet_id"], interface["interface_id"], interface["instance_id"]) if name}))
        self.is_logged = resource in self.logged

    def more(self) -> list[dict[str, str]]:
        """What has come since the last time, each with ``log``, ``interface``, ``subnet``, ``vpc``, ``fields`` and ``line``."""
        return [event for path in sorted(self._files) for event in self._read(path) if not self._wanted.isdisjoint((event.get("interface"), event.get("subnet"), event.get("vpc")))]

    def records(self) -> list[FlowLogRecord]:
        """The same, taken apart."""
        return [FlowLogRecord(line=event["line"], values=dict(zip(event["fields"].split(), event["line"].split(), strict=True))) for event in self.more()]

    def wait_for(self, count: int, timeout_s: float, **wanted: str) -> list[FlowLogRecord]:
        """Records whose fields have these values (``dstport="80"``; underscores for hyphens), as soon as there are `count`, or when time is up."""
        found: list[FlowLogRecord] = []
        deadline = time.monotonic() + timeout_s
        while True:
            found += [record for record in self.records() if all(record.values.get(name.replace("_", "-")) == value for name, value in wanted.items())]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(POLL_S)

    def _read(self, path: Path) -> Iterator[dict[str, str]]:
        if not path.exists():
            return
        with path.open("rb") as stream:
            stream.seek(self._files[path])
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._files[path] += len(line)
                event = msgspec.json.decode(line)
                if event.get("event") == FLOW_LOG_RECORD:
                    yield event


def _logged_at(config: dict[str, Any]) -> set[str]:
    """What of a transit gateway has a log: itself and all its attachments, or some of these."""
    named = {log["attachment"] for log in config["logs"]}
    return {config["transit_gateway"], *(device["attachment"] for device in config["devices"])} if "" in named else named
