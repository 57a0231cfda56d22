"""Listeners of a load balancer, and their rules.

Source: ELB user guide, "Listeners", "Listener rules", "Condition types", "Action types" (documented).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.target_group import GENEVE, NETWORK_PROTOCOLS, TLS
from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Send the request to a target of `target_group_arn`."""

    target_group_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroupTuple:
    """A target group and its weight, 0 to 999, in a `ForwardConfig`."""

    target_group_arn: str
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardConfig:
    """Send the request to one of up to five target groups, by weight; with a duration a client stays with its group for so long."""

    target_groups: tuple[TargetGroupTuple, ...]
    target_group_stickiness_duration_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedResponse:
    """Answer from the balancer itself."""

    status_code: int
    content_type: str = "text/plain"
    message_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Answer 301 or 302; `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}` stand for the request's own."""

    status_code: int = 301
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticateOidc:
    """Before the action that follows, know the user by an OpenID Connect provider; HTTPS listeners only. The properties are AWS's ``AuthenticateOidcConfig``.

    Without a session `on_unauthenticated_request` decides: ``authenticate`` (302 to the provider), ``allow`` or ``deny`` (401).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    client_secret: str
    on_unauthenticated_request: str = "authenticate"
    scope: str = "openid"
    session_cookie_name: str = "AWSELBAuthSessionCookie"
    session_timeout: int = 604800
    authentication_request_extra_params: tuple[tuple[str, str], ...] = ()

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with it by itself."""
        for field in ("issuer", "authorization_endpoint", "token_endpoint", "user_info_endpoint"):
            if not getattr(self, field).startswith("https://"):
                yield Fault(resource=name, problem=f"{field} {getattr(self, field)!r}", remedy="write a full URL with https://")
        yield from choice_faults(name, "on_unauthenticated_request", self.on_unauthenticated_request, ("authenticate", "allow", "deny"))
        yield from bounds_faults(name, "session_timeout", self.session_timeout, 1, MOST_STICKY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtValidation:
    """Before the action that follows, want a JSON Web Token of `issuer` in the Authorization header; HTTPS listeners only. AWS's ``JwtValidationConfig``.

    `additional_claims` are (name, values): the token must have one of the values of each.
    """

    issuer: str
    jwks_endpoint: str
    additional_claims: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with it by itself."""
        if not self.jwks_endpoint.startswith("https://"):
            yield Fault(resource=name, problem=f"jwks_endpoint {self.jwks_endpoint!r}", remedy="write a full URL with https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteConfig:
    """What `regex` matches becomes `replace`; ``$1`` to ``$9`` are its groups (AWS's ``RewriteConfig`` of a transform)."""

    regex: str
    replace: str

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with it by itself."""
        try:
            groups = re.compile(self.regex).groups
        except re.error as error:
            yield Fault(resource=name, problem=f"{self.regex!r} is no regular expression: {error}", remedy="write one that compiles")
            return
        if any(int(group) > groups for group in re.findall(r"\$([1-9])", self.replace)):
            yield Fault(resource=name, problem=f"{self.replace!r} names a group that {self.regex!r} has not", remedy=f"use $1 to ${groups}" if groups else "put parentheses around what the replacement shall repeat")


HIGHEST_PRIORITY = 50000
VALUES_PER_RULE = 5
"""ELB user guide, "Quotas for your Application Load Balancers" (documented)."""
GROUPS_PER_ACTION = 5
MOST_STICKY_S = 7 * 86400
TCP_IDLE_S = 350
ALPN_POLICIES = {"None": (), "HTTP1Only": ("http/1.1", "http/1.0"), "HTTP2Only": ("h2",), "HTTP2Optional": ("http/1.1", "http/1.0", "h2"), "HTTP2Preferred": ("h2", "http/1.1", "http/1.0")}
"""Each policy's preferences ("Listeners for your NLB"; documented)."""
METHOD = re.compile(r"[A-Z_-]{1,40}")

Action = AuthenticateOidc | JwtValidation | Forward | ForwardConfig | FixedResponse | Redirect
LOGINS = (AuthenticateOidc, JwtValidation)
"""Actions that stand before another."""
MOST_RESPONSE_HEADER_VALUE = 1024
RESPONSE_HEADERS = {
    "strict_transport_security": "Strict-Transport-Security",
    "access_control_allow_origin": "Access-Control-Allow-Origin",
    "access_control_allow_methods": "Access-Control-Allow-Methods",
    "access_control_allow_headers": "Access-Control-Allow-Headers",
    "access_control_allow_credentials": "Access-Control-Allow-Credentials",
    "access_control_expose_headers": "Access-Control-Expose-Headers",
    "access_control_max_age": "Access-Control-Max-Age",
    "content_security_policy": "Content-Security-Policy",
    "x_content_type_options": "X-Content-Type-Options",
    "x_frame_options": "X-Frame-Options",
}
"""Those that the listener attributes ``routing.http.response.….header_value`` set (ELB user guide, "HTTP header modification for your ALB"; documented)."""


def target_groups_of(action: Action) -> tuple[TargetGroupTuple, ...]:
    """The target groups that an action forwards to, if it does."""
    if isinstance(action, Forward):
        return (TargetGroupTuple(target_group_arn=action.target_group_arn),)
    return action.target_groups if isinstance(action, ForwardConfig) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRule:
    """Tried by ascending `priority`. Empty conditions always hold; the values of one condition are alternatives.

    `http_header` is (name, pattern); `query_string` (key, pattern) with an empty key for any; `…_regex` are AWS's RegexValues. The two rewrites are the
    rule's transforms of what goes to a target.
    """

    priority: int
    host_header: tuple[str, ...] = ()
    host_header_regex: tuple[str, ...] = ()
    path_pattern: tuple[str, ...] = ()
    path_pattern_regex: tuple[str, ...] = ()
    http_header: tuple[tuple[str, str], ...] = ()
    http_header_regex: tuple[tuple[str, str], ...] = ()
    http_request_method: tuple[str, ...] = ()
    query_string: tuple[tuple[str, str], ...] = ()
    source_ip: tuple[IPv4Network, ...] = ()
    host_header_rewrite: RewriteConfig | None = None
    url_rewrite: RewriteConfig | None = None
    actions: tuple[Action, ...]

    def faults(self, listener_id: str) -> Iterator[Fault]:
        """What is wrong with the rule by itself."""
        name = f"{listener_id}#{self.priority}"
        yield from bounds_faults(name, "priority", self.priority, 1, HIGHEST_PRIORITY)
        yield from _action_faults(name, self.actions)
        if not self.values:
            yield Fault(resource=name, problem="the rule has no condition", remedy="give host_header, path_pattern, http_header, http_request_method, query_string or source_ip, or make its action the listener's default")
        if self.values > VALUES_PER_RULE:
            yield Fault(resource=name, problem=f"{self.values} condition values, and the quota is {VALUES_PER_RULE} a rule", remedy="split the rule in two")
        yield from self._pattern_faults(name)
        for rewrite in (self.host_header_rewrite, self.url_rewrite):
            if rewrite is not None:
                yield from rewrite.faults(name)

    @property
    def values(self) -> int:
        """How many values its conditions have in all."""
        patterns = (self.host_header, self.host_header_regex, self.path_pattern, self.path_pattern_regex, self.http_header, self.http_header_regex)
        return sum(map(len, (*patterns, self.http_request_method, self.query_string, self.source_ip)))

    def _pattern_faults(self, name: str) -> Iterator[Fault]:
        for expression in (*self.host_header_regex, *self.path_pattern_regex, *(value for _, value in self.http_header_regex)):
            try:
                re.compile(expression)
            except re.error as error:
                yield Fault(resource=name, problem=f"{expression!r} is no regular expression: {error}", remedy="write one that compiles")
        for pattern in self.path_pattern:
            if not pattern.startswith(("/", "*")):
                yield Fault(resource=name, problem=f"path_pattern {pattern!r} matches no path: paths begin with a slash", remedy=f"write /{pattern}")
        for method in self.http_request_method:
            if not METHOD.fullmatch(method):
                yield Fault(resource=name, problem=f"http_request_method {method!r}", remedy="write up to 40 characters of A-Z, hyphen and underscore: methods are matched in their case")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port of a load balancer. `protocol` is ``HTTP`` or ``HTTPS``, of a network balancer ``TCP``, ``TLS``, ``UDP`` or ``TCP_UDP``, of a gateway balancer
    ``GENEVE`` (the AWS API leaves protocol and port out there: it hears every packet, and 6081 is how it speaks to its targets); `certificates` are the host names of its certificates.

    `alpn_policy`, of a TLS listener, is one of ALPN_POLICIES. `mutual_authentication` is ``off`` or ``verify``: clients must have a certificate of the lab's authority, which is the trust store. `response_headers` are
    (one of RESPONSE_HEADERS, value): AWS's attributes ``routing.http.response.….header_value``; `routing_http_response_server_enabled` False takes ``server`` away.
    """

    id: str
    load_balancer_arn: str
    port: int
    protocol: str
    certificates: tuple[str, ...] = ()
    mutual_authentication: str = "off"
    response_headers: tuple[tuple[str, str], ...] = ()
    routing_http_response_server_enabled: bool = True
    tcp_idle_timeout_seconds: int = TCP_IDLE_S
    alpn_policy: str = "None"
    rules: tuple[ListenerRule, ...] = ()
    default_actions: tuple[Action, ...]

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the listener by itself, rule by rule, then across rules."""
        times_used = Counter(rule.priority for rule in self.rules)
        return (
            *id_faults(self.id),
            *bounds_faults(self.id, "port", self.port, 1, 65535),
            *choice_faults(self.id, "protocol", self.protocol, ("HTTP", "HTTPS", *NETWORK_PROTOCOLS, GENEVE)),
            *bounds_faults(self.id, "tcp_idle_timeout_seconds", self.tcp_idle_timeout_seconds, 60, 6000),
            *self._certificate_faults(),
            *self._tls_faults(),
            *self._https_faults(),
            *self._header_faults(),
            *_action_faults(self.id, self.default_actions),
            *(fault for rule in self.rules for fault in rule.faults(self.id)),
            *(
                Fault(resource=f"{self.id}#{priority}", problem=f"priority used {times} times", remedy="give each rule a priority of its own")
                for priority, times in times_used.items()
                if times > 1
            ),
        )

    def _certificate_faults(self) -> Iterator[Fault]:
        article, secure = ("a", TLS) if self.protocol in NETWORK_PROTOCOLS else ("an", "HTTPS")
        if self.protocol == secure and not self.certificates:
            yield Fault(resource=self.id, problem=f"{article} {secure} listener without a certificate", remedy="name the hosts of its default certificate in certificates, such as shop.example.com")
        if self.protocol in ("HTTP", *NETWORK_PROTOCOLS) and self.protocol != TLS and self.certificates:
            yield Fault(resource=self.id, problem=f"{article} {self.protocol} listener with certificates", remedy=f"make its protocol {secure}, or drop the certificates")

    def _tls_faults(self) -> Iterator[Fault]:
        """A TLS listener's idle timeout is fixed, and ALPN is a TLS listener's ("Update the TCP idle timeout", "Listeners for your NLB"; documented)."""
        yield from choice_faults(self.id, "alpn_policy", self.alpn_policy, tuple(ALPN_POLICIES))
        if self.protocol != TLS and self.alpn_policy != "None":
            yield Fault(resource=self.id, problem=f"an ALPN policy on {self.protocol}", remedy="make its protocol TLS, or leave alpn_policy out")
        if self.protocol == TLS and self.tcp_idle_timeout_seconds != TCP_IDLE_S:
            yield Fault(resource=self.id, problem="an idle timeout of its own on a TLS listener", remedy=f"leave tcp_idle_timeout_seconds out: with TLS it is {TCP_IDLE_S} s")

    def _https_faults(self) -> Iterator[Fault]:
        """Logins and mutual TLS want HTTPS; passthrough is NOT MODELLED (`services/alb/client_certificate.py` says why)."""
        yield from choice_faults(self.id, "mutual_authentication", self.mutual_authentication, ("off", "verify"))
        if self.protocol != "HTTPS" and self.mutual_authentication != "off":
            yield Fault(resource=self.id, problem="mutual authentication without TLS", remedy="make its protocol HTTPS, or mutual_authentication off")
        for name, actions in ((self.id, self.default_actions), *((f"{self.id}#{rule.priority}", rule.actions) for rule in self.rules)):
            if self.protocol != "HTTPS" and any(isinstance(action, LOGINS) for action in actions):
                yield Fault(resource=name, problem="users log in over HTTP", remedy="make the listener's protocol HTTPS: authentication is for HTTPS listeners alone")

    def _header_faults(self) -> Iterator[Fault]:
        for name, value in self.response_headers:
            if name not in RESPONSE_HEADERS:
                yield Fault(resource=self.id, problem=f"response header {name!r}", remedy=f"use one of {', '.join(RESPONSE_HEADERS)}")
            if not value or len(value) > MOST_RESPONSE_HEADER_VALUE or not value.isprintable() or not value.isascii():
                yield Fault(resource=self.id, problem=f"the value of response header {name}", remedy=f"write 1 to {MOST_RESPONSE_HEADER_VALUE} printable ASCII characters")


def _forward_faults(name: str, action: ForwardConfig) -> Iterator[Fault]:
    if not 1 <= len(action.target_groups) <= GROUPS_PER_ACTION:
        yield Fault(resource=name, problem=f"{len(action.target_groups)} target groups in an action", remedy=f"give 1 to {GROUPS_PER_ACTION}")
    for each in action.target_groups:
        yield from bounds_faults(name, f"weight of {each.target_group_arn}", each.weight, 0, 999)
    if action.target_group_stickiness_duration_seconds is not None:
        yield from bounds_faults(name, "target_group_stickiness_duration_seconds", action.target_group_stickiness_duration_seconds, 1, MOST_STICKY_S)


def _action_faults(name: str, actions: tuple[Action, ...]) -> Iterator[Fault]:
    """A rule has exactly one action that ends it, and at most one login before it. NOT MODELLED: authenticate-cognito (it is OIDC with AWS's own provider)."""
    endings = sum(not isinstance(action, LOGINS) for action in actions)
    if endings != 1:
        yield Fault(resource=name, problem=f"{endings} actions", remedy="give exactly one of Forward, FixedResponse and Redirect")
    elif isinstance(actions[-1], LOGINS) or len(actions) > 2:
        yield Fault(resource=name, problem="a login that is not alone before the action", remedy="give one AuthenticateOidc or JwtValidation first, then Forward, FixedResponse or Redirect")
    for action in actions:
        if isinstance(action, AuthenticateOidc | JwtValidation):
            yield from action.faults(name)
        if isinstance(action, ForwardConfig):
            yield from _forward_faults(name, action)
        if isinstance(action, FixedResponse) and not (200 <= action.status_code <= 299 or 400 <= action.status_code <= 599):
            yield Fault(resource=name, problem=f"a fixed response with status {action.status_code}", remedy="use a 2XX, 4XX or 5XX code")
        if isinstance(action, Redirect) and action.status_code not in (301, 302):
            yield Fault(resource=name, problem=f"a redirect with status {action.status_code}", remedy="use 301 (permanent) or 302 (temporary)")
