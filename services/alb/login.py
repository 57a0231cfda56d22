"""Logging users in with an OpenID Connect provider: the calls to it, from the balancer's own node, around the pure `oidc`, `session` and `user_claims`.

    admit ─▶ a session? ─yes─▶ Known: fields for the target      (a stale access token is renewed first, where there is a refresh token)
                └─ no ─▶ authenticate: Turned (302) · allow: Known without fields · deny: Turned (401)
    complete (the client is back at /oauth2/idpresponse) ─▶ code ─▶ tokens ─▶ claims ─▶ Turned (302 with the session's cookies, or `Refused`'s status)

Source: ELB user guide, "Authenticate users using an ALB" (documented). If a renewal fails the user logs in anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.alb.config import Authenticate, OnUnauthenticated
from services.alb.oidc import (
    CALLBACK,
    LOGIN_TIMEOUT_S,
    Refused,
    State,
    Tokens,
    authorization_url,
    callback_url,
    check_id_token,
    code_form,
    code_of,
    read_tokens,
    read_user_info,
    refresh_form,
    returned,
)
from services.alb.provider_calls import ProviderCalls
from services.alb.session import NONCE, Session, SessionTooLarge, has_session_cookie, nonce_line, nonce_taken_back, session_lines, session_of
from services.alb.stickiness import Seal, cookies
from services.alb.user_claims import Signer

log = logging.getLogger(__name__)
_STATE = b"state"


@dataclass(slots=True, kw_only=True)
class Known:
    """The request goes on: `lines` are fields for the target, `cookies` Set-Cookie fields for the response."""

    lines: bytes = b""
    cookies: bytes = b""


@dataclass(slots=True, kw_only=True)
class Turned:
    """The balancer answers itself: `lines` are Set-Cookie fields, `reason` is for logs."""

    status: int
    location: str = ""
    lines: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request that wants a login: its `host` (empty where the client named none), the listener's port, the target and the Cookie field."""

    host: str
    port: int
    target: str
    cookie_field: bytes | None


class Login:
    """The logins at one listener. `clock` gives seconds since the epoch, `scaled` a lab's length of AWS's time, `random_bytes` is as `os.urandom`."""

    def __init__(
        self, *, seal: Seal, signer: Signer, calls: ProviderCalls, clock: Callable[[], float], scaled: Callable[[float], float], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._seal = seal
        self._signer = signer
        self._calls = calls
        self._clock = clock
        self._scaled = scaled
        self._random_bytes = random_bytes

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task among the node's."""
        return self._calls.tasks.create_task(coroutine)

    def session(self, authenticate: Authenticate, cookie_field: bytes | None) -> Session | None:
        """The session that comes with a request."""
        return session_of(self._seal, authenticate, cookies(cookie_field), self._clock())

    def is_stale(self, session: Session) -> bool:
        """Whether the session wants `renew` before it counts."""
        return bool(session.refresh_token) and session.stale_at is not None and session.stale_at <= self._clock()

    def admit(self, authenticate: Authenticate, session: Session | None, visit: Visit) -> Known | Turned:
        """What becomes of a request with this `session`."""
        if session is not None:
            return Known(lines=self._signer.lines(authenticate, session, self._clock()))
        if authenticate.on_unauthenticated is OnUnauthenticated.ALLOW:
            return Known()
        reason = "AuthInvalidCookie" if has_session_cookie(authenticate, cookies(visit.cookie_field)) else ""
        if authenticate.on_unauthenticated is OnUnauthenticated.DENY:
            return Turned(status=401, reason=reason)
        if not visit.host:
            return Turned(status=401, reason="AuthMissingHostHeader")
        nonce, now = self._random_bytes(16).hex(), self._clock()
        callback = callback_url(visit.host, visit.port)
        url = callback.removesuffix(CALLBACK.decode()) + visit.target
        state = State(issuer=authenticate.issuer, client_id=authenticate.client_id, url=url, nonce=nonce, began_at=now)
        sealed = self._seal.seal(msgspec.json.encode(state), _STATE).decode()
        return Turned(status=302, location=authorization_url(authenticate, callback, sealed), lines=nonce_line(nonce.encode(), now), reason=reason)

    async def renew(self, authenticate: Authenticate, session: Session, cookie_field: bytes | None) -> tuple[Session | None, bytes]:
        """A stale session with a new access token and new claims, and its cookies; None if the provider will not."""
        try:
            status, body = await self._token(authenticate, refresh_form(authenticate, session.refresh_token))
            renewed = await self._described(authenticate, read_tokens(status, body), session.subject, session.ends_at, session.refresh_token)
            return renewed, session_lines(self._seal, authenticate, renewed, cookies(cookie_field), self._clock())
        except (Refused, SessionTooLarge) as error:
            log.info("a session of %s is not renewed: %s", session.subject, error)
            return None, b""

    async def complete(self, choices: Sequence[Authenticate], *, query: bytes, host: str, port: int, cookie_field: bytes | None) -> Turned:
        """The answer to a client that comes back from a provider; `choices` are the listener's logins."""
        try:
            return await self._complete(choices, returned(query), callback_url(host, port), cookies(cookie_field))
        except Refused as refused:
            return Turned(status=refused.status, reason=refused.reason)
        except SessionTooLarge:
            return Turned(status=500, reason="AuthUserinfoResponseSizeExceeded")

    async def _complete(self, choices: Sequence[Authenticate], answer: dict[str, str], callback: str, sent: dict[bytes, bytes]) -> Turned:
        state = self._state(answer)
        authenticate = next((each for each in choices if (each.issuer, each.client_id) == (state.issuer, state.client_id)), None)
        if authenticate is None:
            raise Refused(401, "AuthInvalidStateParam")
        if sent.get(NONCE, b"").decode("latin-1") != state.nonce:
            raise Refused(401, "AuthInvalidAWSALBAuthNonce")
        if self._clock() - state.began_at > self._scaled(LOGIN_TIMEOUT_S):
            raise Refused(401, "AuthInvalidStateParam")
        status, body = await self._token(authenticate, code_form(authenticate, code_of(answer), callback))
        tokens = read_tokens(status, body)
        subject = check_id_token(authenticate, tokens, self._clock())
        ends_at = self._clock() + self._scaled(authenticate.session_timeout_s)
        session = await self._described(authenticate, tokens, subject, ends_at)
        lines = session_lines(self._seal, authenticate, session, sent, self._clock()) + nonce_taken_back()
        return Turned(status=302, location=state.url, lines=lines)

    def _state(self, answer: dict[str, str]) -> State:
        if "state" not in answer:
            raise Refused(401, "AuthMissingStateParam")
        plain = self._seal.unseal(answer["state"].encode("latin-1", "replace"), _STATE)
        if plain is None:
            raise Refused(401, "AuthInvalidStateParam")
        return msgspec.json.decode(plain, type=State)

    async def _token(self, authenticate: Authenticate, form: bytes) -> tuple[int, bytes]:
        headers = [(b"Content-Type", b"application/x-www-form-urlencoded"), (b"Accept", b"application/json")]
        return await self._calls.call(authenticate.token_endpoint, b"POST", headers, form, "AuthTokenEpRequest")

    async def _described(self, authenticate: Authenticate, tokens: Tokens, subject: str, ends_at: float, refresh_token: str = "") -> Session:
        """The user of these tokens, as the provider describes him. Raises Refused."""
        headers = [(b"Authorization", b"Bearer " + tokens.access_token.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b"")), (b"Accept", b"application/json")]
        claims = read_user_info(*await self._calls.call(authenticate.user_info_endpoint, b"GET", headers, b"", "AuthUserinfoEpRequest"))
        stale_at = None if tokens.expires_in is None else self._clock() + tokens.expires_in
        return Session(subject=subject, access_token=tokens.access_token, claims=claims, ends_at=ends_at, stale_at=stale_at, refresh_token=tokens.refresh_token or refresh_token)


def is_callback(target: bytes) -> bool:
    """Whether a request is a client's on its way back from a provider."""
    return target.partition(b"?")[0] == CALLBACK
