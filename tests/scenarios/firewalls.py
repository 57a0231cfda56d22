"""What the scenarios of inspection share: a client that says something, a server that hears it or not, and what firewalls have logged."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from testbed.engine.preflight import find_program
from tests.scenarios.sending import listening

NEEDS_SURICATA = pytest.mark.skipif(find_program("suricata") is None, reason="needs the program suricata")
PATIENCE_S = 0.4
LOG_PATIENCE_S = 15.0
HTTP, HTTPS = 80, 443


def http_request(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: scenario\r\n\r\n".encode()


def client_hello(host: str) -> bytes:
    """The first message of TLS, with the server's name in it."""
    outgoing = ssl.MemoryBIO()
    speaking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host)
    try:
        speaking.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a server")


def heard(lab: Any, client: str, server: str, port: int, message: bytes, address: str | None = None) -> bytes | None:
    """What the server hears of the message that a client sends on a connection; None if there is no connection, empty if nothing comes."""
    with listening(lab, server, port) as listener, lab[client].socket() as speaker:
        speaker.settimeout(PATIENCE_S)
        try:
            speaker.connect((address or str(lab[server].address), port))
        except (TimeoutError, ConnectionRefusedError):
            return None
        speaker.sendall(message)
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(PATIENCE_S)
            try:
                return accepted.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return b""
            finally:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def events(lab: Any, kind: str, *endpoints: str) -> list[dict[str, Any]]:
    """What the stateful engines of some endpoints have told so far, by time."""
    found = []
    for endpoint in endpoints:
        path = lab.log_directory / f"{endpoint}.suricata.jsonl"
        found += [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return sorted((event for event in found if event["event"] == kind), key=lambda event: float(event["t"]))


def soon(holds: Callable[[], object]) -> bool:
    """Whether something comes true before patience ends."""
    give_up_at = time.monotonic() + LOG_PATIENCE_S
    while time.monotonic() < give_up_at:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())


def told(lab: Any, rule: str, *endpoints: str) -> dict[str, Any]:
    """The last alert of a rule, waited for."""

    def found() -> list[dict[str, Any]]:
        return [event for event in events(lab, "firewall_alert", *endpoints) if event["rule"] == rule]

    assert soon(found), f"{rule} has told nothing: {events(lab, 'firewall_alert', *endpoints)}"
    return found()[-1]
