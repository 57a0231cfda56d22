"""A resolver's queries: what is known is answered at once, the rest by `Recursion`, whose questions are carried here.

Queries for the same question that come while it is being resolved wait for the same resolution. What needs no resolution is
encoded once per tenth of a second and given again within it (so a TTL may be shown a tenth of a second too high): a client that sends thousands of packets
meets its packet limit, not ours. Time given to the cache runs as the
lab's `time_scale` says; the waits for servers are real.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from services.common.config import Listen, Transport
from services.common.events import DNS_QUERY, DNS_UPSTREAM
from services.common.runtime import Runtime
from services.dns import config
from services.dns.cache import Cache
from services.dns.forwarding import Rules
from services.dns.limit import PacketLimit
from services.dns.location import LocationTable
from services.dns.message import CLASS_IN, Answer, Name, Query, Question, Rcode, Type, format_name, parse_name, type_name
from services.dns.outbound import OutboundSocket
from services.dns.recursion import SUBNET_LENGTH, Ask, Recursion, Reply, Resolution, Resolved, classify
from services.dns.server_authority import query_fields
from services.dns.upstream import Upstream
from services.dns.wire import TCP_BYTES, Rejected, decode_query, encode_answer, udp_limit
from services.dns.zone import Authority, Zone

log = logging.getLogger(__name__)

RESOLUTION_TIMEOUT_S = 12.0
PRIVATE_ZONE_SOA = "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
"""What a private hosted zone shows (Route 53 developer guide, "NS and SOA records that Amazon Route 53 creates": documented)."""
_NOWHERE = IPv4Address("0.0.0.0")
Outbound = Callable[[Listen], OutboundSocket]
"""The socket of an outbound endpoint's address."""
_Key = tuple[Name, int, IPv4Network | None]
_RecentKey = tuple[bytes, str, Transport]
_ID_BYTES = 2
_MOMENTS_PER_S = 10


class LocalZones:
    """The zones that only exist in a network: the longest name decides, without falling back to a shorter one."""

    def __init__(self, zones: tuple[config.LocalZone, ...]) -> None:
        made = [Zone(config.Zone(name=zone.name, soa=PRIVATE_ZONE_SOA, records=zone.records)) for zone in zones]
        self.apexes = tuple(zone.apex for zone in made)
        self._captures = {parse_name(zone.name): zone.captures for zone in zones}
        self._authority = Authority(made, LocationTable(()))

    def answer(self, question: Question) -> Answer | None:
        """Their answer, None to ask the world: no zone holds the name, or the zone lacks it and does not capture."""
        zone = self._authority.zone_of(question.name)
        if zone is None:
            return None
        node, _ = zone.find(question.name)
        if not self._captures[zone.apex] and (not node or (question.name == zone.apex and set(node) == {Type.SOA})):
            return None
        return self._authority.answer(question, _NOWHERE)


class ResolverService:
    """One resolver, on the wire."""

    def __init__(self, source: config.Resolver, runtime: Runtime, group: asyncio.TaskGroup, edge_location: str | None, outbound: Outbound) -> None:
        self.source, self._outbound = source, outbound
        self._runtime, self._group, self._edge_location = runtime, group, edge_location
        self._limit = PacketLimit(source.packets_per_second)
        self._recursion = _recursion(source, None)
        self._upstream = Upstream(port=source.upstream_port, source=source.source)
        self._under_way: dict[_Key, asyncio.Task[Resolved]] = {}
        self._recent = _Recent()

    def renew(self, source: config.Resolver, edge_location: str | None) -> None:
        """Take a new configuration. What was learnt is kept, unless it was learnt from another root."""
        old = self.source
        same_world = (source.root_hints, source.rules, source.client_subnet, source.upstream_port) == (old.root_hints, old.rules, old.client_subnet, old.upstream_port)
        self._recursion = _recursion(source, self._recursion.cache if same_world else None)
        if source.packets_per_second != self.source.packets_per_second:
            self._limit = PacketLimit(source.packets_per_second)
        self._upstream = Upstream(port=source.upstream_port, source=source.source)
        self._recent = _Recent()
        self._under_way = {}  # what is under way ends for those who wait; new queries see the new zones
        self.source, self._edge_location = source, edge_location

    def datagram(self, data: bytes, peer: tuple[str, int], send: Callable[[bytes], None]) -> None:
        """Answer one datagram: at once if it can be, else by a task."""
        begun = self._begin(data, peer, Transport.UDP)
        if begun is None:
            return
        if isinstance(begun, bytes):
            send(begun)
        else:
            self._group.create_task(self._finish_later(begun, send))

    async def message(self, data: bytes, peer: tuple[str, int]) -> bytes | None:
        """The reply to a message that came over TCP, None for silence."""
        begun = self._begin(data, peer, Transport.TCP)
        return await self._finish(begun) if isinstance(begun, _Waiting) else begun

    def _begin(self, data: bytes, peer: tuple[str, int], transport: Transport) -> bytes | _Waiting | None:
        arrived = time.perf_counter()
        if not self._limit.admits(peer[0], arrived):
            return None
        now = self._now()
        recent_key = (data[_ID_BYTES:], peer[0] if self.source.client_subnet else "", transport)
        recent = self._recent.find(recent_key, now)
        if recent is not None:
            wire, fields = recent
            self._tell(fields, peer, transport, arrived)
            return data[:_ID_BYTES] + wire
        query = decode_query(data)
        if isinstance(query, Rejected):
            return query.reply
        client, subnet = self._client(query, peer)
        arrival = _Arrival(query=query, peer=peer, transport=transport, arrived=arrived)
        question = query.question
        if question.class_ != CLASS_IN or question.type in (Type.AXFR, Type.IXFR):
            return self._encode(arrival, Resolved(rcode=Rcode.REFUSED, policy="refused"))
        if not query.recursion_desired:
            return self._encode(arrival, self._recursion.known(question, client, now))
        key = (question.name, question.type, subnet)
        task = self._under_way.get(key)
        if task is None:
            resolution = self._recursion.resolve(question, client, now)
            try:
                first = next(resolution)
            except StopIteration as done:
                return self._encode(arrival, done.value, recent_key, now)
            task = self._under_way[key] = self._group.create_task(self._drive(key, resolution, first))
        return _Waiting(arrival=arrival, task=task)

    def _client(self, query: Query, peer: tuple[str, int]) -> tuple[IPv4Address, IPv4Network | None]:
        """Whom the question is for, and the network that upstream will hear of."""
        client = IPv4Address(peer[0])
        if not self.source.client_subnet:
            return client, None
        told = query.subnet.network if query.subnet is not None else None
        if told is not None:
            client = told.network_address
        return client, IPv4Network((client, SUBNET_LENGTH), strict=False)

    async def _drive(self, key: _Key, resolution: Resolution, ask: Ask) -> Resolved:
        """Carry a resolution's questions until it ends."""
        try:
            async with asyncio.timeout(RESOLUTION_TIMEOUT_S):
                while True:
                    reply = await self._carry(ask)
                    try:
                        ask = resolution.send(reply)
                    except StopIteration as done:
                        return done.value  # type: ignore[no-any-return]
        except TimeoutError:
            return Resolved(rcode=Rcode.SERVFAIL)
        except Exception:  # the edge of the daemon: one question that we cannot cope with must not end all others
            log.exception("%s %s", format_name(key[0]), type_name(key[1]))
            return Resolved(rcode=Rcode.SERVFAIL)
        finally:
            resolution.close()
            if self._under_way.get(key) is asyncio.current_task():
                del self._under_way[key]

    async def _carry(self, ask: Ask) -> Reply:
        started = time.perf_counter()
        if ask.rule is not None and ask.rule.via:
            response, transport = await self._outbound(ask.rule.via[ask.question.type % len(ask.rule.via)]).ask(ask, ask.rule.target_port), "udp"
        else:
            response, transport = await self._upstream.ask(ask)
        duration_s = time.perf_counter() - started
        self._runtime.events.emit(
            DNS_UPSTREAM,
            name=format_name(ask.question.name),
            type=type_name(ask.question.type),
            server=str(ask.server),
            zone=format_name(ask.zone),
            outcome=str(classify(response, ask.zone, ask.question)),
            transport=transport,
            duration_ms=round(duration_s * 1000, 3),
        )
        return Reply(response=response, now=self._now(), duration_s=duration_s)

    async def _finish_later(self, waiting: _Waiting, send: Callable[[bytes], None]) -> None:
        send(await self._finish(waiting))

    async def _finish(self, waiting: _Waiting) -> bytes:
        return self._encode(waiting.arrival, await asyncio.shield(waiting.task))  # others may wait for the same

    def _encode(self, arrival: _Arrival, resolved: Resolved, recent_key: _RecentKey | None = None, now: float = 0.0) -> bytes:
        """The reply on the wire; told to the log, and kept for the same question in a moment if it has a `recent_key`."""
        query, answer = arrival.query, resolved.answer()
        limit = udp_limit(query) if arrival.transport is Transport.UDP else TCP_BYTES
        wire = encode_answer(query, answer, limit, recursion_available=True)
        fields = query_fields(query, answer, resolved.source, self._edge_location)
        if recent_key is not None:
            self._recent.keep(recent_key, (wire[_ID_BYTES:], fields), now)
        self._tell(fields, arrival.peer, arrival.transport, arrival.arrived)
        return wire

    def _tell(self, fields: dict[str, Any], peer: tuple[str, int], transport: Transport, arrived: float) -> None:
        duration_ms = round((time.perf_counter() - arrived) * 1000, 3)
        self._runtime.events.emit(DNS_QUERY, **fields, peer=f"{peer[0]}:{peer[1]}", transport=transport.value, duration_ms=duration_ms)

    def _now(self) -> float:
        """Seconds as the lab counts them."""
        return time.monotonic() * self._runtime.time_scale


def _recursion(source: config.Resolver, cache: Cache | None) -> Recursion:
    local = LocalZones(source.local_zones)
    return Recursion(source.root_hints, local.answer, forwards=Rules(source.rules, local.apexes).forwards, client_subnet=source.client_subnet, cache=cache)


class _Recent:
    """Answers of the current tenth of a second, by the question's bytes and whom they hold for."""

    def __init__(self) -> None:
        self._moment = -1
        self._answers: dict[_RecentKey, tuple[bytes, dict[str, Any]]] = {}

    def find(self, key: _RecentKey, now: float) -> tuple[bytes, dict[str, Any]] | None:
        """The answer's bytes without the id, and its fields for the log."""
        moment = int(now * _MOMENTS_PER_S)
        if moment != self._moment:
            self._moment = moment
            self._answers.clear()
        return self._answers.get(key)

    def keep(self, key: _RecentKey, answer: tuple[bytes, dict[str, Any]], now: float) -> None:
        if int(now * _MOMENTS_PER_S) == self._moment:
            self._answers[key] = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    """A query, whose it is and when it came (`perf_counter`)."""

    query: Query
    peer: tuple[str, int]
    transport: Transport
    arrived: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A query that waits for a resolution."""

    arrival: _Arrival
    task: asyncio.Task[Resolved]
