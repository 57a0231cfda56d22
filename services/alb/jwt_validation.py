"""jwt-validation: a request goes on only with a JSON Web Token that the issuer signed and that says what the rule wants.

    no bearer token, malformed, not RS256, unknown key, wrong signature or issuer, run out, not yet valid, a claim missing   401
    the JWKS endpoint cannot be reached, or not within 5 s                                                                    500
    its answer is no set of keys                                                                                              562

Keys are kept for five minutes (assumed), and asked for anew where a token names one that is not among them.
Source: ELB user guide, "Verify JWTs using an ALB", "Troubleshoot your ALBs" (401, 500, 562; documented); RFC 7515, 7517, 7519. That it is RS256 alone, and the words in
the access log, are assumed. NOT MODELLED: claims of the formats string-array and space-separated-values apart: a claim that is a list or a text of words may hold the value anywhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.alb.config import JwtValidation
from services.alb.oidc import Refused
from services.alb.provider_calls import ProviderCalls

KEPT_S = 300.0
_SMALLEST_KEY_BITS = 2048
Keys = dict[str, rsa.RSAPublicKey]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token that could be read; nothing of it is believed yet."""

    key_id: str
    signed: bytes
    signature: bytes
    claims: dict[str, Any]


def read_token(authorization: bytes | None) -> Token:
    """The token of an Authorization field. Raises Refused."""
    scheme, _, text = (authorization or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not text:
        raise Refused(401, "JwtMissing")
    try:
        header, claims, signature = text.strip().split(b".")
        told = msgspec.json.decode(_decoded(header), type=dict[str, Any])
        if told["alg"] != "RS256":
            raise Refused(401, "JwtInvalid")
        return Token(key_id=str(told["kid"]), signed=header + b"." + claims, signature=_decoded(signature), claims=msgspec.json.decode(_decoded(claims), type=dict[str, Any]))
    except (ValueError, KeyError, binascii.Error, msgspec.DecodeError) as error:
        raise Refused(401, "JwtInvalid") from error


def read_keys(status: int, body: bytes) -> Keys:
    """The RSA keys of a JWKS endpoint's answer by id. Raises Refused."""
    if status != 200:
        raise Refused(562, "JwksResponseInvalid")
    try:
        told = msgspec.json.decode(body, type=dict[str, list[dict[str, Any]]])["keys"]
        keys = {str(key["kid"]): rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key() for key in told if key["kty"] == "RSA"}
    except (ValueError, KeyError, AttributeError, binascii.Error, msgspec.DecodeError) as error:
        raise Refused(562, "JwksResponseInvalid") from error
    return {kid: key for kid, key in keys.items() if key.key_size >= _SMALLEST_KEY_BITS}


def verify(token: Token, keys: Keys, wanted: JwtValidation, now: float) -> None:
    """Raises Refused unless the token is good for the rule."""
    try:
        keys[token.key_id].verify(token.signature, token.signed, padding.PKCS1v15(), hashes.SHA256())
    except (KeyError, InvalidSignature) as error:
        raise Refused(401, "JwtInvalid") from error
    claims = token.claims
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(begins, int | float) or not begins <= now < expires or claims.get("iss") != wanted.issuer:
        raise Refused(401, "JwtInvalid")
    for name, values in wanted.claims:
        if not set(_words(claims.get(name))) & set(values):
            raise Refused(401, "JwtInvalid")


class Validation:
    """The validations at one balancer, and the keys that are known. `clock` gives seconds since the epoch."""

    def __init__(self, calls: ProviderCalls, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._clock = clock
        self._keys: dict[str, tuple[Keys, float]] = {}

    def start(self, coroutine: Any) -> asyncio.Task[None]:
        """A task among the node's."""
        return self._calls.tasks.create_task(coroutine)

    def known_keys(self, wanted: JwtValidation, token: Token) -> Keys | None:
        """The issuer's keys, if they are here and the token's is among them."""
        keys, until = self._keys.get(wanted.jwks_endpoint, ({}, 0.0))
        return keys if until > self._clock() and token.key_id in keys else None

    async def fetch_keys(self, wanted: JwtValidation) -> Keys:
        """The issuer's keys, asked for now. Raises Refused."""
        keys = read_keys(*await self._calls.call(wanted.jwks_endpoint, b"GET", [(b"Accept", b"application/json")], b"", "JwksEpRequest"))
        self._keys[wanted.jwks_endpoint] = keys, self._clock() + KEPT_S
        return keys

    def check(self, token: Token, keys: Keys, wanted: JwtValidation) -> None:
        """Raises Refused unless the token is good for the rule now."""
        verify(token, keys, wanted, self._clock())


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text.encode()))


def _words(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [value, *value.split()] if isinstance(value, str) else []
