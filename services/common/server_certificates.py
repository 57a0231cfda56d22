"""The certificates of a balancer's listener: SNI chooses, the first one is for everybody else ("SSL certificates for your ALB", "Server certificates" of an NLB; documented).

NOT MODELLED: the choice among several certificates for one name by their keys; the first one with the name is used.
"""

from __future__ import annotations

import ssl

from services.common.config import Tls
from services.common.http import note_server_name


class ServerCertificates:
    """Server contexts, of which `context` is the one to listen with. With a `client_trust_file` clients must have a certificate of one of its authorities, else the handshake ends."""

    def __init__(self, tls: tuple[Tls, ...], alpn: tuple[str, ...] = (), client_trust_file: str = "") -> None:
        self.configure(tls, alpn, client_trust_file)
        self.context = _server_context(tls[0], alpn, client_trust_file)
        self.context.sni_callback = self._choose

    def configure(self, tls: tuple[Tls, ...], alpn: tuple[str, ...], client_trust_file: str = "") -> None:
        """Use these for new connections. Whether clients must have a certificate stays as it began."""
        self._default = _server_context(tls[0], alpn, client_trust_file)
        self._by_name: dict[str, ssl.SSLContext] = {}
        for certificate in tls:
            context = _server_context(certificate, alpn, client_trust_file)
            for name in certificate.host_names:
                self._by_name.setdefault(name.lower(), context)

    def select(self, server_name: str | None) -> ssl.SSLContext:
        """The context for a name: an exact match, else a wildcard for its first label, else the default."""
        name = (server_name or "").lower()
        return self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or self._default

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
        note_server_name(connection, server_name)
        connection.context = self.select(server_name)


def _server_context(tls: Tls, alpn: tuple[str, ...], client_trust_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    if client_trust_file:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_trust_file)
    return context
