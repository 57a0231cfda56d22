"""Configuration of an RDS DB instance: a PostgreSQL server of the distribution's package, run unprivileged."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The server. `data_directory` is made from the cached, initialised cluster if it does not exist; `binaries` None searches the usual places."""

    name: str
    listen: Listen
    database: str
    user: str
    password: str
    data_directory: str
    binaries: str | None = None
