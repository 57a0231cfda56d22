"""Configurations of daemons: frozen dataclasses, to and from JSON.

Each daemon owns its `Config` in `services/<kind>/config.py`; `testbed.compile` fills it in and `encode`s it, the daemon `decode`s it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

import msgspec

C = TypeVar("C")


class Transport(enum.StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """An address to listen on. `namespace` names another node whose network namespace holds the socket (None: the daemon's own);
    by itself, outside a lab, a daemon opens it in its own."""

    address: IPv4Address
    port: int
    transport: Transport = Transport.TCP
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate chain and its key, as absolute paths of PEM files, for the `host_names` (``*.`` covers one label)."""

    host_names: tuple[str, ...]
    certificate_file: str
    key_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A target group's health check; times in seconds before scaling. `protocol` TCP (connecting is all), HTTP or HTTPS; None: the group's own, likewise `port`."""

    protocol: str | None = None
    port: int | None = None
    path: str = "/"
    interval_s: float = 30.0
    timeout_s: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntRateRule:
    """A protection's automatic application-layer mitigation (`services.common.rate_rule`). `origin` is the protection; `action` ``Block`` or ``Count``."""

    origin: str
    action: str
    health_based: bool = False


class ConfigError(Exception):
    """A configuration that is not what the daemon needs; the message names the field."""


def encode(config: object) -> str:
    """`config` as deterministic JSON, indented so that a person can read it in a plan."""
    return msgspec.json.format(msgspec.json.encode(config, enc_hook=_to_json), indent=2).decode()


def decode(text: str | bytes, kind: type[C]) -> C:
    """The configuration in `text`. Raises `ConfigError` naming the field at fault."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_from_json)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"not JSON: {error}") from error


def _to_json(value: Any) -> str:
    if isinstance(value, (IPv4Address, IPv4Network)):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} in a configuration")


def _from_json(kind: type[Any], value: Any) -> Any:
    if kind in (IPv4Address, IPv4Network):
        return kind(value)
    raise NotImplementedError(f"{kind.__name__} in a configuration")
