"""Configuration of the web application on an instance: a small product catalogue over HTTP, its rows in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where the rows are. `host` is a DNS name, resolved anew for each connection."""

    host: str
    port: int
    name: str
    user: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The application on one instance; `availability_zone` and `name` appear in its answers, so that one sees who answered. Without a `database` it has no catalogue and no carts."""

    name: str
    listen: Listen
    database: Database | None = None
    resolvers: tuple[IPv4Address, ...]
    availability_zone: str = ""
    proxy_protocol: bool = False
    """Connections begin with a PROXY header (version 2); others are refused."""
