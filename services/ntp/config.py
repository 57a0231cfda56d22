"""Configuration of Amazon Time Sync: where it listens."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """UDP listeners, one in each VPC's fabric."""

    name: str
    listen: tuple[Listen, ...]
