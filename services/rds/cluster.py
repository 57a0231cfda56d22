"""Clusters on disk: the initialised one that is kept, and a DB instance's own copy of it.

    initdb + prepare.sql ──once──► $XDG_CACHE_HOME/testbed/postgresql-<version>-<hash> ──copy──► data_directory

Decides which PostgreSQL is run, with which options a cluster is initialised, and that two who begin at once make one cache and no half of a
cluster is ever seen: everything is made under a lock, beside its place, and renamed into it.

As on Amazon RDS, the superuser is `rdsadmin`, who is not let in over the network, and the master user has CREATEDB, CREATEROLE and `rds_superuser`
(RDS user guide, "Master user account privileges" and "Understanding PostgreSQL roles and permissions": documented).

A copy costs what its files cost, so the kept cluster has few: 740, where initdb alone makes 970. In a tmpfs, where a lab has its data, that is 0.1 s.
NOT MODELLED: the database template0 (it can be made again from template1).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUPERUSER = "rdsadmin"
PREPARED = "testbed_prepared"
"""The role and the database of the kept cluster that a copy renames: quicker than to create them."""

INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--wal-segsize=1",
    "--no-sync",
    "--no-instructions",
)
ACCESS = f"""# Whoever is on the machine is trusted; from the network, everyone but the superuser with a password.
local all all trust
host all {SUPERUSER} all reject
host all all all scram-sha-256
"""
PREPARE = f"""CREATE ROLE rds_superuser NOLOGIN IN ROLE pg_monitor, pg_signal_backend, pg_read_all_settings;
CREATE ROLE {PREPARED} NOLOGIN CREATEDB CREATEROLE IN ROLE rds_superuser;
CREATE DATABASE {PREPARED} OWNER {PREPARED};
UPDATE pg_database SET datistemplate = false WHERE datname = 'template0';
DROP DATABASE template0;
"""
FEW_WAL_SEGMENTS = ("-c", "min_wal_size=2MB", "-c", "max_wal_size=2MB")
MAPS_MADE_ANEW = ("base/*/*_fsm", "base/*/*_vm", "global/*_fsm", "global/*_vm")
"""Free space and visibility maps, which a stopped server may lose (PostgreSQL wiki, "Free Space Map Problems" and "Visibility Map Problems": documented)."""

WHERE_DISTRIBUTIONS_PUT_IT = Path("/usr/lib/postgresql")


class ClusterError(Exception):
    """A cluster that cannot be made or found; the message says why and what to do."""


def find_binaries(configured: str | None) -> Path:
    """The folder of `postgres` and `initdb`: the configured one, else the distribution's newest, else PATH's. Raises `ClusterError`."""
    if configured is not None:
        candidates = [Path(configured)]
    else:
        versions = sorted((p for p in WHERE_DISTRIBUTIONS_PUT_IT.glob("*/bin") if p.parent.name.isdecimal()), key=lambda p: int(p.parent.name), reverse=True)
        on_path = shutil.which("postgres")
        candidates = [*versions, *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
            return folder
    looked = ", ".join(str(folder) for folder in candidates) or f"{WHERE_DISTRIBUTIONS_PUT_IT}/*/bin and PATH"
    raise ClusterError(f"no PostgreSQL server in {looked}: install the distribution's package `postgresql`, or set `binaries`")


def version(binaries: Path) -> str:
    """The server's version, as ``15.8`` or ``18beta1``. Raises `ClusterError`."""
    said = _run([str(binaries / "postgres"), "--version"])
    found = re.search(r"\(PostgreSQL\) (\S+)", said)
    if found is None:
        raise ClusterError(f"{binaries}/postgres does not say which version it is: {said!r}")
    return found[1]


def major(server_version: str) -> int:
    """15 of ``15.8``, 18 of ``18beta1``."""
    return int(re.split(r"\D", server_version, maxsplit=1)[0])


def make_data_directory(data_directory: Path, binaries: Path, server_version: str, cache: Path) -> bool:
    """Copy the kept cluster, made first if need be, to `data_directory`; False if one is there already. The caller holds the directory's lock."""
    if data_directory.exists():
        return False
    kept = kept_cluster(binaries, server_version, cache)
    partial = data_directory.with_name(f"{data_directory.name}.partial")
    _remove(partial)
    _run(["cp", "-R", "--reflink=auto", str(kept), str(partial)])
    partial.chmod(0o700)
    partial.rename(data_directory)
    return True


def kept_cluster(binaries: Path, server_version: str, cache: Path) -> Path:
    """The initialised cluster of this version and these options, made on first use. Raises `ClusterError`."""
    recipe = "\n".join((*INITDB_OPTIONS, ACCESS, PREPARE, *FEW_WAL_SEGMENTS, *MAPS_MADE_ANEW))
    kept = cache / f"postgresql-{server_version}-{hashlib.blake2s(recipe.encode(), digest_size=6).hexdigest()}"
    if kept.exists():
        return kept
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(kept.with_name(f"{kept.name}.lock")):
            if not kept.exists():
                partial = kept.with_name(f"{kept.name}.partial")
                _remove(partial)
                _initialise(partial, binaries)
                partial.rename(kept)
    except OSError as error:
        raise ClusterError(f"cannot keep an initialised cluster in {cache}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written") from error
    return kept


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/testbed`` (XDG base directory specification). Raises `ClusterError` without a home."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if configured.startswith("/"):
        return Path(configured, "testbed")
    try:
        return Path.home() / ".cache" / "testbed"
    except RuntimeError as error:
        raise ClusterError("no home directory: set XDG_CACHE_HOME to a folder that can be written") from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path`, waiting for it; gives its descriptor. A process that inherits the descriptor holds the lock, too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _initialise(directory: Path, binaries: Path) -> None:
    _run([*_somebody(), str(binaries / "initdb"), f"--pgdata={directory}", *INITDB_OPTIONS])
    (directory / "pg_hba.conf").write_text(ACCESS)
    _run([*_somebody(), str(binaries / "postgres"), "--single", "-F", "-D", str(directory), *FEW_WAL_SEGMENTS, "postgres"], PREPARE)
    for pattern in MAPS_MADE_ANEW:
        for superfluous in directory.glob(pattern):
            superfluous.unlink()


def _somebody() -> list[str]:
    """What to put before `initdb` and `postgres --single`: both want their user id to have a name, which inside a sandbox it may not.

    Then they run in a user namespace where they have the id of somebody who has one; the files are ours all the same.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        somebody = min((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), default=None)
        if somebody is None:
            raise ClusterError("there is no user but root in /etc/passwd, and PostgreSQL wants one: add a user") from None
        return ["unshare", "--user", f"--map-user={somebody}", "--"]
    return []


def _run(command: list[str], standard_input: str = "") -> str:
    try:
        done = subprocess.run(command, input=standard_input, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise ClusterError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
