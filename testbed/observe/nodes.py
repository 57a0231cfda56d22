"""A node as an experiment wants it: run curl, dig or anything else there, connect, ping.

    client.curl("https://shop.example.com/products").status
    web_a.tcp("10.0.20.10", 5432).passed

Programs are the host's own, unchanged; nothing raises for what the network answers, so that an experiment can assert on it.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from testbed.observe.capture import Capture
from testbed.observe.lab_view import LabView
from testbed.observe.places import address_of, served_address
from testbed.observe.probe import Protocol, Ready, Sent

TIMEOUT_S = 30.0
CURL_MARKER = "\n<testbed-curl>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A program that ended. `code` is its exit code, -1 if it did not end in time."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return self.out


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response as curl got it. `status` 0 means none came, and `error` says why; header names are lower case, the last of a name counts."""

    status: int
    headers: Mapping[str, str]
    text: str
    total_ms: float
    remote: str
    error: str = ""

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.text)

    @property
    def cache(self) -> str:
        """CloudFront's result: ``Hit``, ``Miss`` …; empty if no edge answered."""
        return self.headers.get("x-cache", "").partition(" ")[0]


class LabNode:
    """The node called `name` of a running lab."""

    def __init__(self, lab: LabView, name: str) -> None:
        self._lab = lab
        self.name = name

    def __repr__(self) -> str:
        return f"<{self._lab.name}/{self.name}>"

    @property
    def address(self) -> IPv4Address:
        """Its own address. Raises LookupError if it has none."""
        address = address_of(self._lab.plan, self.name)
        if address is None:
            raise LookupError(f"{self.name} has no address of its own")
        return address

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program here, as `subprocess.Popen`."""
        return self._lab.popen(self.name, command, **options)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket in this node's namespace, for this very program; the caller closes it."""
        return self._lab.socket(self.name, family, kind, protocol)

    def run(self, *command: str, given: str = "", timeout_s: float = TIMEOUT_S) -> Done:
        """Run a program to its end. A program that is not installed raises FileNotFoundError."""
        process = self.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(given.encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Done(code=-1, out=out.decode(errors="replace"), err=f"{err.decode(errors='replace')}did not end within {timeout_s:g} s\n")
        return Done(code=process.returncode, out=out.decode(errors="replace"), err=err.decode(errors="replace"))

    def cmd(self, command: str, timeout_s: float = TIMEOUT_S) -> str:
        """What a shell command prints, stdout and stderr together, as Mininet's `cmd` does."""
        return self.run("sh", "-c", f"{{ {command}\n}} 2>&1", timeout_s=timeout_s).out

    def curl(self, url: str, *options: str, timeout_s: float = TIMEOUT_S) -> Response:
        """Send an HTTP request with curl; `options` are curl's (``"-X", "POST", "-d", "…"``)."""
        form = f"%{{stderr}}{CURL_MARKER}%{{json}}{CURL_MARKER}%{{header_json}}"
        done = self.run("curl", "-q", "-s", "-S", "--max-time", f"{timeout_s:g}", "-w", form, *options, url, timeout_s=timeout_s + 5)
        parts = done.err.split(CURL_MARKER)
        if len(parts) != 3:
            return Response(status=0, headers={}, text=done.out, total_ms=0.0, remote="", error=done.err.strip())
        told = json.loads(parts[1])
        headers = {name.lower(): values[-1] for name, values in (json.loads(parts[2]) if parts[2].strip() else {}).items()}
        return Response(status=told["response_code"], headers=headers, text=done.out, total_ms=told["time_total"] * 1000, remote=told.get("remote_ip") or "", error=told.get("errormsg") or "")

    def dig(self, name: str, type: str = "A", *options: str, server: str | None = None) -> tuple[str, ...]:
        """The answers to a DNS query, one string a record (``dig +short``), sorted; empty for none. Names end with a dot."""
        at = () if server is None else (f"@{server}",)
        done = self.run("dig", *at, name, type, "+short", "+time=2", "+tries=2", *options)
        return tuple(sorted(line for line in done.out.splitlines() if line and not line.startswith(";")))

    def tcp(self, destination: str | IPv4Address, port: int, timeout_s: float = 1.0) -> Sent:
        """Try a TCP connection; `.answer` is answered, refused, unreachable or silent (as AWS drops)."""
        return self._probe(destination, Protocol.TCP, port, timeout_s)

    def udp(self, destination: str | IPv4Address, port: int, timeout_s: float = 1.0) -> Sent:
        """Send a UDP datagram and wait for any answer."""
        return self._probe(destination, Protocol.UDP, port, timeout_s)

    def ping(self, destination: str | IPv4Address, timeout_s: float = 1.0) -> Sent:
        """Send one echo request; `.rtt_ms` is None without an answer."""
        return self._probe(destination, Protocol.ICMP, 0, timeout_s)

    def _probe(self, destination: str | IPv4Address, protocol: Protocol, port: int, timeout_s: float) -> Sent:
        return Ready(self._lab, self.name, self.resolved(destination), protocol, port).send(timeout_s)

    def resolved(self, destination: str | IPv4Address) -> IPv4Address:
        """An address as it is, a node's own address, an accelerator's, or a name looked up from here. Raises LookupError."""
        try:
            return IPv4Address(destination)
        except ValueError:
            name = str(destination)
        if any(node.name == name for node in self._lab.plan.nodes):
            return LabNode(self._lab, name).address
        if (served := served_address(self._lab.plan, name)) is not None:
            return served
        answers = [answer for answer in self.dig(name) if not answer.endswith(".")]
        if not answers:
            raise LookupError(f"{name} is neither a node nor a name that {self.name} can resolve")
        return IPv4Address(answers[0])


class Observed:
    """What makes a running lab an experiment: ``lab["client"]`` and ``lab.capture("igw-shop")``. Mixed into a `LabView`."""

    def __getitem__(self: LabView, name: str) -> LabNode:
        """The node called `name`. Raises KeyError."""
        self.plan.node(name)
        return LabNode(self, name)

    def capture(self: LabView, *where: str, filter: str = "") -> Capture:
        """Capture in nodes (``node`` or ``node/interface``), in all of them if none is named, while the context is open; `filter` is tcpdump's. See `capture.Capture`."""
        capture = Capture(self, where or tuple(node.name for node in self.plan.nodes), filter=filter)
        captures_of(self).append(capture)
        return capture


def captures_of(lab: object) -> list[Capture]:
    """Every capture that was begun by `Observed.capture` and not forgotten since, oldest first."""
    captures: list[Capture] = lab.__dict__.setdefault("_captures", [])
    return captures
