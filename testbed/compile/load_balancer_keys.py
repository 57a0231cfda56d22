"""Where applications fetch the keys by which a Region's Application Load Balancers sign users' claims: ``public-keys.auth.elb.REGION.amazonaws.com/KID``.

There only where some balancer logs users in. Source: ELB user guide, "Authenticate users using an ALB" (documented); that it stands on the services plane is this testbed's.
"""

from __future__ import annotations

import hashlib

from services.common.config import Listen, encode
from services.dns.config import Record
from services.load_balancer_keys.config import Config
from testbed.compile.tls import certificate, tls
from testbed.model.listener import AuthenticateOidc, Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.plan import ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedRegion

KIND = "load_balancer_keys"
HTTPS = 443
TTL_S = 60


def cookie_key(balancer: LoadBalancer) -> str:
    """What the nodes of a balancer seal their cookies and sign users' claims with: 64 hexadecimal digits."""
    return hashlib.sha256(f"cookies of {balancer.id}".encode()).hexdigest()


def host_name(region: str) -> str:
    """Where the keys of a Region are."""
    return f"public-keys.auth.elb.{region}.amazonaws.com"


def service(region: ResolvedRegion, resolved: Resolved) -> ServiceSpec | None:
    """The daemon of a Region; None where nobody logs in."""
    balancers = _balancers(region, resolved)
    if not balancers:
        return None
    name = f"{region.node}.{KIND}"
    issued = certificate(name, 0, (host_name(region.id),))
    config = Config(name=name, listen=Listen(address=region.address, port=HTTPS), tls=tls(issued), cookie_keys=tuple(map(cookie_key, balancers)))
    return ServiceSpec(name=name, kind=KIND, node=region.node, config=encode(config), certificates=(issued,), origin=region.id)


def public_records(resolved: Resolved) -> tuple[Record, ...]:
    """The name of each Region that has the service."""
    return tuple(Record(name=host_name(region.id), type="A", ttl=TTL_S, values=(str(region.address),), origin=region.id) for region in resolved.regions if _balancers(region, resolved))


def _balancers(region: ResolvedRegion, resolved: Resolved) -> list[LoadBalancer]:
    """The Region's balancers that log users in, sorted by id."""
    names = dict(resolved.load_balancer_names)
    asking = {
        listener.load_balancer_arn
        for listener in resolved.topology.of(Listener)
        if any(isinstance(action, AuthenticateOidc) for actions in (listener.default_actions, *(rule.actions for rule in listener.rules)) for action in actions)
    }
    return [balancer for balancer in resolved.topology.of(LoadBalancer) if balancer.id in asking and names[balancer.id].endswith(f".{region.id}.elb.amazonaws.com")]
