"""The flow logs of one transit gateway: reads its counters, and writes each interval's records as events with AWS's line in them."""

from __future__ import annotations

import asyncio
import contextlib
import time

from services.common.events import FLOW_LOG_RECORD
from services.common.runtime import Runtime
from services.flow_log.counters import Deltas, Reader, is_full
from services.flow_log.window import Window
from services.transit_gateway_flow_log.config import Config, Log
from services.transit_gateway_flow_log.record import Record, empty_line, line, records

PLACES = ("in_try", "in_ok", "out_ok", "noway_ok", "ttl_ok")
READS_PER_INTERVAL = 10
MOST_PAUSE_S = 1.0
NODATA, SKIPDATA = "NODATA", "SKIPDATA"


async def serve(config: Config, runtime: Runtime) -> None:
    """Read and write until cancelled."""
    current = [config]

    async def reload(new: Config) -> None:
        current[0] = new

    runtime.reload = reload
    window = Window(config.interval_s, runtime.scaled(config.interval_s))
    pause_s = min(MOST_PAUSE_S, runtime.scaled(config.interval_s) / READS_PER_INTERVAL)
    deltas = Deltas()
    with contextlib.closing(Reader(config.table, places=PLACES)) as reader:
        deltas.of(reader.read())
        runtime.ready()
        while True:
            await asyncio.sleep(pause_s)
            snapshot = reader.read()
            window.add(deltas.of(snapshot), is_full(snapshot))
            if window.is_over:
                _write(window, current[0], runtime)
                window.restart()


def _write(window: Window, config: Config, runtime: Runtime) -> None:
    start, end = int(window.start), int(time.time())
    attachments = {device.name: device.attachment for device in config.devices}
    found = records(window.counted, config)
    for entry in config.logs:
        own = [record for record in found if entry.attachment in ("", attachments[record.flow.device])]
        for record in own:
            _emit(runtime, entry, attachments[record.flow.device], config, _line(entry, record, config, start, end))
        if window.skipped or not own:
            _emit(runtime, entry, entry.attachment, config, empty_line(entry.fields, entry.attachment, config, start, end, SKIPDATA if window.skipped else NODATA))


def _line(entry: Log, record: Record, config: Config, start: int, end: int) -> str:
    return line(entry.fields, record, config, start, end, whole=not entry.attachment)


def _emit(runtime: Runtime, entry: Log, attachment: str, config: Config, text: str) -> None:
    runtime.events.emit(FLOW_LOG_RECORD, log=entry.id, interface=attachment, subnet="", vpc=config.transit_gateway, fields=" ".join(entry.fields), line=text)
