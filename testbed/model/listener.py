"""Listeners of a load balancer, and their rules.

Source: ELB user guide, "Listeners", "Listener rules", "Condition types", "Action types" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Send the request to a target of `target_group_arn`."""

    target_group_arn: str


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

Action = Forward | FixedResponse | Redirect


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRule:
    """Tried by ascending `priority`. Empty conditions always hold; the values of one condition are alternatives."""

    priority: int
    host_header: tuple[str, ...] = ()
    path_pattern: tuple[str, ...] = ()
    http_header: tuple[tuple[str, str], ...] = ()
    actions: tuple[Action, ...]

    def faults(self, listener_id: str) -> Iterator[Fault]:
        """What is wrong with the rule by itself."""
        name = f"{listener_id}#{self.priority}"
        yield from bounds_faults(name, "priority", self.priority, 1, HIGHEST_PRIORITY)
        yield from _action_faults(name, self.actions)
        if not (self.host_header or self.path_pattern or self.http_header):
            yield Fault(resource=name, problem="the rule has no condition", remedy="give host_header, path_pattern or http_header, or make its action the listener's default")


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


def _action_faults(name: str, actions: tuple[Action, ...]) -> Iterator[Fault]:
    """A rule has exactly one action that ends it; what comes before it (authentication) is NOT MODELLED."""
    if len(actions) != 1:
        yield Fault(resource=name, problem=f"{len(actions)} actions", remedy="give exactly one of Forward, FixedResponse and Redirect")
    for action in actions:
        if isinstance(action, FixedResponse) and not (200 <= action.status_code <= 299 or 400 <= action.status_code <= 599):
            yield Fault(resource=name, problem=f"a fixed response with status {action.status_code}", remedy="use a 2XX, 4XX or 5XX code")
        if isinstance(action, Redirect) and action.status_code not in (301, 302):
            yield Fault(resource=name, problem=f"a redirect with status {action.status_code}", remedy="use 301 (permanent) or 302 (temporary)")
