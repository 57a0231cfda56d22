"""Configuration of the place where the public keys of a Region's Application Load Balancers are fetched."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`cookie_keys` are those of the balancers (64 hexadecimal digits each), from which their signing keys follow."""

    name: str
    listen: Listen
    tls: Tls
    cookie_keys: tuple[str, ...]
