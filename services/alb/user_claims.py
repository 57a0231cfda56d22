"""What a balancer tells a target of the user who is logged in: three headers, one of them a JWT that it signs. Pure.

    x-amzn-oidc-accesstoken   the provider's access token, as it is
    x-amzn-oidc-identity      the user's ``sub``
    x-amzn-oidc-data          the claims as a JWT: ES256, with ``kid``, ``signer`` (the balancer's ARN), ``client``, ``iss`` and ``exp`` in its header

The parts of the JWT keep their padding, as AWS's do. The public key is published under its id (``https://public-keys.auth.elb.REGION.amazonaws.com/KID``).
Source: ELB user guide, "Authenticate users using an ALB" (documented); that a JWT is good for two minutes is observed. The key follows from the balancer's cookie key,
so that all its nodes sign alike (this testbed's own way).
"""

from __future__ import annotations

import base64
import hashlib
import uuid

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.alb.config import Authenticate
from services.alb.session import Session

HEADERS = frozenset({b"x-amzn-oidc-accesstoken", b"x-amzn-oidc-identity", b"x-amzn-oidc-data"})
GOOD_FOR_S = 120
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_COORDINATE_BYTES = 32


class Signer:
    """Signs as the balancer `arn`, whose cookie key is `key` (32 bytes)."""

    def __init__(self, key: bytes, arn: str) -> None:
        self._arn = arn
        secret = int.from_bytes(hashlib.sha512(b"user claims" + key).digest()) % (_ORDER - 1) + 1
        self._private = ec.derive_private_key(secret, ec.SECP256R1())
        self.public_pem = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = str(uuid.uuid5(uuid.NAMESPACE_OID, self.public_pem.decode()))

    def lines(self, authenticate: Authenticate, session: Session, now: float) -> bytes:
        """The three fields, each with its end."""
        expires = int(now) + GOOD_FOR_S
        header = {"typ": "JWT", "kid": self.key_id, "alg": "ES256", "iss": authenticate.issuer, "client": authenticate.client_id, "signer": self._arn, "exp": expires}
        claims = {**msgspec.json.decode(session.claims), "exp": expires, "iss": authenticate.issuer}
        return b"x-amzn-oidc-accesstoken: %b\r\nx-amzn-oidc-identity: %b\r\nx-amzn-oidc-data: %b\r\n" % (
            _one_line(session.access_token), _one_line(session.subject), self.token(header, claims)
        )  # fmt: skip

    def token(self, header: dict[str, object], claims: dict[str, object]) -> bytes:
        """A JWT."""
        signed = b"%b.%b" % (base64.urlsafe_b64encode(msgspec.json.encode(header)), base64.urlsafe_b64encode(msgspec.json.encode(claims)))
        r, s = decode_dss_signature(self._private.sign(signed, ec.ECDSA(hashes.SHA256())))
        return b"%b.%b" % (signed, base64.urlsafe_b64encode(r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)))


def _one_line(text: str) -> bytes:
    """A value that cannot end its header: what a provider says is not ours to trust."""
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in text).encode()
