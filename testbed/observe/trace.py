"""Which rules judged a packet: nftables' own trace, read in any number of nodes at once, each step with the AWS rule that it stands for.

    with Tracer(lab, ("vpc-shop",), "tcp dport 5432") as tracer:
        ...
    tracer.verdicts  # sg-web#egress[0] accept, acl-database#100 accept, sg-db#ingress[0] accept

Tracing is switched on by a table of its own (`inet testbed_trace`, before conntrack and everything else) that holds nothing but the matches and is removed at the end, so
the rules under examination are never touched. A handle is turned into an origin through the rule's comment, asked for at the end, and only in the chains that spoke.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from testbed.observe import nfnetlink
from testbed.observe.lab_view import LabView
from testbed.observe.nftrace import NETLINK_NETFILTER, NFNLGRP_NFTRACE, TraceStep, decode, with_headers
from testbed.observe.packets import Header

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP = 270, 1, 2
SO_RCVBUFFORCE = 33
SIOCGIFNAME = 0x8910
TRACE_TABLE = "testbed_trace"
COUNTING_TABLES = frozenset(("cloudwatch",))
"""They only count, for `nat_metrics`: nothing that a packet's story needs."""
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
    mark: int = 0
    entered: Header | None = None
    """The packet as it entered the node, before any translation."""

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


def verdicts_of(steps: Iterable[TraceStep], origins: dict[str, dict[RuleKey, str]], interfaces: dict[tuple[str, int], str]) -> tuple[Verdict, ...]:
    """The steps in order as verdicts, those of the tracing table left out. `origins` by node; `interfaces` by node and index."""
    entered: dict[tuple[str, int], Header | None] = {}
    found = []
    for step in with_headers(steps):
        if step.table == TRACE_TABLE:
            entered[step.node, step.id] = step.header
            continue
        if step.table in COUNTING_TABLES:
            continue
        found.append(Verdict(
            time_ns=step.time_ns, node=step.node, verdict=step.verdict, chain=f"{step.family} {step.table} {step.chain}", packet=step.id, header=step.header,
            origin=_origin(step, origins.get(step.node, {})), iif=interfaces.get((step.node, step.iif), ""), oif=interfaces.get((step.node, step.oif), ""), mark=step.mark,
            entered=entered.get((step.node, step.id), step.header),
        ))
    return tuple(found)


def _origin(step: TraceStep, origins: dict[RuleKey, str]) -> str:
    if step.type == "policy":
        return f"nft policy of {step.chain}"
    return origins.get(RuleKey(step.family, step.table, step.chain, step.handle)) or f"nft {step.table} {step.chain} #{step.handle}"


class Tracer:
    """Traces packets that satisfy one of `matches` (nft expressions; all packets if there is none) in `nodes` while the context is open. Raises `TraceError`.

    `dropped` is set once a packet for which `ends` holds has been dropped: nobody need wait for it any longer.
    """

    def __init__(self, lab: LabView, nodes: Sequence[str], *matches: str, ends: Callable[[Header], bool] = lambda _: False) -> None:
        self._lab = lab
        self._ends = ends
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
        self._headers: dict[tuple[str, int], Header] = {}
        self.dropped = threading.Event()
        self.lost = 0

    def __enter__(self) -> Tracer:
        try:
            for node in self._nodes:
                self._listen(node)
            self._thread.start()
            self._nft_everywhere(_tracing_table(self._matches))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        time.sleep(SETTLE_S)
        self._end()

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

    def _end(self) -> None:
        if self._thread.is_alive():
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        try:
            for node, sock in self._sockets.items():
                sock.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, NFNLGRP_NFTRACE)
                nfnetlink.delete_table(sock, "inet", TRACE_TABLE)
                self._name_interfaces(node, sock)
                self._name_rules(node, sock)
        finally:
            for sock in self._sockets.values():
                sock.close()
            self._selector.close()
            os.close(self._wake)

    def _name_rules(self, node: str, sock: socket.socket) -> None:
        """Ask for the comments of the rules that spoke, chain by chain: a whole ruleset may be large."""
        chains = sorted({(step.family, step.table, step.chain) for step in self._steps if step.node == node and step.type == "rule" and step.table != TRACE_TABLE})
        known = self._origins.setdefault(node, {})
        for family, table, chain in chains:
            known |= {RuleKey(family, table, chain, handle): comment for handle, comment in nfnetlink.comments(sock, family, table, chain).items()}

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
            for step in decode(datagram, node, time.time_ns()):
                self._steps.append(step)
                if step.header is not None:
                    self._headers[node, step.id] = step.header
                if step.verdict == "drop" and (header := self._headers.get((node, step.id))) is not None and self._ends(header):
                    self.dropped.set()

    def _nft_everywhere(self, text: str) -> None:
        """Give `text` to nft in all nodes at once."""
        given = text.encode()
        processes = {node: self._lab.popen(node, ("nft", "-f", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for node in self._nodes}
        failures = []
        for node, process in processes.items():
            try:
                _, words = process.communicate(given, timeout=NFT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                words = f"did not end within {NFT_TIMEOUT_S} s".encode()
            if process.returncode != 0:
                failures.append(f"{node}: {words.decode().strip()}")
        if failures:
            raise TraceError(f"nft cannot trace in {'; '.join(failures)}")


def _tracing_table(matches: Sequence[str]) -> str:
    rules = "".join(f"    {match} meta nftrace set 1\n" for match in matches)
    chains = "".join(f"  chain {hook} {{\n    type filter hook {hook} priority {TRACE_PRIORITY}; policy accept;\n{rules}  }}\n" for hook in ("prerouting", "output"))
    return f"table inet {TRACE_TABLE}\ndelete table inet {TRACE_TABLE}\ntable inet {TRACE_TABLE} {{\n{chains}}}\n"
