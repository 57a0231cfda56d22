"""A stand-in identity provider, for `user_data` of an instance: what Cognito, Okta or another company's login is to a load balancer.

Its name must lead to the instance, by a record of a hosted zone; users and the balancer's nodes must both reach it.
Endpoints are ``https://HOST_NAME/authorize``, ``/token``, ``/userinfo``, ``/jwks`` and ``/.well-known/openid-configuration``; the issuer is ``https://HOST_NAME``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUser:
    """A person whom the provider knows: ``sub`` is the name, `claims` are what else it tells of him."""

    username: str
    password: str
    claims: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """Run an OpenID Connect provider (`services.identity_provider`). `redirect_uris` are where its client's users may be sent back to (empty: anywhere).

    With `auto_login` everybody is this user, without a form: for programs that cannot fill one in.
    """

    host_name: str
    port: int = 443
    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...] = ()
    users: tuple[IdentityUser, ...]
    auto_login: str = ""

    @property
    def issuer(self) -> str:
        """The provider's URL, without a slash at its end."""
        return f"https://{self.host_name}{'' if self.port == 443 else f':{self.port}'}"

    def faults(self, resource: str) -> Iterator[Fault]:
        """What is wrong with it by itself."""
        yield from bounds_faults(resource, "user_data port", self.port, 1, 65535)
        for username, times in Counter(user.username for user in self.users).items():
            if times > 1:
                yield Fault(resource=resource, problem=f"{times} users of the name {username}", remedy="give each user a name of his own")
        if self.auto_login and self.auto_login not in {user.username for user in self.users}:
            yield Fault(resource=resource, problem=f"auto_login {self.auto_login!r} is none of the users", remedy="name one of the users, or leave auto_login empty")
