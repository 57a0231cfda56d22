"""Sticky sessions: the cookies by which a balancer knows a client again. Pure.

    AWSALB, AWSALBCORS        the target that the balancer chose (lb_cookie); sent with every response, AWSALBCORS wins if both come back
    AWSALBAPP-0               the target too, issued when the target sets the application's own cookie (app_cookie); both must come back
    AWSALBTG, AWSALBTGCORS    the target group of a weighted forward

A value is opaque: sealed with a key that a balancer's nodes share, so that nobody can choose a target for himself. It says which group, which target and
until when; the cookie's own ``Expires`` is always seven days away. A value that cannot be read, is of another group or has run out counts as none.
Source: ELB user guide, "Edit target group attributes for your ALB", "Target groups" (documented); ``SameSite=None; Secure`` observed. NOT MODELLED:
AWSALBAPP-1 to -3 (a value here always fits one cookie).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COOKIE_LIFE_S = 7 * 86400
LB, LB_CORS = b"AWSALB", b"AWSALBCORS"
APP = b"AWSALBAPP-0"
GROUP, GROUP_CORS = b"AWSALBTG", b"AWSALBTGCORS"
_NONCE_BYTES = 12
_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a cookie says: `place` is a target's ``address:port`` or a group's id, `until` in seconds since the epoch."""

    group: str
    place: str
    until: float


class Seal:
    """Writes and reads values. `key` has 32 bytes; `random_bytes` as `os.urandom`."""

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    def write(self, bound: Bound) -> bytes:
        """A cookie's value."""
        return self.seal(_SEPARATOR.join((bound.group, bound.place, f"{bound.until:.3f}")).encode())

    def read(self, value: bytes, now: float) -> Bound | None:
        """What a value says; None for one that is not ours, or has run out."""
        plain = self.unseal(value)
        if plain is None:
            return None
        group, place, until = plain.decode().split(_SEPARATOR)
        return Bound(group, place, float(until)) if float(until) > now else None

    def seal(self, plain: bytes, purpose: bytes | None = None) -> bytes:
        """`plain` as a text that only this key opens, and only for the same `purpose`."""
        nonce = self._random_bytes(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, purpose)).rstrip(b"=")

    def unseal(self, value: bytes, purpose: bytes | None = None) -> bytes | None:
        """What was sealed; None for what is not ours or was for another `purpose`."""
        try:
            sealed = urlsafe_b64decode(value + b"=" * (-len(value) % 4))
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
        except (ValueError, InvalidTag):
            return None


def cookies(field: bytes | None) -> dict[bytes, bytes]:
    """The cookies of a Cookie field, by name; of several with one name the first counts (RFC 6265 leaves it to the server; assumed)."""
    found: dict[bytes, bytes] = {}
    for pair in (field or b"").split(b";"):
        name, equals, value = pair.strip().partition(b"=")
        if equals:
            found.setdefault(name, value)
    return found


def cookie_lines(plain: bytes, cors: bytes, value: bytes, now: float) -> bytes:
    """The two Set-Cookie fields, on the wire's form, by which a client is asked to come back with `value`."""
    expires = formatdate(now + COOKIE_LIFE_S, usegmt=True).encode()
    return b"Set-Cookie: %b=%b; Expires=%b; Path=/\r\nSet-Cookie: %b=%b; Expires=%b; Path=/; SameSite=None; Secure\r\n" % (plain, value, expires, cors, value, expires)


def application_cookie_line(value: bytes, now: float) -> bytes:
    """The Set-Cookie field that goes with an application's own cookie."""
    return b"Set-Cookie: %b=%b; Expires=%b; Path=/\r\n" % (APP, value, formatdate(now + COOKIE_LIFE_S, usegmt=True).encode())


def sets_cookie(set_cookie: bytes, name: bytes) -> bool:
    """Whether a Set-Cookie field's value sets the cookie `name`."""
    return set_cookie.lstrip().startswith(name + b"=")
