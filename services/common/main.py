"""Run one daemon: ``python -m services.dns --config dns.json``; ``--check`` only reads the configuration.

`run` is the part that the lab's zygote shares: it has the daemon's configuration and sockets already, and calls it in a forked child.
Signals: SIGTERM and SIGINT end the daemon in order; SIGHUP reads the configuration file again, if the daemon can take a new one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from services.common.config import ConfigError, decode
from services.common.events import FAILED, STARTED, STOPPED, EventLog
from services.common.runtime import Runtime

log = logging.getLogger(__name__)
EXIT_CONFIG = 2


def config_class(kind: str) -> type[Any]:
    """The `Config` of ``services.<kind>``."""
    return importlib.import_module(f"services.{kind}.config").Config  # type: ignore[no-any-return]


def _read(kind: str, config_file: Path) -> Any:
    return decode(config_file.read_bytes(), config_class(kind))


def main(kind: str) -> int:
    """The command line of one kind of daemon; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{kind}", description=importlib.import_module(f"services.{kind}.config").__doc__)
    parser.add_argument("--config", required=True, type=Path, help="the daemon's configuration, JSON")
    parser.add_argument("--check", action="store_true", help="only check the configuration")
    parser.add_argument("--time-scale", type=float, default=1.0, help="divide AWS's timers by this")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = _read(kind, arguments.config)
    except (OSError, ConfigError) as error:
        print(f"{arguments.config}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if arguments.check:
        print(f"{arguments.config}: a correct configuration of services.{kind}", file=sys.stderr)
        return 0
    runtime = Runtime(name=kind, events=EventLog(kind, sys.stdout.fileno()), time_scale=arguments.time_scale)
    return run(kind, config, runtime, arguments.config)


def run(kind: str, config: Any, runtime: Runtime, config_file: Path) -> int:
    """Serve until told to end; returns the exit code. Every failure is written to the log with its cause."""
    server: ModuleType = importlib.import_module(f"services.{kind}.server")
    runtime.events.emit(STARTED)
    try:
        prepare = getattr(server, "prepare", None)
        if prepare is not None:
            runtime.prepared = prepare(config, runtime)
        runner = asyncio.Runner(loop_factory=loop_factory())
        with runner:
            runner.run(_serve(server, kind, config, runtime, config_file))
    except Exception as error:  # the edge of the daemon
        log.exception("%s failed", runtime.name)
        runtime.events.flush_soon = None
        runtime.events.emit(FAILED, reason=f"{type(error).__name__}: {error}")
        return 1
    runtime.events.flush_soon = None
    runtime.events.emit(STOPPED)
    return 0


def loop_factory() -> Any:
    """What makes a daemon's event loop; None for asyncio's own."""
    try:
        import uvloop
    except ImportError:  # not on every platform; asyncio's own loop is slower, not different
        return None
    return uvloop.new_event_loop


async def _serve(server: ModuleType, kind: str, config: Any, runtime: Runtime, config_file: Path) -> None:
    loop = asyncio.get_running_loop()
    gc.freeze()
    serving = asyncio.ensure_future(server.serve(config, runtime))
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(kind, runtime, config_file))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await serving
    except asyncio.CancelledError:
        log.info("%s ends", runtime.name)


async def _reload(kind: str, runtime: Runtime, config_file: Path) -> None:
    try:
        config = _read(kind, config_file)
    except (OSError, ConfigError) as error:
        log.error("%s: %s; the old configuration stays in force", config_file, error)
        return
    if runtime.reload is not None:
        await runtime.reload(config)
