"""One end of an IPsec tunnel: a real charon of strongSwan, and this process, which lives and dies with it.

    strongswan.conf ─► charon ─► control socket answers ─► key and connection loaded ─► an end that only answers is ready
                                     └─ initiates: first attempt over, up (and the far end answers a ping) or not ─► ready ─► again and again while the tunnel is down

A tunnel is up while charon has a CHILD_SA. What follows from it (interface, routes, the handover's carrier) is `interface`'s; every change, and why an attempt
failed, is an event. If charon ends, this process ends with an error and is started again by whoever watches it; the peer takes the new session for the old.
NOT MODELLED: IKEv1, certificates.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from services.common.events import IPSEC_ATTEMPT, IPSEC_TUNNEL
from services.common.runtime import Runtime
from services.ipsec import buffers, echo, interface, strongswan
from services.ipsec.causes import cause
from services.ipsec.config import FOLDER, Config, control_socket, peer_of
from services.ipsec.vici import Message, Vici, ViciError

log = logging.getLogger(__name__)

PROGRAMS = ("/usr/sbin/charon-systemd", "/usr/libexec/ipsec/charon-systemd", "/usr/lib/ipsec/charon-systemd")
START_TIMEOUT_S = 20.0
POLL_S = 0.01
FIRST_ATTEMPT_S = 5.0
"""After so long an initiator is ready even if its tunnel is not up: a wrong key must not keep a lab from starting."""
FAR_END_S = 2.0
"""How long the far end may take to follow."""
AGAIN_AFTER_S = 0.5
SETTLE_S = 0.05
END_S = 1.0
PR_SET_PDEATHSIG = 1


class IpsecError(Exception):
    """charon cannot be run, or has ended; the message says why and what to do."""


async def serve(config: Config, runtime: Runtime) -> None:
    """Run charon until cancelled, another one for each new configuration. Raises IpsecError where there is none, or if it ends by itself."""
    new: asyncio.Queue[Config] = asyncio.Queue()
    runtime.reload = new.put
    say_ready = runtime.ready
    while True:
        async with asyncio.TaskGroup() as group:
            end = group.create_task(_serve(config, runtime, say_ready))
            config = await new.get()
            log.info("a new configuration for %s", config.name)
            end.cancel()
        say_ready = _already_ready


def _already_ready() -> None:
    """It was said, once."""


async def _serve(config: Config, runtime: Runtime, say_ready: Callable[[], None]) -> None:
    """One charon with one configuration."""
    in_kernel = await interface.kernel_has_esp(config)
    settings = _write_settings(config, strongswan.settings(config, userspace=not in_kernel, time_scale=runtime.time_scale))
    await interface.lower_tunnel(config, None)
    async with _running(settings) as charon:
        tunnel = _Tunnel(config, runtime)
        try:
            async with asyncio.TaskGroup() as group:
                heard = group.create_task(_hear(charon, tunnel))
                vici = await _connected(config, charon, tunnel)
                listening = group.create_task(vici.listen())
                tunnel.device = await interface.make_xfrm(config) if in_kernel else await _tun(charon)
                buffers.enlarge(charon.pid)
                await interface.lower_tunnel(config, tunnel.device)
                for event in ("child-updown", "ike-updown"):
                    await vici.register(event)
                await vici.request("load-shared", strongswan.shared_key(config))
                await vici.request("load-conn", strongswan.connection(config, interface_id=interface.interface_id(config) if in_kernel else None, time_scale=runtime.time_scale))
                tunnel.say()
                following = group.create_task(tunnel.follow(vici))
                if config.initiates:
                    group.create_task(_initiate(config, vici, tunnel))
                    await tunnel.first_attempt(FIRST_ATTEMPT_S)
                    if tunnel.is_up and config.inside_address is not None:
                        await echo.until_answered(config.inside_address, peer_of(config), FAR_END_S)
                say_ready()
                log.info("charon for %s, ESP in %s, on %s", config.name, "the kernel" if in_kernel else "userspace", tunnel.device)
                await charon.wait()
                for task in (heard, listening, following):
                    task.cancel()
                raise IpsecError(f"charon ended with exit code {charon.returncode}; its log is above")
        except* ViciError as errors:
            with suppress(TimeoutError):
                await asyncio.wait_for(charon.wait(), END_S)
            raise IpsecError(f"charon cannot be spoken to (exit code {charon.returncode}): {errors.exceptions[0]}") from errors
        finally:
            await interface.lower_tunnel(config, tunnel.device)


def _write_settings(config: Config, text: str) -> Path:
    """charon's configuration file; a control socket that a killed one has left goes."""
    settings = Path(FOLDER, f"{config.name}.conf")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(text)
    Path(control_socket(config.name)).unlink(missing_ok=True)
    return settings


class _Tunnel:
    """Whether the tunnel is up, and what was said about it last."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self.device: str | None = None
        self.is_up = False
        self._config, self._runtime = config, runtime
        self._cause: str | None = None
        self._changed = asyncio.Event()
        self._attempted = asyncio.Event()

    def take(self, event: str, message: Message) -> None:
        """An event of charon."""
        log.debug("%s %s", event, message)
        self._changed.set()

    def line(self, text: str) -> None:
        """A line of charon's log."""
        found = cause(text)
        if found is not None and not self.is_up:
            if found != self._cause:
                self._runtime.events.emit(IPSEC_ATTEMPT, connection=self._config.connection, tunnel=self._config.tunnel, initiator=self._config.initiates, cause=found)
            self._cause = found
            self._attempted.set()

    def say(self) -> None:
        """The state as an event."""
        fields = {"connection": self._config.connection, "tunnel": self._config.tunnel, "initiator": self._config.initiates, "device": self.device}
        self._runtime.events.emit(IPSEC_TUNNEL, state="UP" if self.is_up else "DOWN", **fields)

    async def follow(self, vici: Vici) -> None:
        """Carry out what charon's events mean, one change at a time."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._adopt(strongswan.carries(await vici.stream("list-sas", "list-sa")))
            await asyncio.sleep(SETTLE_S)  # an association that ends is listed for a moment after its event
            await self._adopt(strongswan.carries(await vici.stream("list-sas", "list-sa")))

    async def _adopt(self, is_up: bool) -> None:
        if is_up == self.is_up or self.device is None:
            return
        self.is_up = is_up
        if is_up:
            await interface.raise_tunnel(self._config, self.device)
            self._cause = None
            self._attempted.set()
        else:
            await interface.lower_tunnel(self._config, self.device)
        self.say()

    async def first_attempt(self, patience_s: float) -> None:
        """Return once the tunnel has come up or an attempt has failed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._attempted.wait(), patience_s)


async def _initiate(config: Config, vici: Vici, tunnel: _Tunnel) -> None:
    """Begin whenever the tunnel is down."""
    while True:
        if not tunnel.is_up:
            with suppress(ViciError):  # charon's log says why, and `_hear` has heard it
                await vici.request("initiate", {"child": strongswan.CHILD, "ike": config.name, "timeout": "-1", "init-limits": "no"})
        await asyncio.sleep(AGAIN_AFTER_S)


async def _connected(config: Config, charon: asyncio.subprocess.Process, tunnel: _Tunnel) -> Vici:
    path = control_socket(config.name)
    async with asyncio.timeout(START_TIMEOUT_S):
        while charon.returncode is None:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                reader, writer = await asyncio.open_unix_connection(path)
                return Vici(reader, writer, tunnel.take)
            await asyncio.sleep(POLL_S)
    raise IpsecError(f"charon ended with exit code {charon.returncode} before its control socket opened; its log is above")


async def _tun(charon: asyncio.subprocess.Process) -> str:
    device = None
    async with asyncio.timeout(START_TIMEOUT_S):
        while device is None:
            device = interface.tun_of(charon.pid)
            await asyncio.sleep(POLL_S)
    return device


async def _hear(charon: asyncio.subprocess.Process, tunnel: _Tunnel) -> None:
    """charon's log goes to ours, line by line."""
    if charon.stderr is None:
        raise IpsecError("charon has no standard error")
    while line := await charon.stderr.readline():
        text = line.decode(errors="replace").rstrip()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        tunnel.line(text)


@asynccontextmanager
async def _running(settings: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """charon; ended in order on the way out, if it has not ended by itself."""
    program = next((path for path in PROGRAMS if os.access(path, os.X_OK)), None) or shutil.which("charon-systemd")
    if program is None:
        raise IpsecError("no charon-systemd: install the distribution's packages charon-systemd and strongswan-swanctl")
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def die_with_parent() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    environment = {**os.environ, "STRONGSWAN_CONF": str(settings)}
    charon = await asyncio.create_subprocess_exec(program, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, preexec_fn=die_with_parent)
    try:
        yield charon
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if charon.returncode is not None:
                break
            with suppress(ProcessLookupError):
                charon.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(charon.wait(), END_S)
