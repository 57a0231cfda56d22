"""Session tokens of IMDSv2: made for one instance and a number of seconds, and good for nothing else.

A token carries its end and a keyed hash of it and of the instance, so nothing is remembered; a restarted daemon has another key, and clients then ask
for another token, as they must after a 401. Source: EC2 user guide, "Use the Instance Metadata Service" (lifetimes, "not stored by IMDS", bound to
the instance; documented). Its form, 56 characters of base64, is what instances show (assumed).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

SHORTEST_S, LONGEST_S = 1, 21600
PREFIX = b"\x01\x00\x04\x03"
HASH_BYTES = 30


class Tokens:
    """Issues and checks tokens under one secret `key`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, instance: str, ttl_s: int, now_s: float) -> str:
        """A token for the instance that ends `ttl_s` after `now_s` (any steady clock)."""
        end = struct.pack("!d", now_s + ttl_s)
        return base64.urlsafe_b64encode(PREFIX + end + self._hash(instance, end)).decode()

    def remaining_s(self, token: str, instance: str, now_s: float) -> int | None:
        """Whole seconds that a token is still good for; None if it is over, of another instance, or no token at all."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != len(PREFIX) + 8 + HASH_BYTES or not raw.startswith(PREFIX):
            return None
        end, mac = raw[4:12], raw[12:]
        if not hmac.compare_digest(mac, self._hash(instance, end)):
            return None
        left = struct.unpack("!d", end)[0] - now_s
        return int(left) if left > 0 else None

    def _hash(self, instance: str, end: bytes) -> bytes:
        return hashlib.blake2s(instance.encode() + b"\0" + end, key=self._key, digest_size=HASH_BYTES).digest()
