"""Configuration of a stand-in OpenID Connect provider: who may ask it, and whom it knows."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application that may ask. With `redirect_uris` users are sent back to these alone."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person; `username` is the ``sub``, `claims` are what else is told of him."""

    username: str
    password: str
    claims: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A provider at `issuer` (an ``https://`` URL without a slash at its end). With `auto_login` everybody is this user, without a form."""

    name: str
    listen: Listen
    tls: Tls
    issuer: str
    clients: tuple[Client, ...]
    users: tuple[User, ...]
    auto_login: str = ""
    access_token_life_s: float = 3600.0
