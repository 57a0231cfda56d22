"""Configuration of one Application Load Balancer node: its listeners, rules and target groups."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import HealthCheck, LearntRateRule, Listen, Tls

DEFAULT_CHECK = HealthCheck()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A target group and its share of an action's requests, 0 to 999."""

    target_group: str
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Forward to one of `target_groups`; for `stickiness_s` after the first request the same client stays with its group (None: no stickiness)."""

    target_groups: tuple[Weighted, ...]
    stickiness_s: float | None = None

    @classmethod
    def to(cls, target_group: str) -> Forward:
        """All requests to one group."""
        return cls(target_groups=(Weighted(target_group=target_group),))


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


class OnUnauthenticated(enum.StrEnum):
    """AWS's ``OnUnauthenticatedRequest``."""

    AUTHENTICATE = "authenticate"
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Know the user by OpenID Connect before the rest of an action. Endpoints are ``https://`` URLs; `session_timeout_s` is before scaling."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    client_secret: str
    on_unauthenticated: OnUnauthenticated = OnUnauthenticated.AUTHENTICATE
    scope: str = "openid"
    session_cookie: str = "AWSELBAuthSessionCookie"
    session_timeout_s: float = 604800.0
    extra_params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtValidation:
    """Let through only what has a JSON Web Token of `issuer`, signed with a key of `jwks_endpoint`; of each of `claims`, (name, values), it must have one value."""

    issuer: str
    jwks_endpoint: str
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Exactly one of the three; with `authenticate`, once the user is known, with `jwt_validation`, if the token is good."""

    authenticate: Authenticate | None = None
    jwt_validation: JwtValidation | None = None
    forward: Forward | None = None
    fixed_response: FixedResponse | None = None
    redirect: Redirect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What `regex` matches becomes `replace`, with ``$1`` for its first group."""

    regex: str
    replace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; the default rule has `priority` 0 and no conditions, and is tried last. `origin` names it (``listener-https#10``).

    `http_header` is (name, pattern), `query_string` (key, pattern) with an empty key for any, `source_ip` CIDR blocks; the `…_regex` are regular expressions.
    """

    priority: int
    action: Action
    host_header: tuple[str, ...] = ()
    host_header_regex: tuple[str, ...] = ()
    path_pattern: tuple[str, ...] = ()
    path_pattern_regex: tuple[str, ...] = ()
    http_header: tuple[tuple[str, str], ...] = ()
    http_header_regex: tuple[tuple[str, str], ...] = ()
    http_request_method: tuple[str, ...] = ()
    query_string: tuple[tuple[str, str], ...] = ()
    source_ip: tuple[str, ...] = ()
    host_rewrite: Rewrite | None = None
    url_rewrite: Rewrite | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """A listener: HTTPS if `tls` is not empty (the first certificate is the default one; SNI chooses)."""

    id: str
    listen: Listen
    rules: tuple[Rule, ...]
    tls: tuple[Tls, ...] = ()
    certificate_arns: tuple[str, ...] = ()
    """Of each of `tls`, for access logs."""
    client_trust_file: str = ""
    """Mutual TLS in verify mode: the authorities (PEM) of clients' certificates; empty: clients are not asked for one."""
    response_headers: tuple[tuple[str, str], ...] = ()
    """Set in every response, in place of the target's."""
    server_header: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A registered target."""

    id: str
    address: IPv4Address
    port: int
    availability_zone: str = ""


class Algorithm(enum.StrEnum):
    """AWS's ``load_balancing.algorithm.type``."""

    ROUND_ROBIN = "round_robin"
    LEAST_OUTSTANDING_REQUESTS = "least_outstanding_requests"
    WEIGHTED_RANDOM = "weighted_random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stickiness:
    """A client stays with its target for `duration_s`. With a `cookie_name` only once the application has set that cookie (app_cookie); empty: lb_cookie."""

    duration_s: float
    cookie_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group; `protocol` HTTP or HTTPS (certificates of targets are not verified, as on AWS).

    Without `cross_zone` a node serves targets of its own zone only. Below `minimum_healthy_targets` healthy ones the group fails open.
    """

    id: str
    arn: str = ""
    targets: tuple[Target, ...]
    protocol: str = "HTTP"
    health_check: HealthCheck = DEFAULT_CHECK
    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    anomaly_mitigation: bool = False
    slow_start_s: float = 0.0
    deregistration_delay_s: float = 300.0
    cross_zone: bool = True
    minimum_healthy_targets: int = 1
    minimum_healthy_in_dns: int = 1
    """Below so many healthy ones the node's zone leaves DNS."""
    stickiness: Stickiness | None = None


class ForwardedFor(enum.StrEnum):
    """AWS's ``routing.http.xff_header_processing.mode``."""

    APPEND = "append"
    PRESERVE = "preserve"
    REMOVE = "remove"


class Desync(enum.StrEnum):
    """AWS's ``routing.http.desync_mitigation_mode``."""

    MONITOR = "monitor"
    DEFENSIVE = "defensive"
    STRICTEST = "strictest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a balancer's attributes say to its listeners. `client_port`: the client's port goes into X-Forwarded-For; `tls_headers`: the TLS version and cipher
    go into headers of their own; `client_keep_alive_s` before scaling."""

    forwarded_for: ForwardedFor = ForwardedFor.APPEND
    client_port: bool = False
    preserve_host: bool = False
    drop_invalid_headers: bool = False
    tls_headers: bool = False
    desync: Desync = Desync.DEFENSIVE
    client_keep_alive_s: float = 3600.0
    access_logs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node of a load balancer. `dns_name` stands in for a missing Host of HTTP/1.0. `address` is the node's own."""

    name: str
    load_balancer: str
    dns_name: str
    address: IPv4Address
    availability_zone: str
    resource: str = ""
    """The end of its ARN, by which access logs name it (``app/alb-shop/50dc6c495c0c9188``)."""
    listeners: tuple[ListenerConfig, ...]
    target_groups: tuple[TargetGroup, ...]
    workers: int = 1
    """Processes that serve; another number is another process's."""
    idle_timeout_s: float = 60.0
    attributes: Attributes = Attributes()
    cookie_key: str = ""
    """64 hexadecimal digits with which the balancer's nodes seal their cookies; needed where something is sticky or users log in."""
    arn: str = ""
    """Its ARN, the signer of what is told of users."""
    resolvers: tuple[IPv4Address, ...] = ()
    """Who is asked for the addresses of identity providers."""
    zone_health_file: str = ""
    """Where the node tells DNS how its zone is (`services.common.zone_health`); empty: nowhere."""
    rate_rule: LearntRateRule | None = None
    """Shield Advanced's, which judges before any rule of a listener."""
    trust_file: str = ""
    """The authorities (PEM) of identity providers' certificates; empty: the system's."""
