"""OpenID Connect's authorisation code flow as a balancer goes through it: what is asked, and what may come back. Pure.

    client ──▶ rule ──302──▶ authorization endpoint ──302──▶ /oauth2/idpresponse?code&state ──▶ token endpoint ──▶ user info endpoint ──▶ 302 back to the first URL

Statuses of a login that fails (`Refused`):

    401   the provider says access_denied; no ID token; the login took longer than 15 minutes; no state, or not one of ours; on_unauthenticated_request=deny
    500   the token or user info endpoint cannot be reached, or not within 5 s; what it says cannot be read; more than 11 KB of claims
    561   the provider answers with an error

Source: ELB user guide, "Authenticate users using an ALB", "Troubleshoot your ALBs" (401, 500, 561), "Access logs" (reasons; documented). That the state and the nonce count as
401 and an unreadable answer as 500 is assumed; so is that the client's secret goes into the body (client_secret_post).
Signatures of ID tokens are not checked (the token comes over TLS from the endpoint itself: OpenID Connect
Core 3.1.3.7 lets a client rely on that), their issuer and audience are.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from services.alb.config import Authenticate

CALLBACK = b"/oauth2/idpresponse"
LOGIN_TIMEOUT_S = 900.0
ENDPOINT_TIMEOUT_S = 5.0
LARGEST_CLAIMS_BYTES = 11 * 1024
DENIED = "access_denied"


class Refused(Exception):
    """A login that ends here: the `status`, and AWS's word for the access log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What travels to the provider and back, sealed: where the client wanted to go, and when it set out (seconds since the epoch)."""

    issuer: str
    client_id: str
    url: str
    nonce: str
    began_at: float


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a token endpoint gives."""

    access_token: str
    id_token: str | None = None
    expires_in: float | None = None
    refresh_token: str = ""


def callback_url(host: str, port: int) -> str:
    """Where the provider sends clients back to."""
    return f"https://{host}{'' if port == 443 else f':{port}'}{CALLBACK.decode()}"


def authorization_url(authenticate: Authenticate, callback: str, state: str) -> str:
    """Where a client logs in."""
    asked = (
        ("client_id", authenticate.client_id), ("redirect_uri", callback), ("response_type", "code"), ("scope", authenticate.scope), ("state", state), *authenticate.extra_params
    )  # fmt: skip
    endpoint = authenticate.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked, quote_via=quote)}"


def returned(query: bytes) -> dict[str, str]:
    """What came back with the client."""
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


def code_of(answer: dict[str, str]) -> str:
    """The authorisation code. Raises Refused."""
    if answer.get("error") == DENIED:
        raise Refused(401, "AuthInvalidGrantError")
    if "error" in answer:
        raise Refused(561, "AuthInvalidGrantError")
    if not answer.get("code"):
        raise Refused(401, "AuthMissingCodeParam")
    return answer["code"]


def code_form(authenticate: Authenticate, code: str, callback: str) -> bytes:
    """The body by which a code becomes tokens."""
    return _form(authenticate, grant_type="authorization_code", code=code, redirect_uri=callback)


def refresh_form(authenticate: Authenticate, refresh_token: str) -> bytes:
    """The body by which a refresh token becomes a new access token."""
    return _form(authenticate, grant_type="refresh_token", refresh_token=refresh_token)


def read_tokens(status: int, body: bytes) -> Tokens:
    """A token endpoint's answer. Raises Refused."""
    if status != 200:
        raise Refused(561, "AuthInvalidGrantError")
    try:
        return msgspec.json.decode(body, type=Tokens)
    except msgspec.DecodeError as error:
        raise Refused(500, "AuthInvalidTokenResponse") from error


def check_id_token(authenticate: Authenticate, tokens: Tokens, now: float) -> str:
    """The subject of the ID token. Raises Refused for none, for one that is not for us, or that has run out."""
    if tokens.id_token is None:
        raise Refused(401, "AuthInvalidIdToken")
    try:
        payload = tokens.id_token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=dict[str, Any])
        audience = claims["aud"]
        mine = authenticate.client_id in (audience if isinstance(audience, list) else [audience])
        if claims["iss"] != authenticate.issuer or not mine or claims["exp"] <= now:
            raise Refused(401, "AuthInvalidIdToken")
        return str(claims["sub"])
    except (IndexError, KeyError, TypeError, binascii.Error, msgspec.DecodeError) as error:
        raise Refused(401, "AuthInvalidIdToken") from error


def read_user_info(status: int, body: bytes) -> msgspec.Raw:
    """A user info endpoint's JSON object. Raises Refused."""
    if status != 200:
        raise Refused(561, "AuthUserinfoEpRequestFailed")
    if len(body) > LARGEST_CLAIMS_BYTES:
        raise Refused(500, "AuthUserinfoResponseSizeExceeded")
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(body, type=dict[str, Any])))
    except msgspec.DecodeError as error:
        raise Refused(500, "AuthInvalidUserinfoResponse") from error


def _form(authenticate: Authenticate, **fields: str) -> bytes:
    return urlencode({**fields, "client_id": authenticate.client_id, "client_secret": authenticate.client_secret}).encode()
