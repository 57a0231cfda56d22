"""Listeners and their rules, as a balancer's daemon is told of them. Source: ELB user guide, "Listeners", "Listener rules" (documented)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from services.alb import config as alb
from services.common.config import Listen
from testbed.compile.tls import TRUST_FILE, tls
from testbed.model.listener import RESPONSE_HEADERS, Action, AuthenticateOidc, FixedResponse, Forward, ForwardConfig, JwtValidation, Listener, RewriteConfig, target_groups_of
from testbed.plan import Certificate, PlanError
from testbed.resolve.names import certificate_arn

DEFAULT_PRIORITY = 0


def listener_config(listener: Listener, address: IPv4Address, issued: tuple[Certificate, ...], account: str, region: str) -> alb.ListenerConfig:
    """The listener on one node's `address`, with the certificates issued for it: its rules by priority, then the default rule."""
    rules = tuple(
        alb.Rule(
            priority=rule.priority,
            action=_action(rule.actions),
            host_header=rule.host_header,
            host_header_regex=rule.host_header_regex,
            path_pattern=rule.path_pattern,
            path_pattern_regex=rule.path_pattern_regex,
            http_header=rule.http_header,
            http_header_regex=rule.http_header_regex,
            http_request_method=rule.http_request_method,
            query_string=rule.query_string,
            source_ip=tuple(map(str, rule.source_ip)),
            host_rewrite=_rewrite(rule.host_header_rewrite),
            url_rewrite=_rewrite(rule.url_rewrite),
            origin=f"{listener.id}#{rule.priority}",
        )
        for rule in sorted(listener.rules, key=lambda rule: rule.priority)
    )
    default = alb.Rule(priority=DEFAULT_PRIORITY, action=_action(listener.default_actions), origin=f"{listener.id}#default")
    return alb.ListenerConfig(
        id=listener.id,
        listen=Listen(address=address, port=listener.port),
        rules=(*rules, default),
        tls=tuple(map(tls, issued)),
        certificate_arns=tuple(certificate_arn(account, region, each.host_names[0]) for each in issued),
        client_trust_file=TRUST_FILE if listener.mutual_authentication == "verify" else "",
        response_headers=tuple((RESPONSE_HEADERS[name], value) for name, value in listener.response_headers),
        server_header=listener.routing_http_response_server_enabled,
    )


def _action(actions: tuple[Action, ...]) -> alb.Action:
    """The last action of a rule decides; a login may stand before it."""
    login = next((_authenticate(action) for action in actions if isinstance(action, AuthenticateOidc)), None)
    wanted = next((action for action in actions if isinstance(action, JwtValidation)), None)
    validation = None if wanted is None else alb.JwtValidation(issuer=wanted.issuer, jwks_endpoint=wanted.jwks_endpoint, claims=wanted.additional_claims)
    return replace(_ending(actions[-1]), authenticate=login, jwt_validation=validation)


def _ending(action: Action) -> alb.Action:
    if isinstance(action, Forward | ForwardConfig):
        groups = tuple(alb.Weighted(target_group=each.target_group_arn, weight=each.weight) for each in target_groups_of(action))
        sticky_s = action.target_group_stickiness_duration_seconds if isinstance(action, ForwardConfig) else None
        return alb.Action(forward=alb.Forward(target_groups=groups, stickiness_s=None if sticky_s is None else float(sticky_s)))
    if isinstance(action, FixedResponse):
        return alb.Action(fixed_response=alb.FixedResponse(status_code=action.status_code, content_type=action.content_type, message_body=action.message_body))
    if isinstance(action, AuthenticateOidc | JwtValidation):
        raise PlanError("a login with nothing after it")
    redirect = alb.Redirect(status_code=action.status_code, protocol=action.protocol, host=action.host, port=action.port, path=action.path, query=action.query)
    return alb.Action(redirect=redirect)


def _authenticate(action: AuthenticateOidc) -> alb.Authenticate:
    return alb.Authenticate(
        issuer=action.issuer,
        authorization_endpoint=action.authorization_endpoint,
        token_endpoint=action.token_endpoint,
        user_info_endpoint=action.user_info_endpoint,
        client_id=action.client_id,
        client_secret=action.client_secret,
        on_unauthenticated=alb.OnUnauthenticated(action.on_unauthenticated_request),
        scope=action.scope,
        session_cookie=action.session_cookie_name,
        session_timeout_s=float(action.session_timeout),
        extra_params=action.authentication_request_extra_params,
    )


def _rewrite(rewrite: RewriteConfig | None) -> alb.Rewrite | None:
    return None if rewrite is None else alb.Rewrite(regex=rewrite.regex, replace=rewrite.replace)
