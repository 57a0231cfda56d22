"""A stand-in identity provider on an instance, with a certificate of the lab's authority for its name."""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import Listen, encode
from services.identity_provider.config import Client, Config, User
from testbed.compile.tls import certificate, tls
from testbed.model.identity_provider import IdentityProvider
from testbed.plan import ServiceSpec

KIND = "identity_provider"
ANY_ADDRESS = IPv4Address("0.0.0.0")


def service(provider: IdentityProvider, instance: str, node: str) -> ServiceSpec:
    """The daemon on an instance's node."""
    name = f"{instance}.{KIND}"
    issued = certificate(name, 0, (provider.host_name,))
    config = Config(
        name=instance,
        listen=Listen(address=ANY_ADDRESS, port=provider.port),
        tls=tls(issued),
        issuer=provider.issuer,
        clients=(Client(client_id=provider.client_id, client_secret=provider.client_secret, redirect_uris=provider.redirect_uris),),
        users=tuple(User(username=user.username, password=user.password, claims=user.claims) for user in provider.users),
        auto_login=provider.auto_login,
    )
    return ServiceSpec(name=name, kind=KIND, node=node, config=encode(config), certificates=(issued,), origin=instance)
