"""The words of HTTP that the edge's decisions are made of: a viewer's request, header fields, `Cache-Control`.

Everything that came over the wire stays ``bytes``; header names keep their spelling and are compared without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

Header = tuple[bytes, bytes]
Headers = Sequence[Header]


@dataclass(slots=True, kw_only=True)
class ViewerRequest:
    """What a viewer asked, before any decision. Not frozen: building one is on the path of every hit, and nobody changes it.

    `target` is the request target as sent (path and query), `headers` the fields in their order, `fields` the same by lower-case name (repeated ones
    joined by a comma), `host` the Host field without its port (empty if there is none), `peer_address` the viewer's address; `secure` tells whether it came over TLS.
    """

    method: bytes
    target: bytes
    version: str
    headers: Headers
    fields: dict[bytes, bytes]
    host: bytes
    peer_address: str
    secure: bool
    has_body: bool = False

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]


def find(headers: Headers, name: bytes) -> bytes | None:
    """The first value of field `name` (lower case), or None."""
    for field, value in headers:
        if field.lower() == name:
            return value
    return None


def joined(headers: Headers, name: bytes) -> bytes:
    """All values of a list-valued field as one (RFC 9110, 5.2)."""
    return b", ".join(value for field, value in headers if field.lower() == name)


def list_members(value: bytes) -> tuple[bytes, ...]:
    """The members of a comma-separated field value, lower case, without parameters."""
    return tuple(member for member in (part.partition(b";")[0].strip().lower() for part in value.split(b",")) if member)


def seconds_since_epoch(http_date: bytes) -> float | None:
    """An HTTP date as seconds since the epoch; None if it is none (``Expires: 0``)."""
    try:
        return parsedate_to_datetime(http_date.decode("latin-1")).timestamp()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControl:
    """The directives of `Cache-Control` that CloudFront looks at, in seconds; None where absent or not a number."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    no_cache_fields: tuple[bytes, ...] = ()
    max_age: int | None = None
    s_maxage: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None

    @property
    def forbids_caching(self) -> bool:
        return self.no_store or self.no_cache or self.private

    @property
    def shared_age(self) -> int | None:
        """The age that rules a shared cache: `s-maxage` before `max-age`."""
        return self.s_maxage if self.s_maxage is not None else self.max_age

    @classmethod
    def parse(cls, value: bytes) -> CacheControl:
        """The directives of a field value. ``no-cache="Set-Cookie"`` names fields and forbids nothing else."""
        arguments: dict[bytes, bytes | None] = {}
        for name, argument in _directives(value):
            arguments.setdefault(name, argument)
        fields = arguments.get(b"no-cache")
        return cls(
            no_store=b"no-store" in arguments,
            no_cache=b"no-cache" in arguments and not fields,
            private=b"private" in arguments,
            no_cache_fields=list_members(fields) if fields else (),
            max_age=_seconds(arguments.get(b"max-age")),
            s_maxage=_seconds(arguments.get(b"s-maxage")),
            stale_while_revalidate=_seconds(arguments.get(b"stale-while-revalidate")),
            stale_if_error=_seconds(arguments.get(b"stale-if-error")),
        )


def _directives(value: bytes) -> Iterable[tuple[bytes, bytes | None]]:
    """The directives one by one; a comma inside a quoted argument does not end it."""
    quoted, start = False, 0
    for index, byte in enumerate(value + b","):
        if byte == 0x22:
            quoted = not quoted
        elif byte == 0x2C and not quoted:
            name, equals, argument = value[start:index].partition(b"=")
            start = index + 1
            if name.strip():
                yield name.strip().lower(), argument.strip().strip(b'"') if equals else None


def _seconds(argument: bytes | None) -> int | None:
    return int(argument) if argument is not None and argument.isdigit() else None
