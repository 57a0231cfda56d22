"""Listeners of a load balancer, and their rules.

Source: ELB user guide, "Listeners", "Listener rules", "Condition types", "Action types" (documented).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

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


HIGHEST_PRIORITY = 50000
VALUES_PER_RULE = 5
"""ELB user guide, "Quotas for your Application Load Balancers" (documented)."""
GROUPS_PER_ACTION = 5
MOST_STICKY_S = 7 * 86400
METHOD = re.compile(r"[A-Z_-]{1,40}")

Action = Forward | ForwardConfig | FixedResponse | Redirect


def target_groups_of(action: Action) -> tuple[TargetGroupTuple, ...]:
    """The target groups that an action forwards to, if it does."""
    if isinstance(action, Forward):
        return (TargetGroupTuple(target_group_arn=action.target_group_arn),)
    return action.target_groups if isinstance(action, ForwardConfig) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRule:
    """Tried by ascending `priority`. Empty conditions always hold; the values of one condition are alternatives.

    `http_header` is (name, pattern); `query_string` (key, pattern) with an empty key for any; `…_regex` are AWS's RegexValues.
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
    """A port of a load balancer. `protocol` is ``HTTP`` or ``HTTPS``, of a network balancer ``TCP``; `certificates` are the host names of its certificates."""

    id: str
    load_balancer_arn: str
    port: int
    protocol: str
    certificates: tuple[str, ...] = ()
    rules: tuple[ListenerRule, ...] = ()
    default_actions: tuple[Action, ...]

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the listener by itself, rule by rule, then across rules."""
        times_used = Counter(rule.priority for rule in self.rules)
        return (
            *id_faults(self.id),
            *bounds_faults(self.id, "port", self.port, 1, 65535),
            *choice_faults(self.id, "protocol", self.protocol, ("HTTP", "HTTPS", "TCP")),
            *self._certificate_faults(),
            *_action_faults(self.id, self.default_actions),
            *(fault for rule in self.rules for fault in rule.faults(self.id)),
            *(
                Fault(resource=f"{self.id}#{priority}", problem=f"priority used {times} times", remedy="give each rule a priority of its own")
                for priority, times in times_used.items()
                if times > 1
            ),
        )

    def _certificate_faults(self) -> Iterator[Fault]:
        if self.protocol == "HTTPS" and not self.certificates:
            yield Fault(resource=self.id, problem="an HTTPS listener without a certificate", remedy="name the hosts of its default certificate in certificates, such as shop.example.com")
        if self.protocol == "HTTP" and self.certificates:
            yield Fault(resource=self.id, problem="an HTTP listener with certificates", remedy="make its protocol HTTPS, or drop the certificates")


def _forward_faults(name: str, action: ForwardConfig) -> Iterator[Fault]:
    if not 1 <= len(action.target_groups) <= GROUPS_PER_ACTION:
        yield Fault(resource=name, problem=f"{len(action.target_groups)} target groups in an action", remedy=f"give 1 to {GROUPS_PER_ACTION}")
    for each in action.target_groups:
        yield from bounds_faults(name, f"weight of {each.target_group_arn}", each.weight, 0, 999)
    if action.target_group_stickiness_duration_seconds is not None:
        yield from bounds_faults(name, "target_group_stickiness_duration_seconds", action.target_group_stickiness_duration_seconds, 1, MOST_STICKY_S)


def _action_faults(name: str, actions: tuple[Action, ...]) -> Iterator[Fault]:
    """A rule has exactly one action that ends it; what comes before it (authentication) is NOT MODELLED."""
    if len(actions) != 1:
        yield Fault(resource=name, problem=f"{len(actions)} actions", remedy="give exactly one of Forward, FixedResponse and Redirect")
    for action in actions:
        if isinstance(action, ForwardConfig):
            yield from _forward_faults(name, action)
        if isinstance(action, FixedResponse) and not (200 <= action.status_code <= 299 or 400 <= action.status_code <= 599):
            yield Fault(resource=name, problem=f"a fixed response with status {action.status_code}", remedy="use a 2XX, 4XX or 5XX code")
        if isinstance(action, Redirect) and action.status_code not in (301, 302):
            yield Fault(resource=name, problem=f"a redirect with status {action.status_code}", remedy="use 301 (permanent) or 302 (temporary)")
