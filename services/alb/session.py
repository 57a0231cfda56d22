"""A user's session after an OpenID Connect login: cookies of at most 4 K each, sealed with the balancer's key. Pure.

    AWSELBAuthSessionCookie-0 … -3     tokens and claims, until when; one value in pieces
    AWSALBAuthNonce                    between the redirect to the provider and the way back, so that a login ends in the browser in which it began

A session belongs to one issuer and client: another rule's login does not count for it. Its cookies' own ``Expires`` is seven days away whatever the session's timeout.
Source: ELB user guide, "Authenticate users using an ALB" (cookies, 4 K, four of them, seven days; documented); AWSALBAuthNonce and HttpOnly are observed.
"""

from __future__ import annotations

from email.utils import formatdate

import msgspec

from services.alb.config import Authenticate
from services.alb.stickiness import COOKIE_LIFE_S, Seal

NONCE = b"AWSALBAuthNonce"
MOST_COOKIES = 4
LARGEST_COOKIE_BYTES = 4096
"""Of a cookie's name and value together, as browsers count."""
_LONG_AGO = b"Thu, 01 Jan 1970 00:00:00 GMT"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a user. `ends_at` and `stale_at` (when the access token has run out; None: never) are seconds since the epoch; `claims` is the
    provider's JSON object of the user."""

    subject: str
    access_token: str
    claims: msgspec.Raw
    ends_at: float
    stale_at: float | None = None
    refresh_token: str = ""


class SessionTooLarge(Exception):
    """A session that four cookies cannot hold."""


def purpose(authenticate: Authenticate) -> bytes:
    """To whom a session belongs."""
    return f"session\n{authenticate.issuer}\n{authenticate.client_id}".encode()


def session_lines(seal: Seal, authenticate: Authenticate, session: Session, sent: dict[bytes, bytes], now: float) -> bytes:
    """The Set-Cookie fields of `session`; pieces among the client's cookies (`sent`) that it does not need any more are taken back. Raises SessionTooLarge."""
    name = authenticate.session_cookie.encode()
    value = seal.seal(msgspec.json.encode(session), purpose(authenticate))
    room = LARGEST_COOKIE_BYTES - len(name) - len(b"-0=")
    pieces = [value[start : start + room] for start in range(0, len(value), room)]
    if len(pieces) > MOST_COOKIES:
        raise SessionTooLarge
    expires = formatdate(now + COOKIE_LIFE_S, usegmt=True).encode()
    lines = [_line(_piece(name, number), piece, expires) for number, piece in enumerate(pieces)]
    lines += [_line(_piece(name, number), b"", _LONG_AGO) for number in range(len(pieces), MOST_COOKIES) if _piece(name, number) in sent]
    return b"".join(lines)


def session_of(seal: Seal, authenticate: Authenticate, sent: dict[bytes, bytes], now: float) -> Session | None:
    """The session that the client's cookies hold, unless it is over."""
    name, value = authenticate.session_cookie.encode(), b""
    for number in range(MOST_COOKIES):
        piece = sent.get(_piece(name, number))
        if piece is None:
            break
        value += piece
    plain = seal.unseal(value, purpose(authenticate)) if value else None
    if plain is None:
        return None
    session = msgspec.json.decode(plain, type=Session)
    return session if session.ends_at > now else None


def has_session_cookie(authenticate: Authenticate, sent: dict[bytes, bytes]) -> bool:
    """Whether the client sends one at all, good or bad."""
    return _piece(authenticate.session_cookie.encode(), 0) in sent


def nonce_line(nonce: bytes, now: float) -> bytes:
    """The Set-Cookie field of a login that begins."""
    return _line(NONCE, nonce, formatdate(now + COOKIE_LIFE_S, usegmt=True).encode())


def nonce_taken_back() -> bytes:
    """The Set-Cookie field of one that is over."""
    return _line(NONCE, b"", _LONG_AGO)


def _piece(name: bytes, number: int) -> bytes:
    return b"%b-%d" % (name, number)


def _line(name: bytes, value: bytes, expires: bytes) -> bytes:
    return b"Set-Cookie: %b=%b; Expires=%b; Path=/; Secure; HttpOnly\r\n" % (name, value, expires)
