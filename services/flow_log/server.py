"""The flow logs of one VPC: reads the fabric's counters, and writes each interval's records as events with AWS's line in them.

Counters are read several times in an interval, since a change of rules sets them to zero: what a change costs is at most the last such moment's traffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from services.common.events import FLOW_LOG_RECORD
from services.common.runtime import Runtime
from services.flow_log.config import Config, Interface, Log
from services.flow_log.counters import Deltas, Reader, Snapshot, is_full
from services.flow_log.record import empty_line, line, records
from services.flow_log.window import Window

log = logging.getLogger(__name__)
READS_PER_INTERVAL = 10
MOST_PAUSE_S = 1.0
NODATA, SKIPDATA = "NODATA", "SKIPDATA"


async def serve(config: Config, runtime: Runtime) -> None:
    """Read and write until cancelled."""
    current = [config]

    async def reload(new: Config) -> None:
        current[0] = new

    runtime.reload = reload
    intervals = sorted({entry.interval_s for interface in config.interfaces for entry in interface.logs})
    windows = {interval: Window(interval, runtime.scaled(interval)) for interval in (*intervals, 60, 600)}
    pause_s = min(MOST_PAUSE_S, runtime.scaled(min(intervals, default=60)) / READS_PER_INTERVAL)
    deltas = Deltas()
    with contextlib.ExitStack() as open_readers:
        readers = [open_readers.enter_context(contextlib.closing(reader)) for reader in _readers(config, runtime)]
        deltas.of(_read(readers))
        runtime.ready()
        while True:
            await asyncio.sleep(pause_s)
            snapshot = _read(readers)
            grown = deltas.of(snapshot)
            full = is_full(snapshot)
            for window in windows.values():
                window.add(grown, full)
                if window.is_over:
                    _write(window, current[0], runtime)
                    window.restart()


def _readers(config: Config, runtime: Runtime) -> list[Reader]:
    """One for the fabric, one for each port."""
    found = [Reader(config.table)]
    for interface in config.interfaces:
        if interface.port is not None:
            with runtime.socket_for(interface.port.at) as inside:
                found.append(Reader(config.table, inside, {interface.port.device: interface.device}))
    return found


def _read(readers: list[Reader]) -> Snapshot:
    """The counters of all namespaces."""
    found: Snapshot = {}
    for reader in readers:
        found |= reader.read()
    return found


def _write(window: Window, config: Config, runtime: Runtime) -> None:
    start, end = int(window.start), int(time.time())
    found = records(window.counted)
    for interface in config.interfaces:
        own = tuple(record for record in found if record.flow.device == interface.device)
        for entry in interface.logs:
            if entry.interval_s != window.interval_s:
                continue
            wanted = [record for record in own if entry.traffic_type in ("ALL", record.action)]
            lines = [line(entry.fields, record, interface, config, start, end) for record in wanted]
            if window.skipped:
                lines.append(empty_line(entry.fields, interface, config, start, end, SKIPDATA))
            for text in lines or [empty_line(entry.fields, interface, config, start, end, NODATA)]:
                _emit(runtime, entry, interface, config, text)


def _emit(runtime: Runtime, entry: Log, interface: Interface, config: Config, text: str) -> None:
    runtime.events.emit(FLOW_LOG_RECORD, log=entry.id, interface=interface.interface_id, subnet=interface.subnet_id, vpc=config.vpc_id, fields=" ".join(entry.fields), line=text)
