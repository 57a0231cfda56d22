"""OpenID Connect from the provider's side: codes, tokens and claims. Pure but for what it remembers.

    begin ─▶ which client, back to where │ log_in ─▶ code, once, for a minute │ redeem ─▶ access, refresh and ID token │ claims ─▶ of an access token

The code flow alone; an ID token only where the scope has ``openid``. Source: RFC 6749 sections 4.1, 5 and 6; OpenID Connect Core sections 3.1 and 5.3.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.identity_provider.config import Client, Config, User

CODE_LIFE_S = 60.0
ID_TOKEN_LIFE_S = 3600.0
KEY_ID = "key-1"
KEY_BITS = 2048


class OAuthError(Exception):
    """An error of RFC 6749's; `code` is its word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A login that a client asks for."""

    client: Client
    redirect_uri: str
    scope: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a user has granted; `until` in seconds since the epoch."""

    user: User
    client_id: str
    redirect_uri: str
    scope: str
    until: float


class Provider:
    """One provider. `clock` gives seconds since the epoch, `secret` a text that nobody guesses."""

    def __init__(self, config: Config, clock: Callable[[], float], secret: Callable[[], str]) -> None:
        self._config = config
        self._clock = clock
        self._secret = secret
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}

    def begin(self, query: dict[str, str]) -> Asked:
        """What `query` asks for. Raises OAuthError for a client or an address that must not be answered by redirect (RFC 6749 section 4.1.2.1)."""
        client = next((each for each in self._config.clients if each.client_id == query.get("client_id")), None)
        redirect_uri = query.get("redirect_uri", "")
        if client is None:
            raise OAuthError("unauthorized_client")
        if not redirect_uri.startswith("https://") or (client.redirect_uris and redirect_uri not in client.redirect_uris):
            raise OAuthError("invalid_request")
        return Asked(client=client, redirect_uri=redirect_uri, scope=query.get("scope", ""), state=query.get("state", ""))

    def user(self, username: str, password: str) -> User | None:
        """The user, if the password is his."""
        found = self.known(username)
        return found if found is not None and hmac.compare_digest(found.password.encode(), password.encode()) else None

    def known(self, username: str) -> User | None:
        """The user of this name."""
        return next((each for each in self._config.users if each.username == username), None)

    def log_in(self, asked: Asked, user: User) -> str:
        """A code for the client."""
        code = self._secret()
        self._codes[code] = self._grant(user, asked.client.client_id, asked.redirect_uri, asked.scope, CODE_LIFE_S)
        return code

    def redeem(self, form: dict[str, str]) -> dict[str, Any]:
        """A token endpoint's answer. Raises OAuthError."""
        client = next((each for each in self._config.clients if each.client_id == form.get("client_id")), None)
        if client is None or not hmac.compare_digest(client.client_secret.encode(), form.get("client_secret", "").encode()):
            raise OAuthError("invalid_client")
        match form.get("grant_type"):
            case "authorization_code":
                grant = self._codes.pop(form.get("code", ""), None)
                if grant is None or grant.redirect_uri != form.get("redirect_uri"):
                    raise OAuthError("invalid_grant")
            case "refresh_token":
                grant = self._refresh.get(form.get("refresh_token", ""))
            case _:
                raise OAuthError("unsupported_grant_type")
        if grant is None or grant.until <= self._clock() or grant.client_id != client.client_id:
            raise OAuthError("invalid_grant")
        return self._tokens(grant)

    def claims(self, access_token: str) -> dict[str, str]:
        """What is told of the user of an access token. Raises OAuthError."""
        grant = self._access.get(access_token)
        if grant is None or grant.until <= self._clock():
            raise OAuthError("invalid_token")
        return {"sub": grant.user.username, **dict(grant.user.claims)}

    def keys(self) -> dict[str, Any]:
        """The key of ID tokens, as a JWK set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_text(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e}]}

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery's document."""
        issuer = self._config.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        life_s = self._config.access_token_life_s
        access_token, refresh_token = self._secret(), self._secret()
        self._access[access_token] = self._grant(grant.user, grant.client_id, "", grant.scope, life_s)
        self._refresh[refresh_token] = self._grant(grant.user, grant.client_id, "", grant.scope, float("inf"))
        tokens = {"access_token": access_token, "token_type": "Bearer", "expires_in": life_s, "refresh_token": refresh_token}
        return {**tokens, "id_token": self._id_token(grant)} if "openid" in grant.scope.split() else tokens

    def _id_token(self, grant: Grant) -> str:
        now = int(self._clock())
        header = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        claims = {"iss": self._config.issuer, "aud": grant.client_id, "sub": grant.user.username, "iat": now, "exp": now + int(ID_TOKEN_LIFE_S)}
        signed = f"{_text(msgspec.json.encode(header))}.{_text(msgspec.json.encode(claims))}"
        return f"{signed}.{_text(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _grant(self, user: User, client_id: str, redirect_uri: str, scope: str, life_s: float) -> Grant:
        return Grant(user=user, client_id=client_id, redirect_uri=redirect_uri, scope=scope, until=self._clock() + life_s)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
