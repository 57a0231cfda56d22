"""The DB instance as its clients and its supervisor see it: a real PostgreSQL server on loopback."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from postgresql import Rds, cache, rds

__all__ = ["cache", "rds"]


def query(instance, statement, **changes):
    async def ask():
        connection = await instance.connect(**changes)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return [tuple(row) for row in asyncio.run(ask())]


def servers_of(data_directory):
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(data_directory).encode() in path.read_bytes() and b"bin/postgres" in path.read_bytes()]


def test_when_it_is_ready_the_master_user_is_served_over_tcp(rds):
    assert rds.start() == ["started", "ready"]
    assert query(rds, "SELECT current_user::text, current_database()::text, pg_has_role('rds_superuser', 'member')") == [("shop", "shop", True)]
    query(rds, "CREATE TABLE mine (n integer)")


def test_the_network_is_asked_for_the_right_password_and_never_lets_the_superuser_in(rds):
    rds.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(rds, "SELECT 1", password="wrong")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="rejects"):
        query(rds, "SELECT 1", user="rdsadmin", database="postgres")


def test_names_and_passwords_with_quotes_are_taken_as_they_are(tmp_path, cache):
    odd = Rds(data_directory=tmp_path / "data", cache=cache, user='o"brien', database="the 'shop'", password="it's \\ \" secret")
    try:
        assert odd.start() == ["started", "ready"]
        assert query(odd, "SELECT current_user::text, current_database()::text") == [('o"brien', "the 'shop'")]
    finally:
        odd.end()


def test_told_to_end_it_ends_in_order_though_a_client_is_connected(rds):
    rds.start()

    async def end_while_connected():
        connection = await rds.connect()
        code = await asyncio.to_thread(rds.end)
        connection.terminate()
        return code

    assert asyncio.run(end_while_connected()) == 0
    assert servers_of(rds.data_directory) == []
    assert "database system is shut down" in rds.data_directory.with_name("rds.stderr").read_text()


def test_killed_it_takes_the_server_with_it_and_the_next_one_has_the_rows_at_once(rds):
    segments = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
    rds.start()
    query(rds, "CREATE TABLE kept AS SELECT 7 AS n")
    for _ in range(2):
        rds.end(signal.SIGKILL)
        assert rds.start() == ["started", "ready"]
        assert query(rds, "SELECT n FROM kept") == [(7,)]
    rds.end()
    assert servers_of(rds.data_directory) == []
    assert subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout == segments


def test_an_old_pid_file_that_names_a_living_process_does_not_matter(rds):
    rds.start()
    rds.end()
    (rds.data_directory / "postmaster.pid").write_text(f"{os.getpid()}\n{rds.data_directory}\n0\n{rds.port}\n.\n127.0.0.1\n  1 1\nready   \n")
    assert rds.start() == ["started", "ready"]


def test_a_server_that_ends_by_itself_is_a_failure_to_be_told(rds):
    rds.start()
    (server,) = (int(path.parent.name) for path in servers_of(rds.data_directory))
    os.kill(server, signal.SIGKILL)
    assert "PostgreSQL ended with exit code" in rds.process.stdout.read()
    assert rds.process.wait(5) == 1


def test_a_data_directory_made_for_others_is_refused_with_the_remedy(rds):
    rds.start()
    rds.end()
    rds.database = "another"
    assert rds.start() == ["started", "failed"]
    assert "remove it" in rds.told
    assert rds.process.wait(10) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_told_how_to_be_another_user(rds):
    assert rds.start(prefix=()) == ["started", "failed"]
    assert "unshare --user" in rds.told
    assert rds.process.wait(5) == 1
