"""Listeners and their rules, as a balancer's daemon is told of them. Source: ELB user guide, "Listeners", "Listener rules" (documented)."""

from __future__ import annotations

from ipaddress import IPv4Address

from services.alb import config as alb
from services.common.config import Listen
from testbed.compile.tls import tls
from testbed.model.listener import Action, FixedResponse, Forward, Listener
from testbed.plan import Certificate

DEFAULT_PRIORITY = 0


def listener_config(listener: Listener, address: IPv4Address, issued: Certificate | None) -> alb.ListenerConfig:
    """The listener on one node's `address`: its rules by priority, then the default rule."""
    rules = tuple(
        alb.Rule(
            priority=rule.priority,
            action=_action(rule.actions[-1]),
            host_header=rule.host_header,
            path_pattern=rule.path_pattern,
            http_header=rule.http_header,
            origin=f"{listener.id}#{rule.priority}",
        )
        for rule in sorted(listener.rules, key=lambda rule: rule.priority)
    )
    default = alb.Rule(priority=DEFAULT_PRIORITY, action=_action(listener.default_actions[-1]), origin=f"{listener.id}#default")
    return alb.ListenerConfig(
        id=listener.id,
        listen=Listen(address=address, port=listener.port),
        rules=(*rules, default),
        tls=() if issued is None else (tls(issued),),
    )


def _action(action: Action) -> alb.Action:
    """The last action of a rule decides; what may stand before it (authentication) is NOT MODELLED yet."""
    if isinstance(action, Forward):
        return alb.Action(forward=alb.Forward(target_group=action.target_group_arn))
    if isinstance(action, FixedResponse):
        return alb.Action(fixed_response=alb.FixedResponse(status_code=action.status_code, content_type=action.content_type, message_body=action.message_body))
    redirect = alb.Redirect(status_code=action.status_code, protocol=action.protocol, host=action.host, port=action.port, path=action.path, query=action.query)
    return alb.Action(redirect=redirect)
