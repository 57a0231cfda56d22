"""A real `services.rds`, as a process of its own, for tests that want a database. One cache of initialised clusters serves a whole test run."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from services.rds.cluster import ClusterError, find_binaries

ROOT = Path(__file__).parents[3]
ANOTHER_USER = ("unshare", "--user", "--map-user=12345", "--map-group=12345", "--kill-child", "--fork", "--")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(kw_only=True)
class Rds:
    """One DB instance on loopback; `start` and `stop` as often as one likes."""

    data_directory: Path
    cache: Path
    database: str = "shop"
    user: str = "shop"
    password: str = "correct-horse"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    told: str = ""

    def start(self, *, prefix=None) -> list[str]:
        """The kinds of events until it is ready or has ended."""
        config = self.data_directory.with_name("rds.json")
        listen = {"address": "127.0.0.1", "port": self.port}
        names = {"database": self.database, "user": self.user, "password": self.password}
        config.write_text(json.dumps({"name": "shop-db", "listen": listen, "data_directory": str(self.data_directory), **names}))
        if prefix is None:
            prefix = ANOTHER_USER if os.geteuid() == 0 else ()
        with self.data_directory.with_name("rds.stderr").open("a") as errors:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "services.rds", "--config", str(config)],
                stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(self.cache)},
            )
        events = []
        for line in self.process.stdout:
            event = json.loads(line)
            events.append(event["event"])
            self.told = event.get("reason", "")
            if event["event"] in ("ready", "failed"):
                break
        return events

    def end(self, number=signal.SIGTERM) -> int:
        """Send the daemon a signal (not to `unshare` around it) and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.process.stdout.read()  # until its last process has closed it
        return self.process.wait(10)

    @property
    def pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if os.geteuid() == 0 else self.process.pid

    def connect(self, **changes):
        return asyncpg.connect(**{"host": "127.0.0.1", "port": self.port, "user": self.user, "password": self.password, "database": self.database, "ssl": False} | changes)


def available() -> None:
    """Skip, with the reason, where PostgreSQL cannot be run."""
    try:
        find_binaries(None)
    except ClusterError as error:
        pytest.skip(str(error))
    if os.geteuid() == 0 and (shutil.which("unshare") is None or subprocess.run([*ANOTHER_USER, "true"], capture_output=True, check=False).returncode != 0):
        pytest.skip("as root, PostgreSQL needs user namespaces")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    available()
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rds(tmp_path, cache):
    instance = Rds(data_directory=tmp_path / "data", cache=cache)
    yield instance
    if instance.process is not None and instance.process.poll() is None:
        instance.end()
