"""What an ALB changes in a request's headers on the way to a target.

X-Forwarded-For is appended to, X-Forwarded-Proto and -Port are the client side's, X-Amzn-Trace-Id is made or completed, Host is lower-cased and has a
port exactly if the listener's is neither 80 nor 443; hop-by-hop fields and Expect end here. An ALB adds no Via.
Source: ELB user guide, "HTTP headers and ALBs", "Request tracing", "Edit attributes for your ALB", "How Elastic Load Balancing works" (documented).
A trace header with neither Root nor Self gets a Root in front of its own fields (assumed).
NOT MODELLED: the X-Forwarded-For modes preserve and remove, the client port in it, drop_invalid_header_fields, preserve_host_header.
"""

from __future__ import annotations

import msgspec

from services.common.http.head import HOP_BY_HOP, Headers, RequestHead, end_to_end

MOST_FORWARDED_ADDRESSES = 30
_REPLACED = HOP_BY_HOP | frozenset({b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-amzn-trace-id", b"expect", b"content-length"})
_DEFAULT_PORTS = (80, 443)


class Trace(msgspec.Struct, gc=False):
    """`value` is the header's; `root` is its Root."""

    value: bytes
    root: bytes


def trace(received: bytes | None, *, epoch_s: int, random_bits: int) -> Trace:
    """The trace header to send, from the `received` one; `random_bits` are 96."""
    own = b"1-%08x-%024x" % (epoch_s, random_bits)
    if not received:
        return Trace(b"Root=" + own, own)
    fields = [field.strip() for field in received.split(b";")]
    kept = [field for field in fields if field and not field.startswith(b"Self=")]
    root = next((field[5:] for field in kept if field.startswith(b"Root=")), None)
    if root is None:
        return Trace(b";".join([b"Root=" + own, *kept]), own)
    return Trace(b";".join([b"Self=" + own, *kept]), root)


def host_name(host: bytes) -> bytes:
    """The Host field's value in lower case, without the port."""
    host = host.lower()
    if host.startswith(b"["):
        return host[: host.find(b"]") + 1]
    return host.partition(b":")[0]


def host_for_target(name: bytes, listener_port: int) -> bytes:
    """The Host to send, from `host_name`."""
    return name if listener_port in _DEFAULT_PORTS else b"%b:%d" % (name, listener_port)


def too_many_addresses(forwarded_for: bytes | None) -> bool:
    """Whether X-Forwarded-For has more than 30 addresses (463)."""
    return forwarded_for is not None and forwarded_for.count(b",") >= MOST_FORWARDED_ADDRESSES


def target_headers(head: RequestHead, *, host: bytes, client: bytes, protocol: bytes, port: bytes) -> Headers:
    """The headers for the target, but for the trace, which comes last. `client` is the address of the TCP peer; framing and Connection are not in it."""
    fields = head.fields
    headers = end_to_end(head.headers, fields, _REPLACED)
    forwarded_for = fields.get(b"x-forwarded-for")
    headers += (
        (b"Host", host),
        (b"X-Forwarded-For", b"%b, %b" % (forwarded_for, client) if forwarded_for else client),
        (b"X-Forwarded-Proto", protocol),
        (b"X-Forwarded-Port", port),
    )
    return headers
