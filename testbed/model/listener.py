"""Listeners of a load balancer, and their rules.

Source: ELB user guide, "Listeners", "Listener rules", "Condition types", "Action types" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


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


Action = Forward | FixedResponse | Redirect


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRule:
    """Tried by ascending `priority`. Empty conditions always hold; the values of one condition are alternatives."""

    priority: int
    host_header: tuple[str, ...] = ()
    path_pattern: tuple[str, ...] = ()
    http_header: tuple[tuple[str, str], ...] = ()
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port of a load balancer. `protocol` is ``HTTP`` or ``HTTPS``; `certificates` are the host names of its certificates."""

    id: str
    load_balancer_arn: str
    port: int
    protocol: str
    certificates: tuple[str, ...] = ()
    rules: tuple[ListenerRule, ...] = ()
    default_actions: tuple[Action, ...]

    def faults(self) -> tuple[Fault, ...]:
        return ()
