"""An RDS DB instance: a real PostgreSQL server of the distribution's package, and this process, which lives and dies with it.

    lock data_directory ─► copy the kept cluster, if there is none ─► postgres ─► ready on its unix socket
        ─► give role and database their names, if the copy is fresh ─► TCP listener answers ─► ready

Told to end, it asks for a fast shutdown, and insists after `FAST_SHUTDOWN_S`. Killed, it takes the server with it (PDEATHSIG, an immediate shutdown);
the next start waits until the last of the old processes has gone, since they inherit the lock, and recovers from the write-ahead log.
NOT MODELLED: TLS, parameter groups, Multi-AZ, snapshots; the lab's clock scale does not concern PostgreSQL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from services.common.child import dies_with_us, end
from services.common.runtime import Runtime
from services.rds import cluster
from services.rds.cluster import ClusterError
from services.rds.config import Config
from services.rds.settings import baptism, settings

log = logging.getLogger(__name__)

FAST_SHUTDOWN_S = 5.0
IMMEDIATE_SHUTDOWN_S = 1.0
START_TIMEOUT_S = 60.0
POLL_S = 0.004
STATUS_LINE = 7
"""Of postmaster.pid, counted from 0: ``starting``, ``ready``, ``stopping``. It is what pg_ctl waits for."""


async def serve(config: Config, runtime: Runtime) -> None:
    """Run the server until cancelled. Raises `ClusterError` where there is no server to run, or if it ends by itself."""
    if os.geteuid() == 0:
        raise ClusterError(
            "PostgreSQL refuses to run as root: start this as another user (`runuser -u postgres -- …`) "
            "or in a user namespace that gives you another id (`unshare --user --map-user=1000 --map-group=1000 -- …`)"
        )
    opened_for_us = runtime.sockets.pop(config.listen, None)
    if opened_for_us is not None:  # PostgreSQL opens its own
        opened_for_us.close()
    binaries = cluster.find_binaries(config.binaries)
    server_version = cluster.version(binaries)
    data_directory = Path(config.data_directory)
    data_directory.parent.mkdir(parents=True, exist_ok=True)
    with cluster.locked(data_directory.with_name(f"{data_directory.name}.lock")) as lock:
        fresh = cluster.make_data_directory(data_directory, binaries, server_version, cluster.default_cache())
        # The lock says that nobody runs here; the number in an old file may be another process's by now.
        data_directory.joinpath("postmaster.pid").unlink(missing_ok=True)
        async with _running(config, binaries, cluster.major(server_version), lock) as postgres:
            await _until_up(postgres, data_directory)
            await _name(config, data_directory)
            await _until_listening(config)
            runtime.ready()
            log.info("PostgreSQL %s on %s:%d, data in %s (%s)", server_version, config.listen.address, config.listen.port, data_directory, "new" if fresh else "kept")
            await postgres.wait()
        raise _ended(postgres)


@asynccontextmanager
async def _running(config: Config, binaries: Path, major_version: int, lock: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The server's first process; ended in order on the way out, if it has not ended by itself. All its processes inherit `lock`."""
    options = [option for name, value in settings(config, major_version) for option in ("-c", f"{name}={value}")]
    postgres = await asyncio.create_subprocess_exec(
        str(binaries / "postgres"), "-D", config.data_directory, *options, stdin=asyncio.subprocess.DEVNULL, stdout=2, pass_fds=(lock,), preexec_fn=dies_with_us(signal.SIGQUIT)
    )
    try:
        yield postgres
    finally:
        await end(postgres, (signal.SIGINT, FAST_SHUTDOWN_S), (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_S), (signal.SIGKILL, IMMEDIATE_SHUTDOWN_S))


async def _until_up(postgres: asyncio.subprocess.Process, data_directory: Path) -> None:
    """Return once the server takes connections; recovery after a crash is included. Raises `ClusterError` if it ends or takes too long."""
    status = data_directory / "postmaster.pid"
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at:
        if postgres.returncode is not None:
            raise _ended(postgres)
        with suppress(FileNotFoundError):
            lines = status.read_text().splitlines()
            if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready":
                return
        await asyncio.sleep(POLL_S)
    raise ClusterError(f"PostgreSQL did not start within {START_TIMEOUT_S:.0f} s; its own log says why")


async def _name(config: Config, data_directory: Path) -> None:
    """Give a fresh copy's role and database their configured names. Raises `ClusterError` if an old one has other names."""
    directory = os.open(data_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # through the descriptor, since a socket's path must be short
        connection = await asyncpg.connect(
            host=f"/proc/self/fd/{directory}", port=config.listen.port, user=cluster.SUPERUSER, password="", database="postgres", ssl=False, timeout=START_TIMEOUT_S
        )
        try:
            if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", cluster.PREPARED):
                await connection.execute(baptism(config))
            elif not await connection.fetchval("SELECT true FROM pg_roles, pg_database WHERE rolname = $1 AND datname = $2", config.user, config.database):
                raise ClusterError(f"{data_directory} has no role {config.user!r} or no database {config.database!r}: it was made for others; remove it, or configure another")
        finally:
            await connection.close()
    finally:
        os.close(directory)


async def _until_listening(config: Config) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        _, writer = await asyncio.open_connection(str(config.listen.address), config.listen.port)
    writer.close()


def _ended(postgres: asyncio.subprocess.Process) -> ClusterError:
    return ClusterError(f"PostgreSQL ended with exit code {postgres.returncode}; its own log says why")
