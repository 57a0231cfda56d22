"""Configuration of a Region's state: where its front reaches it, and what is there from the beginning."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """An S3 bucket; `policy` is JSON."""

    name: str
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`region` and `account` are AWS's: ``eu-west-1``, twelve digits."""

    name: str
    region: str
    account: str
    listen: Listen
    buckets: tuple[Bucket, ...] = ()
