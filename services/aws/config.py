"""Configuration of the front of a Region's AWS services: where each listens, by which way a client comes there, and the endpoints' policies."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to one service: addresses, and what is known of whoever comes there. A door without `endpoint` is on the internet."""

    service: str
    """``s3``, ``dynamodb``, ``sqs`` or ``kms``."""
    https: tuple[Listen, ...] = ()
    http: tuple[Listen, ...] = ()
    endpoint: str | None = None
    """The VPC endpoint's id: ``aws:sourceVpce``."""
    vpc: str | None = None
    policy: str | None = None
    """The endpoint's policy, JSON; None allows everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One Region's front. `state` is where `services.aws_state` listens. `host_suffixes` are S3's own names: what stands before one is a bucket."""

    name: str
    region: str
    account: str
    state: Listen
    doors: tuple[Door, ...]
    tls: tuple[Tls, ...]
    """The first is shown to a client that names no host, or one that no certificate is for."""
    host_suffixes: tuple[str, ...] = ()
