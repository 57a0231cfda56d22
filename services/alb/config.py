"""Configuration of one Application Load Balancer node: its listeners, rules and target groups."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import Listen, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Forward to a target group."""

    target_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedResponse:
    """Answer from the balancer."""

    status_code: int
    content_type: str = "text/plain"
    message_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """301 or 302, with AWS's ``#{…}`` placeholders."""

    status_code: int
    protocol: str
    host: str
    port: str
    path: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Exactly one of the three."""

    forward: Forward | None = None
    fixed_response: FixedResponse | None = None
    redirect: Redirect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; the default rule has `priority` 0 and no conditions, and is tried last. `origin` names it (``listener-https#10``)."""

    priority: int
    action: Action
    host_header: tuple[str, ...] = ()
    path_pattern: tuple[str, ...] = ()
    http_header: tuple[tuple[str, str], ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """A listener: HTTPS if `tls` is not empty (the first certificate is the default one; SNI chooses)."""

    id: str
    listen: Listen
    rules: tuple[Rule, ...]
    tls: tuple[Tls, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """AWS's health check; times in seconds before scaling."""

    path: str = "/"
    interval_s: float = 30.0
    timeout_s: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A registered target."""

    id: str
    address: IPv4Address
    port: int
    availability_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group; `protocol` HTTP or HTTPS (certificates of targets are not verified, as on AWS)."""

    id: str
    targets: tuple[Target, ...]
    protocol: str = "HTTP"
    health_check: HealthCheck = HealthCheck()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node of a load balancer. `dns_name` stands in for a missing Host of HTTP/1.0. `address` is the node's own."""

    name: str
    load_balancer: str
    dns_name: str
    address: IPv4Address
    availability_zone: str
    listeners: tuple[ListenerConfig, ...]
    target_groups: tuple[TargetGroup, ...]
    idle_timeout_s: float = 60.0
