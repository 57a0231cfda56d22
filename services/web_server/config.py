"""Configuration of the web server on an instance: one page, and how many requests a second it can do."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The server called `name`."""

    name: str
    listen: Listen
    requests_per_second: float
