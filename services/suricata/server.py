"""A firewall's stateful engine: Suricata inline between two interfaces, and this process, which lives and dies with it and tells what it logs.

    suricata.yaml, firewall.rules ─▶ suricata --af-packet ─▶ "Engine started" ─▶ ready
                                        └─ events.socket: alert, netflow ─▶ events with AWS's log line

It fails closed: frames cross from one interface to the other by Suricata alone, and with it flows and what was known of them are gone. Other rules are read while it works (SIGUSR2): flows go on.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from services.common.child import dies_with_us, end
from services.common.events import FIREWALL_ALERT, FIREWALL_FLOW
from services.common.runtime import Runtime
from services.suricata.config import FOLDER, Config
from services.suricata.log_line import LOGGED, line
from services.suricata.render import defaults, rules_text, suricata_yaml

log = logging.getLogger(__name__)
SEARCH_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"
STARTED, RELOADED = "Engine started", "rule reload complete"
START_TIMEOUT_S, RELOAD_TIMEOUT_S = 20.0, 20.0
TERMINATE_S, KILL_S = 0.05, 1.0
"""It takes a second or two to end in order, and has nothing to keep."""
LONGEST_EVENT_BYTES = 1 << 20


class SuricataError(Exception):
    """Suricata cannot be run, refuses its rules, or has ended; the message says why and what to do."""


async def serve(config: Config, runtime: Runtime) -> None:
    """Run Suricata until cancelled. Raises SuricataError where there is none, where it refuses its rules, or if it ends by itself."""
    program = shutil.which("suricata", path=SEARCH_PATH)
    if program is None:
        raise SuricataError(f"{config.firewall} needs Suricata, and there is none on this machine: run `sh testbed/setup.sh install`")
    folder = Path(FOLDER, config.name)
    _write(config, folder, runtime.time_scale)
    engine = Engine(config, runtime, folder)
    socket = folder / "events.socket"
    socket.unlink(missing_ok=True)
    heard = await asyncio.start_unix_server(engine.hear, socket, limit=LONGEST_EVENT_BYTES)
    suricata = await asyncio.create_subprocess_exec(
        program, "-c", str(folder / "suricata.yaml"), "--af-packet", "-l", str(folder), "--pidfile", str(folder / "suricata.pid"), "--init-errors-fatal",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, preexec_fn=dies_with_us(signal.SIGKILL),
    )  # fmt: skip
    engine.suricata = suricata
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.listen())
            async with asyncio.timeout(START_TIMEOUT_S):
                await engine.started.wait()
            runtime.reload = engine.reload
            runtime.ready()
    except* (SuricataError, TimeoutError) as errors:
        first = errors.exceptions[0]
        raise first if isinstance(first, SuricataError) else SuricataError(f"Suricata did not start within {START_TIMEOUT_S:.0f} s; its own log says why") from None
    finally:
        heard.close()
        await end(suricata, (signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, KILL_S))


class Engine:
    """Hears Suricata's log and its events."""

    suricata: asyncio.subprocess.Process

    def __init__(self, config: Config, runtime: Runtime, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        self._take(config)
        self.started, self._reloaded = asyncio.Event(), asyncio.Event()

    async def listen(self) -> None:
        """Read Suricata's log until it ends. Raises SuricataError then."""
        assert self.suricata.stdout is not None
        refused = ""
        async for raw in self.suricata.stdout:
            said = raw.decode(errors="replace").rstrip()
            log.info("suricata: %s", said)
            if said.startswith("E: ") and not refused:
                refused = said
            if STARTED in said:
                self.started.set()
            if RELOADED in said:
                self._reloaded.set()
        raise SuricataError(f"Suricata ended with exit code {await self.suricata.wait()}: {refused or 'its log is above'}")

    async def reload(self, config: Config) -> None:
        """Have Suricata read other rules; flows go on. Another order of evaluation takes another Suricata, and flows with it."""
        restart = config.strict != self._config.strict
        _write(config, self._folder, self._runtime.time_scale)
        self._take(config)
        if restart:
            self.suricata.terminate()
            return
        self._reloaded.clear()
        self.suricata.send_signal(signal.SIGUSR2)
        try:
            await asyncio.wait_for(self._reloaded.wait(), RELOAD_TIMEOUT_S)
        except TimeoutError:
            log.error("Suricata did not read its new rules within %.0f s; the old ones stay in force", RELOAD_TIMEOUT_S)

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell of each event that Suricata sends."""
        try:
            async for raw in reader:
                event = msgspec.json.decode(raw, type=dict[str, Any])
                if event.get("event_type") in LOGGED:
                    self._tell(event)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _tell(self, event: dict[str, Any]) -> None:
        fields = {
            "firewall": self._config.firewall,
            "availability_zone": self._config.availability_zone,
            "protocol": str(event.get("proto", "")).lower(),
            "source": ends(event, "src"),
            "destination": ends(event, "dest"),
            "line": line(event, self._config.firewall, self._config.availability_zone),
        }
        if event["event_type"] == "alert":
            alert = event["alert"]
            self._runtime.events.emit(FIREWALL_ALERT, rule=self._rules.get(alert["signature_id"], str(alert["signature_id"])), action=alert["action"], message=alert["signature"], **fields)
        else:
            self._runtime.events.emit(FIREWALL_FLOW, packets=event["netflow"]["pkts"], bytes=event["netflow"]["bytes"], **fields)

    def _take(self, config: Config) -> None:
        self._config = config
        self._rules = {rule.sid: f"{rule.group}#{rule.sid}" for rule in config.rules} | {sid: f"{config.policy} {action}" for sid, action in defaults(config).items()}


def ends(event: dict[str, Any], side: str) -> str:
    """``10.0.0.4:443``, or the address alone where there is no port."""
    address, port = event.get(f"{side}_ip"), event.get(f"{side}_port")
    return f"{address}:{port}" if port is not None else str(address)


def _write(config: Config, folder: Path, time_scale: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("classification.config", "reference.config", "threshold.config"):
        (folder / name).touch()
    (folder / "suricata.pid").unlink(missing_ok=True)
    (folder / "suricata.yaml").write_text(suricata_yaml(config, PurePosixPath(folder), time_scale))
    (folder / "firewall.rules").write_text(rules_text(config))
