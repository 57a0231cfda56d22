"""A stub resolver for daemons: a host name to its IPv4 addresses, over DNS, without `/etc/resolv.conf` and without threads.

Decides which server is asked next, which of an answer's records count, and how long they are believed. It does not recurse: the servers do.

    lookup ── in the cache ──────────────────────────────────► Answer (from_cache)
           ├─ somebody is asking already ── wait with them ──► their Answer
           └─ ask: UDP ── TC ── the same over TCP ───────────► Answer | LookupFailed

Servers are tried in their order, `attempts` rounds of them, each for `timeout_s`; a server that says SERVFAIL or REFUSED is passed over at once,
and a round in which every server said so ends the lookup (resolv.conf(5): documented for glibc, the rounds; assumed: not repeating a refusal).
TTLs are kept as RFC 2181 section 5.2 and RFC 1034 have them: the smallest of the chain; failures are not cached, as glibc does not.
The addresses of an answer are rotated by one with every lookup, so that a caller who takes the first spreads over all.
NOT MODELLED: IPv6, search lists, negative caching (RFC 2308), EDNS fallback for servers that answer FORMERR.
"""

from __future__ import annotations

import asyncio
import enum
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSHeader, DNSQuestion, DNSRecord

UDP_PAYLOAD_BYTES = 1232
"""What we say we take over UDP: DNS flag day 2020's figure, below every common MTU."""
LONGEST_CHAIN = 16


class Reason(enum.StrEnum):
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    TIMEOUT = "timeout"
    SERVFAIL = "servfail"


class LookupFailed(Exception):
    """`name` has no address that we could learn, and why."""

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The addresses of a name, never empty; `ttl_s` is what is left of the TTL, `duration_ms` what this caller waited."""

    addresses: tuple[IPv4Address, ...]
    ttl_s: float
    duration_ms: float
    from_cache: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    addresses: tuple[IPv4Address, ...]
    ttl_s: float
    expires_at: float


class StubResolver:
    """Asks `servers` and remembers. One per daemon, used from one event loop; `clock` (seconds) rules the cache only."""

    def __init__(
        self, servers: tuple[IPv4Address, ...], *, timeout_s: float = 2.0, attempts: int = 3, port: int = 53, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._port = port
        self._clock = clock
        self._cache: dict[str, _Records] = {}
        self._in_flight: dict[str, asyncio.Future[_Records | LookupFailed | None]] = {}
        self._turns: dict[str, int] = {}

    async def lookup(self, name: str) -> Answer:
        """The addresses of `name`; an address in dotted form is its own answer. Raises `LookupFailed`."""
        started = time.perf_counter()
        name = name.rstrip(".").lower()
        literal = _literal(name)
        if literal is not None:
            return Answer(addresses=(literal,), ttl_s=0.0, duration_ms=0.0, from_cache=True)
        cached = self._cache.get(name)
        if cached is not None and cached.expires_at > self._clock():
            return self._answer(name, cached, started, from_cache=True)
        self._cache.pop(name, None)
        return self._answer(name, await self._shared(name), started, from_cache=False)

    def _answer(self, name: str, records: _Records, started: float, *, from_cache: bool) -> Answer:
        turn = self._turns[name] = (self._turns.get(name, -1) + 1) % len(records.addresses)
        return Answer(
            addresses=records.addresses[turn:] + records.addresses[:turn],
            ttl_s=max(0.0, records.expires_at - self._clock()) if from_cache else records.ttl_s,
            duration_ms=(time.perf_counter() - started) * 1000,
            from_cache=from_cache,
        )

    async def _shared(self, name: str) -> _Records:
        """What the one who asks learns, given to all who wait for the same name; when that one is cancelled, another asks."""
        while (pending := self._in_flight.get(name)) is not None:
            outcome = await asyncio.shield(pending)
            if isinstance(outcome, LookupFailed):
                raise LookupFailed(name, outcome.reason)
            if outcome is not None:
                return outcome
        mine = self._in_flight[name] = asyncio.get_running_loop().create_future()
        learnt: _Records | LookupFailed | None = None
        try:
            learnt = await self._ask_servers(name)
            if learnt.ttl_s > 0:
                self._cache[name] = learnt
            return learnt
        except LookupFailed as failure:
            learnt = failure
            raise
        finally:
            del self._in_flight[name]
            mine.set_result(learnt)

    async def _ask_servers(self, name: str) -> _Records:
        for _ in range(self._attempts):
            refusals = 0
            for server in self._servers:
                try:
                    async with asyncio.timeout(self._timeout_s):
                        reply = await self._exchange(server, name)
                except (TimeoutError, OSError):  # silence, or an ICMP error: the next one may answer
                    continue
                if reply.header.rcode == RCODE.NXDOMAIN:
                    raise LookupFailed(name, Reason.NXDOMAIN)
                if reply.header.rcode == RCODE.NOERROR:
                    return self._records(name, reply)
                refusals += 1
            if refusals == len(self._servers):
                raise LookupFailed(name, Reason.SERVFAIL)
        raise LookupFailed(name, Reason.TIMEOUT)

    async def _exchange(self, server: IPv4Address, name: str) -> DNSRecord:
        question = DNSRecord(DNSHeader(id=random.getrandbits(16), rd=1), q=DNSQuestion(name, QTYPE.A))
        question.add_ar(EDNS0(udp_len=UDP_PAYLOAD_BYTES))
        reply = await _over_udp(server, self._port, question)
        return await _over_tcp(server, self._port, question) if reply.header.tc else reply

    def _records(self, name: str, reply: DNSRecord) -> _Records:
        """The addresses at the end of the chain of CNAMEs that begins at `name`, within this one reply."""
        owner, ttl_s = name, float("inf")
        for _ in range(LONGEST_CHAIN):
            here = [record for record in reply.rr if _text(record.rname) == owner]
            addresses = [record for record in here if record.rtype == QTYPE.A]
            if addresses:
                ttl_s = min(ttl_s, *(record.ttl for record in addresses))
                return _Records(addresses=tuple(IPv4Address(str(record.rdata)) for record in addresses), ttl_s=ttl_s, expires_at=self._clock() + ttl_s)
            alias = next((record for record in here if record.rtype == QTYPE.CNAME), None)
            if alias is None:
                break
            owner, ttl_s = _text(alias.rdata.label), min(ttl_s, alias.ttl)
        raise LookupFailed(name, Reason.NODATA)


class _Reply(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers `question`; others (late, forged, broken) are ignored."""

    def __init__(self, question: DNSRecord) -> None:
        self._question = question
        self.answer: asyncio.Future[DNSRecord] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            reply = DNSRecord.parse(data)
        except DNSError:
            return
        if not self.answer.done() and _answers(reply, self._question):
            self.answer.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(server: IPv4Address, port: int, question: DNSRecord) -> DNSRecord:
    """One question from a port of its own (RFC 5452). Raises OSError for an ICMP error."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Reply(question), remote_addr=(str(server), port))
    try:
        transport.sendto(question.pack())
        return await protocol.answer
    finally:
        transport.close()


async def _over_tcp(server: IPv4Address, port: int, question: DNSRecord) -> DNSRecord:
    """The same question as a length-prefixed message (RFC 7766). Raises OSError for a broken connection or a reply that is none."""
    reader, writer = await asyncio.open_connection(str(server), port)
    try:
        message = question.pack()
        writer.write(len(message).to_bytes(2, "big") + message)
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        reply = DNSRecord.parse(data)
    except (asyncio.IncompleteReadError, DNSError) as error:
        raise ConnectionError(f"{server} gave no DNS reply over TCP") from error
    finally:
        writer.close()
    if not _answers(reply, question):
        raise ConnectionError(f"{server} answered another question over TCP")
    return reply


def _answers(reply: DNSRecord, question: DNSRecord) -> bool:
    """Whether `reply` is to `question`. A truncated one may have dropped even the question: it only makes us ask again over TCP."""
    if not reply.header.qr or reply.header.id != question.header.id:
        return False
    if not reply.questions:
        return bool(reply.header.tc)
    return _text(reply.q.qname) == _text(question.q.qname) and bool(reply.q.qtype == question.q.qtype)


def _text(label: object) -> str:
    return str(label).rstrip(".").lower()


def _literal(name: str) -> IPv4Address | None:
    try:
        return IPv4Address(name)
    except AddressValueError:
        return None
