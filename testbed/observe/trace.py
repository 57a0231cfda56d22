"""Which rules judged a packet: nftables' own trace, read in any number of nodes at once, each step with the AWS rule that it stands for.

    with Tracer(lab, ("vpc-shop",), "tcp dport 5432") as tracer:
        ...
    tracer.verdicts  # sg-web#egress[0] accept, acl-database#100 accept, sg-db#ingress[0] accept

Tracing is switched on by a table of its own (`inet testbed_trace`, before conntrack and everything else) that holds nothing but the matches and is removed at the end, so
the rules under examination are never touched. A handle is turned into an origin through the comments of ``nft -j -a list ruleset`` run in the node; a handle that is
not known yet (a rule added since) makes it ask again.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import msgspec

from testbed.observe.lab_view import LabView
from testbed.observe.nftrace import NETLINK_NETFILTER, NFNLGRP_NFTRACE, TraceStep, decode, with_headers
from testbed.observe.packets import Header

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SO_RCVBUFFORCE = 33
SIOCGIFNAME = 0x8910
TRACE_TABLE = "testbed_trace"
TRACE_PRIORITY = -450
"""Before defragmentation (-400), so that nothing is decided on an untraced packet."""
NFT_TIMEOUT_S = 10
SETTLE_S = 0.02


class TraceError(Exception):
    """Tracing could not be switched on in a node; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule of a node said about one packet. `origin` is the AWS rule, or ``table chain`` where the rule has none; `verdict` accept, drop, jump and so on."""

    time_ns: int
    node: str
    origin: str
    verdict: str
    chain: str
    packet: int
    header: Header | None
    iif: str = ""
    oif: str = ""

    @property
    def has_aws_origin(self) -> bool:
        """Whether the plan gave it an origin: an AWS rule, or a remark such as ``admitted before``."""
        return not self.origin.startswith("nft ")

    @property
    def words(self) -> str:
        """Rule and verdict as a person says it: ``acl-database#100 accept``; a remark stands alone."""
        if "#" not in self.origin:
            return self.origin
        return f"{self.origin} {'drop' if self.verdict == 'drop' else 'accept'}"


@dataclass(frozen=True, slots=True)
class RuleKey:
    """A rule's place in a namespace."""

    family: str
    table: str
    chain: str
    handle: int


class _Rule(msgspec.Struct):
    family: str
    table: str
    chain: str
    handle: int
    comment: str = ""


class _Entry(msgspec.Struct):
    rule: _Rule | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Entry]


def origins_in(listing: bytes) -> dict[RuleKey, str]:
    """Comments of all rules in the output of ``nft -j -a list ruleset``."""

    rules = (entry.rule for entry in msgspec.json.decode(listing, type=_Listing).nftables if entry.rule is not None)
    return {RuleKey(rule.family, rule.table, rule.chain, rule.handle): rule.comment for rule in rules}


def verdicts_of(steps: Iterable[TraceStep], origins: dict[str, dict[RuleKey, str]], interfaces: dict[tuple[str, int], str]) -> tuple[Verdict, ...]:
    """The steps in order as verdicts, those of the tracing table left out. `origins` by node; `interfaces` by node and index."""
    return tuple(
        Verdict(
            time_ns=step.time_ns, node=step.node, verdict=step.verdict, chain=f"{step.family} {step.table} {step.chain}", packet=step.id, header=step.header,
            origin=_origin(step, origins.get(step.node, {})), iif=interfaces.get((step.node, step.iif), ""), oif=interfaces.get((step.node, step.oif), ""),
        )
        for step in with_headers(steps)
        if step.table != TRACE_TABLE
    )


def _origin(step: TraceStep, origins: dict[RuleKey, str]) -> str:
    if step.type == "policy":
        return f"nft policy of {step.chain}"
    return origins.get(RuleKey(step.family, step.table, step.chain, step.handle)) or f"nft {step.table} {step.chain} #{step.handle}"


class Tracer:
    """Traces packets that satisfy one of `matches` (nft expressions; all packets if there is none) in `nodes` while the context is open. Raises `TraceError`."""

    def __init__(self, lab: LabView, nodes: Sequence[str], *matches: str) -> None:
        self._lab = lab
        self._nodes = tuple(nodes)
        self._matches = matches or ("",)
        self._steps: list[TraceStep] = []
        self._origins: dict[str, dict[RuleKey, str]] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._selector = selectors.EpollSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._read_until_stopped, name="trace", daemon=True)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self.lost = 0

    def __enter__(self) -> Tracer:
        started: list[str] = []
        try:
            for node in self._nodes:
                self._listen(node)
            self._thread.start()
            for node in self._nodes:
                started.append(node)
                self._nft(node, "-f", "-", given=_tracing_table(self._matches))
                self._origins[node] = origins_in(self._nft(node, "-j", "-a", "list", "ruleset"))
        except BaseException:
            self._end(started)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        time.sleep(SETTLE_S)
        self._end(self._nodes)

    @property
    def steps(self) -> tuple[TraceStep, ...]:
        """Every message so far, by time of arrival."""
        return tuple(self._steps)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every verdict so far, by time, with origins and interface names."""
        return verdicts_of(self.steps, self._origins, self._names)

    def _listen(self, node: str) -> None:
        sock = self._lab.socket(node, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._sockets[node] = sock
        sock.setblocking(False)
        sock.bind((0, 0))
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 * 1024 * 1024)
        except PermissionError:  # a lab without root
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTRACE)
        self._selector.register(sock, selectors.EVENT_READ, node)

    def _end(self, started: Sequence[str]) -> None:
        if self._thread.is_alive():
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        for node, sock in self._sockets.items():
            self._name_interfaces(node, sock)
        unknown = {step.node for step in self._steps if step.type == "rule" and step.table != TRACE_TABLE and _key(step) not in self._origins.get(step.node, {})}
        for node in sorted(unknown):
            self._origins[node] = self._origins.get(node, {}) | origins_in(self._nft(node, "-j", "-a", "list", "ruleset"))
        for node in started:
            self._nft(node, "-f", "-", given=f"table inet {TRACE_TABLE}\ndelete table inet {TRACE_TABLE}\n")
        for sock in self._sockets.values():
            sock.close()
        self._selector.close()
        os.close(self._wake)

    def _name_interfaces(self, node: str, sock: socket.socket) -> None:
        import fcntl

        for index in {index for step in self._steps if step.node == node for index in (step.iif, step.oif) if index}:
            try:
                answer = fcntl.ioctl(sock, SIOCGIFNAME, struct.pack("16si20x", b"", index))
            except OSError:  # gone since
                continue
            self._names[node, index] = answer[:16].rstrip(b"\0").decode()

    def _read_until_stopped(self) -> None:
        stopping = False
        while True:
            ready = self._selector.select(0 if stopping else None)
            readable = [key for key, _ in ready if key.data is not None]
            stopping = stopping or len(readable) < len(ready)
            if stopping and not readable:
                return
            for key in readable:
                self._take(key.fileobj, key.data)

    def _take(self, sock: Any, node: str) -> None:
        while True:
            try:
                datagram = sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: the kernel lost messages; said in `lost`
                self.lost += 1
                continue
            self._steps += decode(datagram, node, time.time_ns())

    def _nft(self, node: str, *arguments: str, given: str = "") -> bytes:
        process = self._lab.popen(node, ("nft", *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(given.encode(), timeout=NFT_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise TraceError(f"nft in {node} did not end within {NFT_TIMEOUT_S} s") from error
        if process.returncode != 0:
            raise TraceError(f"nft {' '.join(arguments)} in {node}: {err.decode().strip()}")
        return out


def _key(step: TraceStep) -> RuleKey:
    return RuleKey(step.family, step.table, step.chain, step.handle)


def _tracing_table(matches: Sequence[str]) -> str:
    rules = "".join(f"    {match} meta nftrace set 1\n" for match in matches)
    chains = "".join(f"  chain {hook} {{\n    type filter hook {hook} priority {TRACE_PRIORITY}; policy accept;\n{rules}  }}\n" for hook in ("prerouting", "output"))
    return f"table inet {TRACE_TABLE}\ndelete table inet {TRACE_TABLE}\ntable inet {TRACE_TABLE} {{\n{chains}}}\n"
