"""Which bytes of a stored object a `Range` asks for.

One range, or several in ascending order without overlap, are served as 206; ranges that overlap, are out of order or malformed give the whole object.

Source: CloudFront developer guide, "Range GETs" (documented). 416 for a range wholly past the end: RFC 9110, 14.4.
"""

from __future__ import annotations

import itertools
import re

ByteRange = tuple[int, int]
"""First and last byte, both included."""
RANGE = re.compile(rb"(\d*)-(\d*)")


class NotSatisfiable(Exception):
    """Every range begins past the object's end."""


def requested_ranges(value: bytes, length: int) -> tuple[ByteRange, ...]:
    """The ranges of a field value over an object of `length` bytes; empty when the whole object is to be served. Raises `NotSatisfiable`."""
    unit, equals, specification = value.partition(b"=")
    if unit.strip().lower() != b"bytes" or not equals:
        return ()
    ranges: list[ByteRange] = []
    for part in specification.split(b","):
        match = RANGE.fullmatch(part.strip())
        if match is None or match[0] == b"-":
            return ()
        first, last = match[1], match[2]
        if not first:
            begin, end = max(0, length - int(last)), length - 1
            if int(last) == 0:
                begin = length
        else:
            begin, end = int(first), min(int(last), length - 1) if last else length - 1
            if last and int(last) < begin:
                return ()
        if begin < length:
            ranges.append((begin, end))
    if not ranges:
        raise NotSatisfiable
    if any(later[0] <= earlier[1] for earlier, later in itertools.pairwise(ranges)):
        return ()
    return tuple(ranges)


def applies(if_range: bytes | None, etag: bytes | None, last_modified: bytes | None) -> bool:
    """Whether the condition `If-Range` lets a range be served: absent, or exactly the stored validator (a weak one never)."""
    return if_range is None or (if_range in (etag, last_modified) and not if_range.startswith(b"W/"))


def multipart(body: bytes, ranges: tuple[ByteRange, ...], content_type: bytes, boundary: bytes) -> bytes:
    """The body of a 206 with several ranges (multipart/byteranges; RFC 9110, 14.6)."""
    parts = [
        b"--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n" % (boundary, content_type, first, last, len(body), body[first : last + 1])
        for first, last in ranges
    ]
    return b"".join(parts) + b"--%s--\r\n" % boundary
