"""Transforms: what a rule rewrites of a request on its way to a target. Pure.

A regular expression is looked for in the Host or in the URL (path and query, as sent); what it matches first is replaced, ``$1`` to ``$9`` standing for its groups.
Without a match nothing changes. What comes out must still be a host or a URL, else the request fails (500).
Source: ELB user guide, "Transforms for listener rules" (documented); that the first match alone is replaced, and what counts as a failure, is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.alb.config import Rewrite

LONGEST_URL_BYTES = 16 * 1024
_GROUP = re.compile(r"\$([1-9])")
_HOST = re.compile(rb"[A-Za-z0-9.\-_]{1,255}(:[0-9]{1,5})?")
_URL = re.compile(rb"/[\x21-\x7e\x80-\xff]*")


class TransformFailed(Exception):
    """What came out is no host or no URL."""


@dataclass(frozen=True, slots=True)
class Transforms:
    """The rewrites of one rule, ready to be used."""

    host: tuple[re.Pattern[bytes], bytes] | None
    url: tuple[re.Pattern[bytes], bytes] | None

    @classmethod
    def of(cls, host: Rewrite | None, url: Rewrite | None) -> Transforms | None:
        """None where there are none. Raises re.error for what is no regular expression, or names a group that it has not."""
        return None if host is None and url is None else cls(_compiled(host), _compiled(url))

    def host_of(self, host: bytes) -> bytes:
        """The Host for the target. Raises TransformFailed."""
        return _replaced(self.host, host, _HOST)

    def url_of(self, url: bytes) -> bytes:
        """The URL for the target. Raises TransformFailed."""
        return _replaced(self.url, url, _URL)


def _compiled(rewrite: Rewrite | None) -> tuple[re.Pattern[bytes], bytes] | None:
    if rewrite is None:
        return None
    pattern = re.compile(rewrite.regex.encode())
    highest = max((int(group) for group in _GROUP.findall(rewrite.replace)), default=0)
    if highest > pattern.groups:
        raise re.error(f"there is no group {highest} in {rewrite.regex!r}")
    replacement = _GROUP.sub(lambda match: f"\\g<{match[1]}>", rewrite.replace.replace("\\", "\\\\"))
    return pattern, replacement.encode()


def _replaced(compiled: tuple[re.Pattern[bytes], bytes] | None, value: bytes, sound: re.Pattern[bytes]) -> bytes:
    if compiled is None:
        return value
    pattern, replacement = compiled
    result = pattern.sub(replacement, value, count=1)
    if not sound.fullmatch(result) or len(result) > LONGEST_URL_BYTES:
        raise TransformFailed
    return result
