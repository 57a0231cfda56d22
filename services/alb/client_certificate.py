"""What a balancer tells a target of the certificate by which a client proved itself (mutual TLS, verify mode). Pure.

    X-Amzn-Mtls-Clientcert-Serial-Number   03A5B1 …, in hexadecimal
    X-Amzn-Mtls-Clientcert-Issuer          CN=…,OU=…,O=… (RFC 2253)
    X-Amzn-Mtls-Clientcert-Subject         the same of the client
    X-Amzn-Mtls-Clientcert-Validity        NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z
    X-Amzn-Mtls-Clientcert-Leaf            the certificate, PEM, URL-encoded; +, = and / stand as they are

Source: ELB user guide, "Mutual authentication with TLS in ALB" (documented).
NOT MODELLED: passthrough mode (X-Amzn-Mtls-Clientcert): Python's `ssl` asks a client for a certificate only together with verifying it, so what nobody signed cannot be passed on. (pyOpenSSL's verify callback can, but not
within asyncio: it would want a TLS transport of its own, for HTTP/1.1 and HTTP/2.)
"""

from __future__ import annotations

import re
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.common.http.head import Headers

_PREFIX = b"X-Amzn-Mtls-Clientcert"
_NAMES = (b"-Serial-Number", b"-Issuer", b"-Subject", b"-Validity", b"-Leaf")
HEADERS = frozenset((_PREFIX + name).lower() for name in (b"", *_NAMES))
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def certificate_headers(der: bytes) -> Headers:
    """The five fields for a certificate that was verified."""
    certificate = x509.load_der_x509_certificate(der)
    serial = f"{certificate.serial_number:X}"
    validity = f"NotBefore={certificate.not_valid_before_utc.strftime(_TIME)};NotAfter={certificate.not_valid_after_utc.strftime(_TIME)}"
    leaf = quote(certificate.public_bytes(Encoding.PEM), safe="+=/")
    values = (serial if len(serial) % 2 == 0 else f"0{serial}", certificate.issuer.rfc4514_string(), certificate.subject.rfc4514_string(), validity, leaf)
    return [(_PREFIX + name, _one_line(value)) for name, value in zip(_NAMES, values, strict=True)]


def _one_line(text: str) -> bytes:
    """A value that cannot end its header."""
    return _CONTROL.sub(b"?", text.encode())
