"""Where a service finds its certificates, and the authority that it trusts: issued by the lab before the service starts."""

from __future__ import annotations

from services.common.config import Tls
from testbed.plan import Certificate

FOLDER = "/run/testbed/tls"
TRUST_FILE = f"{FOLDER}/ca.crt"


def certificate(service: str, number: int, host_names: tuple[str, ...]) -> Certificate:
    """The service's certificate with this number, from 0."""
    stem = f"{FOLDER}/{service}-{number}"
    return Certificate(host_names=host_names, certificate_file=f"{stem}.crt", key_file=f"{stem}.key")


def tls(issued: Certificate) -> Tls:
    """The same certificate in a daemon's configuration."""
    return Tls(host_names=issued.host_names, certificate_file=issued.certificate_file, key_file=issued.key_file)
