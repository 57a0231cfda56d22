"""The application's few connections to PostgreSQL: opened when needed, kept while they work, thrown away when they do not.

Decides when a connection is made, when it is trusted again, and how long a request waits; says `DatabaseUnreachable` for everything
that a later try may cure. Each new connection asks DNS anew, so that a database that moved is found (RDS user guide, "Best practices for
Amazon RDS", DNS time to live of failovers: documented), and makes sure of the schema, so that a database that begins empty gets it.
NOT MODELLED: TLS to the database; plain text can be read in a capture.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.common.stub_resolver import LookupFailed, StubResolver
from services.instance import catalogue
from services.instance.config import Database

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 4
CONNECT_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_S = 3.0
REQUEST_TIMEOUT_S = 4.0
"""What one request waits for the database in all: DNS, a connection of its own or a free one, and its statement."""
FIRST_RETRY_S, LONGEST_RETRY_S = 0.02, 1.0

UNREACHABLE = (
    OSError,
    LookupFailed,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What passes by itself: no name, no route, no listener, silence (TimeoutError is an OSError), a server that starts, stops or is full,
or one so new that its role and database have not got their names yet."""


class DatabaseUnreachable(Exception):
    """The database did not answer in time; the message says what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One statement as it went: text, its own time on the wire and in the server, rows it gave, and the two ends (``address:port``) that a capture shows."""

    statement: str
    duration_ms: float
    rows: int
    local: str
    peer: str


class Connections:
    """At most `MOST_CONNECTIONS` to one database. Used from one event loop; `close` ends them."""

    def __init__(self, database: Database, resolver: StubResolver, application_name: str) -> None:
        self._database = database
        self._resolver = resolver
        self._application_name = application_name
        self._idle: list[Any] = []
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    async def wait_until_there(self) -> None:
        """Return once a connection and the schema are there, trying for as long as it takes; each new reason is logged once."""
        delay_s, last = FIRST_RETRY_S, ""
        while True:
            try:
                async with self._connection():
                    return
            except DatabaseUnreachable as error:
                if str(error) != last:
                    last = str(error)
                    log.warning("waiting for the database: %s", error)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 1.5, LONGEST_RETRY_S)

    async def execute(self, statement: str, *arguments: object, executed: list[Executed]) -> list[Any]:
        """The rows that one statement gives; appends to `executed` what it took. Raises `DatabaseUnreachable` within `REQUEST_TIMEOUT_S`."""
        async with self._connection() as connection:
            started = time.perf_counter()
            rows: list[Any] = await connection.fetch(statement, *arguments)
            duration_ms = (time.perf_counter() - started) * 1000
            local, peer = connection.local_peer
            executed.append(Executed(statement=statement, duration_ms=round(duration_ms, 3), rows=len(rows), local=local, peer=peer))
            return rows

    def close(self) -> None:
        """Close what is idle; those in use end with their requests."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection that works as far as we know. One that fails in use, or whose user is cancelled, is not used again."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S), self._slots:
                connection = self._take_idle() or await self._connect()
                sound = False
                try:
                    yield connection
                    sound = True
                except asyncpg.PostgresError as error:  # the server refused the statement: the connection is as good as before
                    sound = not isinstance(error, UNREACHABLE)
                    raise
                finally:
                    if sound:
                        self._idle.append(connection)
                    else:
                        connection.terminate()
        except UNREACHABLE as error:
            raise DatabaseUnreachable(f"{self._database.host}:{self._database.port}: {type(error).__name__} {error}".rstrip()) from error

    def _take_idle(self) -> Any | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Any:
        database = self._database
        answer = await self._resolver.lookup(database.host)
        connection = await asyncpg.connect(
            host=str(answer.addresses[0]),
            port=database.port,
            database=database.name,
            user=database.user,
            password=database.password,
            ssl=False,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            connection_class=_Connection,
            server_settings={"application_name": self._application_name},
        )
        try:
            await _make_sure_of_schema(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's, which can tell both its ends."""

    @property
    def local_peer(self) -> tuple[str, str]:
        ends = (self._transport.get_extra_info(which) for which in ("sockname", "peername"))
        local, peer = (f"{end[0]}:{end[1]}" for end in ends)
        return local, peer


async def _make_sure_of_schema(connection: Any) -> None:
    """Tables and first rows, once, however many instances begin together."""
    if await connection.fetchval(catalogue.SCHEMA_IS_THERE):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", catalogue.SCHEMA_LOCK)
        if not await connection.fetchval(catalogue.SCHEMA_IS_THERE):
            await connection.execute(catalogue.SCHEMA)
