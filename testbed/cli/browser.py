"""The person's browser, started with a profile of its own that uses the proxy and trusts the lab's authority, and nothing more than that.

Chromium takes the authority by the hash of its public key (``--ignore-certificate-errors-spki-list``), so no certificate store is touched. Firefox has no such switch:
there the person confirms the certificate once, in a profile that is thrown away.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from testbed.observe.lab_view import LabView

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "brave-browser")
FIREFOX = ("firefox", "firefox-esr")


def authority(lab: LabView, node: str, path: str) -> bytes | None:
    """The lab's CA certificate (PEM), as a program in the node sees it; None if the lab has none."""
    process = lab.popen(node, ("cat", path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pem, _ = process.communicate(timeout=10)
    return pem if process.returncode == 0 and pem else None


def key_hash(pem: bytes) -> str:
    """SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER) in base64, as Chromium wants it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    key = load_pem_x509_certificate(pem).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def command_line(program: str, url: str, address: str, profile: str, ca: bytes | None, *, insecure: bool) -> tuple[str, ...]:
    """How `program` is started."""
    if Path(program).name in FIREFOX:
        return (program, "--new-instance", "--profile", profile, url)
    trust = ("--ignore-certificate-errors",) if insecure else (f"--ignore-certificate-errors-spki-list={key_hash(ca)}",) if ca is not None else ()
    return (program, f"--proxy-server=http://{address}", "--proxy-bypass-list=<-loopback>", f"--user-data-dir={profile}", "--no-first-run", "--no-default-browser-check", *trust, url)


def start(url: str, address: str, profile: str, ca: bytes | None, *, insecure: bool) -> subprocess.Popen[bytes] | None:
    """Start the first browser found, None if there is none (or no display)."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    program = next((found for name in (*CHROMIUM, *FIREFOX) if (found := shutil.which(name)) is not None), None)
    if program is None:
        return None
    if Path(program).name in FIREFOX:
        host, port = address.split(":")
        settings = {"network.proxy.type": 1, "network.proxy.http": f'"{host}"', "network.proxy.http_port": port, "network.proxy.ssl": f'"{host}"', "network.proxy.ssl_port": port,
                    "network.proxy.no_proxies_on": '""', "browser.aboutwelcome.enabled": "false", "network.captive-portal-service.enabled": "false"}
        (Path(profile) / "user.js").write_text("".join(f'user_pref("{name}", {value});\n' for name, value in settings.items()))
    return subprocess.Popen(command_line(program, url, address, profile, ca, insecure=insecure), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def told(started: subprocess.Popen[bytes] | None, address: str, node: str) -> str:
    """What to say about it."""
    if started is not None:
        return f"Your browser leaves from {node}, through http://{address}."
    return (
        f"No browser was found, or no display. A proxy that leaves from {node} listens at http://{address}: set it as HTTP and HTTPS proxy of any browser on this machine.\n"
        f"The lab's certificates come from its own authority: testbed exec {node} -- cat /run/testbed/tls/ca.crt > lab-ca.crt, then trust that file in the browser (or curl --proxy http://{address} --cacert lab-ca.crt)."
    )
