"""What an ALB changes in a request's headers on the way to a target.

X-Forwarded-For is appended to (or left, or removed), X-Forwarded-Proto and -Port are the client side's, X-Amzn-Trace-Id is made or completed, Host is
lower-cased and has a port exactly if the listener's is neither 80 nor 443 (or is left as it is); hop-by-hop fields and Expect end here. An ALB adds no Via.
What a client says itself in x-amzn-tls-…, x-amzn-mtls-… and x-amzn-oidc-… ends here too (assumed).
Source: ELB user guide, "HTTP headers and ALBs", "Request tracing", "Edit attributes for your ALB", "How Elastic Load Balancing works" (documented).
A trace header with neither Root nor Self gets a Root in front of its own fields (assumed).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from services.alb.client_certificate import HEADERS as CERTIFICATE_HEADERS
from services.alb.config import Attributes, ForwardedFor
from services.alb.user_claims import HEADERS as USER_HEADERS
from services.common.http.head import HOP_BY_HOP, Headers, RequestHead, end_to_end

MOST_FORWARDED_ADDRESSES = 30
_REPLACED = HOP_BY_HOP | frozenset({b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-amzn-trace-id", b"expect", b"content-length", b"x-amzn-tls-version", b"x-amzn-tls-cipher-suite"}) | CERTIFICATE_HEADERS | USER_HEADERS
_DEFAULT_PORTS = (80, 443)
_VALID_NAME = re.compile(rb"[-A-Za-z0-9]+")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client's side of a request: `address` and `port` of the TCP peer, the `protocol` (``http``, ``https``) and port of the listener, and with TLS
    its version and cipher suite; `certificate` are the fields that tell of the client's own."""

    address: bytes
    port: bytes
    protocol: bytes
    listener_port: bytes
    tls: tuple[bytes, bytes] | None = None
    certificate: Headers = field(default_factory=list)

    @property
    def with_port(self) -> bytes:
        """``address:port``, an IPv6 address in brackets."""
        return b"[%b]:%b" % (self.address, self.port) if b":" in self.address else b"%b:%b" % (self.address, self.port)


def target_headers(head: RequestHead, *, host: bytes, client: Client, attributes: Attributes) -> Headers:
    """The headers for the target, but for the trace, which comes last. Framing and Connection are not in it."""
    fields = head.fields
    headers = end_to_end(head.headers, fields, _REPLACED)
    if attributes.drop_invalid_headers:
        headers = [pair for pair in headers if _VALID_NAME.fullmatch(pair[0])]
    headers.append((b"Host", host))
    forwarded_for = fields.get(b"x-forwarded-for")
    if attributes.forwarded_for is ForwardedFor.APPEND:
        own = client.with_port if attributes.client_port else client.address
        headers.append((b"X-Forwarded-For", b"%b, %b" % (forwarded_for, own) if forwarded_for else own))
    elif attributes.forwarded_for is ForwardedFor.PRESERVE and forwarded_for is not None:
        headers.append((b"X-Forwarded-For", forwarded_for))
    headers += ((b"X-Forwarded-Proto", client.protocol), (b"X-Forwarded-Port", client.listener_port))
    if attributes.tls_headers and client.tls is not None:
        headers += ((b"x-amzn-tls-version", client.tls[0]), (b"x-amzn-tls-cipher-suite", client.tls[1]))
    return headers + client.certificate
