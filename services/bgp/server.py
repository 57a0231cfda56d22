"""A BGP speaker: BIRD 2, and this process, which lives and dies with it and tells what its sessions do.

    bird.conf ─► bird -f ─► control socket answers ─► ready
                   │ log: a session changed state ─► show protocols all ─► event bgp_session (up, or down with its cause)

Killed, it takes BIRD with it; BIRD's routes stay in the kernel until the next one has looked at them and removes those that it does not know, as on any Linux router.
SIGHUP has BIRD take its new configuration in place: sessions that it does not concern stay up.
A session that too many prefixes took down is tried again after `IDLE_S` (that AWS tries again by itself is assumed; the quota's page says that the session goes idle and down).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import time
from pathlib import Path

from services.bgp.config import FOLDER, Config, Neighbour, control_socket
from services.bgp.control import ControlError, ask, changed, is_established, last_error
from services.bgp.render import bird_configuration
from services.common.child import dies_with_us, end
from services.common.events import BGP_SESSION
from services.common.runtime import Runtime

log = logging.getLogger(__name__)
SEARCH_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"
START_TIMEOUT_S = 10.0
POLL_S = 0.005
TERMINATE_S, KILL_S = 0.2, 1.0
IDLE_S = 60.0
OVER_LIMIT = "Route limit exceeded"


class SpeakerError(Exception):
    """BIRD cannot be run, or has ended; the message says why."""


async def serve(config: Config, runtime: Runtime) -> None:
    """Run BIRD until cancelled. Raises `SpeakerError` where there is none, where it refuses its configuration, or if it ends by itself."""
    program = shutil.which("bird", path=SEARCH_PATH)
    if program is None:
        raise SpeakerError("no BIRD on this machine: install the distribution's package `bird2`")
    file, socket = _write(config, runtime.time_scale), Path(control_socket(config.name))
    bird = await asyncio.create_subprocess_exec(
        program, "-f", "-c", str(file), "-s", str(socket),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, preexec_fn=dies_with_us(signal.SIGKILL),
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as tasks:
            speaker = Speaker(config, runtime, socket, tasks)
            tasks.create_task(speaker.listen(bird))
            await _until_answering(bird, socket)
            runtime.reload = speaker.reload
            runtime.ready()
    except* SpeakerError as errors:
        raise errors.exceptions[0] from None
    finally:
        await end(bird, (signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, KILL_S))


class Speaker:
    """Hears BIRD's log and tells of the sessions."""

    def __init__(self, config: Config, runtime: Runtime, socket: Path, tasks: asyncio.TaskGroup) -> None:
        self._runtime = runtime
        self._socket = socket
        self._tasks = tasks
        self._neighbours = _by_name(config)
        self._up: set[str] = set()
        self._idle: set[str] = set()

    async def listen(self, bird: asyncio.subprocess.Process) -> None:
        """Read BIRD's log until it ends. Raises `SpeakerError` then."""
        assert bird.stderr is not None
        last = ""
        async for raw in bird.stderr:
            last = raw.decode(errors="replace").rstrip()
            log.info("bird: %s", last)
            name = changed(last)
            if name in self._neighbours:
                self._tasks.create_task(self._look_at(self._neighbours[name]))
        raise SpeakerError(f"BIRD ended with exit code {await bird.wait()}: {last}")

    async def reload(self, config: Config) -> None:
        """Have BIRD take another configuration; sessions whose part is the same stay up."""
        _write(config, self._runtime.time_scale)
        self._neighbours = _by_name(config)
        self._up &= set(self._neighbours)
        try:
            await ask(self._socket, "configure")
        except (OSError, ControlError) as error:
            log.error("BIRD did not take its new configuration: %s", error)

    async def _look_at(self, neighbour: Neighbour) -> None:
        try:
            protocol = await ask(self._socket, f"show protocols all '{neighbour.name}'")
        except (OSError, ControlError) as error:
            log.warning("%s: %s", neighbour.name, error)
            return
        if is_established(protocol) == (neighbour.name in self._up):
            return
        cause = last_error(protocol)
        if neighbour.name in self._up:
            self._up.discard(neighbour.name)
            self._tell(neighbour, "down", cause)
            if OVER_LIMIT in cause and neighbour.name not in self._idle:
                self._tasks.create_task(self._try_again(neighbour))
        else:
            self._up.add(neighbour.name)
            self._tell(neighbour, "up", "")

    async def _try_again(self, neighbour: Neighbour) -> None:
        self._idle.add(neighbour.name)
        await asyncio.sleep(self._runtime.scaled(IDLE_S))
        self._idle.discard(neighbour.name)
        try:
            await ask(self._socket, f"enable '{neighbour.name}'")
        except (OSError, ControlError) as error:
            log.warning("%s: %s", neighbour.name, error)

    def _tell(self, neighbour: Neighbour, state: str, cause: str) -> None:
        self._runtime.events.emit(BGP_SESSION, session=neighbour.name, neighbour=neighbour.address, asn=neighbour.asn, state=state, cause=cause, origin=neighbour.origin)


def _write(config: Config, time_scale: float) -> Path:
    folder = Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{config.name}.conf"
    file.write_text(bird_configuration(config, time_scale))
    return file


def _by_name(config: Config) -> dict[str | None, Neighbour]:
    return {neighbour.name: neighbour for neighbour in config.neighbours}


async def _until_answering(bird: asyncio.subprocess.Process, socket: Path) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at and bird.returncode is None:
        try:
            await ask(socket, "show status")
        except OSError:  # not yet, or the socket of one that was killed
            await asyncio.sleep(POLL_S)
        else:
            return
    if bird.returncode is None:
        raise SpeakerError(f"BIRD did not answer within {START_TIMEOUT_S:.0f} s; its own log says why")
