"""The lab's certificate authority: trusted by every program in a node, and by nobody else.

Keys are made anew for each lab and never leave its sandbox. The PEM files lie under /run/testbed/tls.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.engine.visible import CA_FILE
from testbed.plan import Certificate

if TYPE_CHECKING:
    import trustme


class Authority:
    """Issues certificates for host names. The key pair is made at first need."""

    def __init__(self) -> None:
        self._ca: trustme.CA | None = None
        self._issued: dict[str, tuple[str, ...]] = {}

    def publish(self) -> None:
        """Write the authority's own certificate where the nodes' programs look for it."""
        CA_FILE.parent.mkdir(parents=True, exist_ok=True)
        self._root().cert_pem.write_to_path(str(CA_FILE))

    def issue(self, certificate: Certificate) -> None:
        """Make a certificate's files, unless one for the same names is there already. Raises OSError."""
        if self._issued.get(certificate.certificate_file) == certificate.host_names:
            return
        self._issued[certificate.certificate_file] = certificate.host_names
        issued = self._root().issue_cert(*certificate.host_names, common_name=certificate.host_names[0])
        Path(certificate.certificate_file).parent.mkdir(parents=True, exist_ok=True)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(certificate.certificate_file, append=number > 0)
        issued.private_key_pem.write_to_path(certificate.key_file)

    def _root(self) -> trustme.CA:
        if self._ca is None:
            import trustme  # takes 0.1 s: only labs with certificates pay for it

            self._ca = trustme.CA(organization_name="the testbed's lab authority")
        return self._ca
