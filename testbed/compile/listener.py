"""Listeners and their rules, as a balancer's daemon is told of them. Source: ELB user guide, "Listeners", "Listener rules" (documented)."""

from __future__ import annotations

from ipaddress import IPv4Address

from services.alb import config as alb
from services.common.config import Listen
from testbed.compile.tls import tls
from testbed.model.listener import Action, FixedResponse, Forward, ForwardConfig, Listener, target_groups_of
from testbed.plan import Certificate
from testbed.resolve.names import certificate_arn

DEFAULT_PRIORITY = 0


def listener_config(listener: Listener, address: IPv4Address, issued: tuple[Certificate, ...], account: str, region: str) -> alb.ListenerConfig:
    """The listener on one node's `address`, with the certificates issued for it: its rules by priority, then the default rule."""
    rules = tuple(
        alb.Rule(
            priority=rule.priority,
            action=_action(rule.actions[-1]),
            host_header=rule.host_header,
            host_header_regex=rule.host_header_regex,
            path_pattern=rule.path_pattern,
            path_pattern_regex=rule.path_pattern_regex,
            http_header=rule.http_header,
            http_header_regex=rule.http_header_regex,
            http_request_method=rule.http_request_method,
            query_string=rule.query_string,
            source_ip=tuple(map(str, rule.source_ip)),
            origin=f"{listener.id}#{rule.priority}",
        )
        for rule in sorted(listener.rules, key=lambda rule: rule.priority)
    )
    default = alb.Rule(priority=DEFAULT_PRIORITY, action=_action(listener.default_actions[-1]), origin=f"{listener.id}#default")
    return alb.ListenerConfig(
        id=listener.id,
        listen=Listen(address=address, port=listener.port),
        rules=(*rules, default),
        tls=tuple(map(tls, issued)),
        certificate_arns=tuple(certificate_arn(account, region, each.host_names[0]) for each in issued),
    )


def _action(action: Action) -> alb.Action:
    """The last action of a rule decides; what may stand before it (authentication) is NOT MODELLED yet."""
    if isinstance(action, Forward | ForwardConfig):
        groups = tuple(alb.Weighted(target_group=each.target_group_arn, weight=each.weight) for each in target_groups_of(action))
        sticky_s = action.target_group_stickiness_duration_seconds if isinstance(action, ForwardConfig) else None
        return alb.Action(forward=alb.Forward(target_groups=groups, stickiness_s=None if sticky_s is None else float(sticky_s)))
    if isinstance(action, FixedResponse):
        return alb.Action(fixed_response=alb.FixedResponse(status_code=action.status_code, content_type=action.content_type, message_body=action.message_body))
    redirect = alb.Redirect(status_code=action.status_code, protocol=action.protocol, host=action.host, port=action.port, path=action.path, query=action.query)
    return alb.Action(redirect=redirect)
