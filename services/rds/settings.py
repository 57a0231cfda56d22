"""How the server is told what it is: its settings, lean for a laptop that runs many, and the SQL that makes a fresh copy the configured one. Pure."""

from __future__ import annotations

from services.rds.cluster import PREPARED
from services.rds.config import Config

SOCKET_DIRECTORY = "."
"""The server's unix socket is in its data directory, given as the server sees it: a full path may be longer than a socket's name can be."""

LEAN = (
    ("autovacuum_max_workers", "1"),
    ("autovacuum_naptime", "300"),
    ("bgwriter_delay", "10000"),
    ("dynamic_shared_memory_type", "mmap"),  # in the data directory: nothing is left in /dev/shm by a server that was killed
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("huge_pages", "off"),
    ("jit", "off"),
    ("maintenance_work_mem", "4MB"),
    ("max_connections", "40"),
    ("max_logical_replication_workers", "0"),
    ("max_parallel_workers", "0"),
    ("max_parallel_workers_per_gather", "0"),
    ("max_replication_slots", "0"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "16MB"),
    ("max_worker_processes", "0"),
    ("min_wal_size", "2MB"),
    ("shared_buffers", "16MB"),
    ("wal_level", "minimal"),
    ("wal_writer_delay", "2000"),
    ("work_mem", "2MB"),
)
LOGGING = (
    ("lc_messages", "C"),
    ("log_checkpoints", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] %q%u@%d %h "),
    ("log_min_duration_statement", "-1"),
    ("log_timezone", "UTC"),
    ("logging_collector", "off"),
    ("timezone", "UTC"),
)
IO_WITHOUT_WORKERS = ("io_method", "sync")
"""From version 18 on, the default keeps three processes for reading."""


def settings(config: Config, major_version: int) -> tuple[tuple[str, str], ...]:
    """The server's settings by name; what the DB instance listens on, then what it does without."""
    return (
        ("listen_addresses", str(config.listen.address)),
        ("port", str(config.listen.port)),
        ("unix_socket_directories", SOCKET_DIRECTORY),
        *LEAN,
        *LOGGING,
        *((IO_WITHOUT_WORKERS,) if major_version >= 18 else ()),
    )


def baptism(config: Config) -> str:
    """SQL that gives the prepared role and database the configured names and password. One transaction: all of it has happened, or nothing."""
    user = identifier(config.user)
    return (
        f"ALTER ROLE {PREPARED} RENAME TO {user};"
        f"ALTER ROLE {user} LOGIN PASSWORD {literal(config.password)};"
        f"ALTER DATABASE {PREPARED} RENAME TO {identifier(config.database)};"
    )


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier (PostgreSQL, "Lexical structure")."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string constant, whatever standard_conforming_strings says."""
    return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
