"""Send one real HTTP request from a node, and watch everything that it sets off.

curl sends it, unchanged and with the node's own resolver and trust; captures run at the ends of every layer, nftables traces in the fabrics, and
the daemons' logs are read from where they stood. `waterfall.assemble` joins it all.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence

import msgspec

from testbed.observe.capture import Capture
from testbed.observe.journal import Entry, Journal
from testbed.observe.lab_view import LabView
from testbed.observe.packets import TCP_ACK, TCP_SYN, Frame, header_of
from testbed.observe.trace import Tracer, Verdict
from testbed.observe.waterfall import Timings, Waterfall, assemble, find, is_complete
from testbed.plan import NodeKind

CAPTURED = frozenset((NodeKind.RESOLVER, NodeKind.EDGE_LOCATION, NodeKind.INTERNET_GATEWAY, NodeKind.LOAD_BALANCER, NodeKind.INSTANCE, NodeKind.DATABASE))
TRACED = "tcp flags & (syn | psh) != 0"
"""Packets that begin a connection or carry something: what a person asks about, without the bare acknowledgements."""
REQUEST_TIMEOUT_S = 30
LOGS_TIMEOUT_S = 2.0
POLL_S = 0.01
MARKER = b"\n<testbed-curl>"
SHOWN_BODY_BYTES = 65536


class RequestError(Exception):
    """No request could be sent at all; the message says why."""


class _Curl(msgspec.Struct):
    """The part of curl's ``%{json}`` that is used; seconds."""

    time_namelookup: float = 0.0
    time_connect: float = 0.0
    time_appconnect: float = 0.0
    time_starttransfer: float = 0.0
    time_total: float = 0.0
    local_ip: str | None = None
    local_port: int | None = None
    remote_ip: str | None = None
    remote_port: int | None = None
    response_code: int = 0
    errormsg: str | None = None


def request(lab: LabView, url: str, node: str, *, method: str = "GET", body: str | None = None, headers: Sequence[str] = ()) -> Waterfall:
    """Send `method` to `url` from `node` and return the waterfall; a failed request has status 0 and an error. `headers` as ``Name: value``.

    Raises `RequestError` if curl cannot run.
    """
    kinds = {each.name: each.kind for each in lab.plan.nodes}
    captured = tuple(sorted({node, *(name for name, kind in kinds.items() if kind in CAPTURED)}))
    fabrics = tuple(sorted(name for name, kind in kinds.items() if kind is NodeKind.FABRIC))
    journal = Journal(lab.log_directory)
    with contextlib.ExitStack() as watching:
        capture = watching.enter_context(Capture(lab, captured, filter="ip"))
        tracer = watching.enter_context(Tracer(lab, fabrics, TRACED))
        began_s = time.time()
        content, timings_text, headers_text = _curl(lab, node, _arguments(url, method, body, headers))
        timings = read_timings(timings_text, headers_text, began_s)
        entries = _read_logs(journal, timings)
    timings = read_timings(timings_text, headers_text, _start(capture.frames, node, timings) or began_s)
    verdicts: tuple[Verdict, ...] = tracer.verdicts
    return assemble(
        url=url, method=method, node=node, plan=lab.plan, timings=timings, entries=entries, frames=capture.frames, verdicts=verdicts, body=content[:SHOWN_BODY_BYTES].decode(errors="replace")
    )


def read_timings(timings: bytes, headers: bytes, started_s: float) -> Timings:
    """What curl wrote by ``%{json}`` and ``%{header_json}``. Raises `RequestError` if it is not that."""
    try:
        told = msgspec.json.decode(timings, type=_Curl)
        named = msgspec.json.decode(headers, type=dict[str, list[str]]) if headers.strip() else {}
    except msgspec.DecodeError as error:
        raise RequestError(f"curl's timings are unreadable: {error} (remedy: curl 7.83 or later)") from error
    return Timings(
        started_s=started_s, name_lookup_ms=told.time_namelookup * 1000, connect_ms=told.time_connect * 1000, tls_ms=told.time_appconnect * 1000,
        first_byte_ms=told.time_starttransfer * 1000, total_ms=told.time_total * 1000, status=told.response_code, error=told.errormsg or "",
        local=f"{told.local_ip}:{told.local_port}" if told.local_ip else "", remote=f"{told.remote_ip}:{told.remote_port}" if told.remote_ip else "",
        headers=tuple((name.lower(), value) for name, values in sorted(named.items()) for value in values),
    )


def _arguments(url: str, method: str, body: str | None, headers: Sequence[str]) -> tuple[str, ...]:
    data = () if body is None else ("--data-binary", body)
    verb = ("--head",) if method == "HEAD" else ("--request", method)
    return (
        "curl", "--disable", "--silent", "--show-error", "--globoff", "--max-time", str(REQUEST_TIMEOUT_S), *verb, *data, *(part for header in headers for part in ("--header", header)),
        "--write-out", f"%{{stderr}}{MARKER.decode()}%{{json}}{MARKER.decode()}%{{header_json}}", "--url", url,
    )


def _curl(lab: LabView, node: str, arguments: Sequence[str]) -> tuple[bytes, bytes, bytes]:
    try:
        process = lab.popen(node, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise RequestError("curl is not installed (remedy: apt install curl)") from error
    content, told = process.communicate(timeout=REQUEST_TIMEOUT_S + 10)
    parts = told.split(MARKER)
    if len(parts) != 3:
        raise RequestError(f"curl: {told.decode(errors='replace').strip() or f'ended with {process.returncode}'}")
    return content, parts[1], parts[2]


def _read_logs(journal: Journal, timings: Timings) -> tuple[Entry, ...]:
    """Entries since the request began, once every layer has told of it, or after a while what there is."""
    deadline = time.monotonic() + LOGS_TIMEOUT_S
    while True:
        entries = journal.read()
        if is_complete(timings, find(timings, entries)) or time.monotonic() > deadline:
            time.sleep(2 * POLL_S)  # name servers' lines have no part in completeness
            return journal.read()
        time.sleep(POLL_S)


def _start(frames: Sequence[Frame], node: str, timings: Timings) -> float | None:
    """When curl began, by the kernel's clock: its SYN leaves as soon as the name is known."""
    for frame in frames:
        header = header_of(frame) if frame.node == node else None
        if header is not None and header.sender == timings.local and header.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN:
            return frame.time_ns / 1e9 - timings.name_lookup_ms / 1000
    return None
