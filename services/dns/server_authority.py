"""Authoritative answers as bytes, from memory where the same question has come before.

    datagram ─► same bytes (but the id) from a client of the same place? ─► the answer kept, with the new id
            └─► decode ─► zones ─► encode ─► kept

An authoritative answer depends on nothing but the question's bytes, the zones, and where the client is; so whole answers are kept and only the id is
written anew. The orders of several values are kept side by side and given in turn. New zones mean a new `AuthorityService`, hence an empty memory.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from time import perf_counter
from typing import Any

from services.common.config import Transport
from services.common.events import DNS_QUERY, EventLog
from services.dns.location import LocationTable
from services.dns.message import Answer, Query, Rcode, format_name, type_name
from services.dns.wire import TCP_BYTES, Rejected, decode_query, encode_answer, udp_limit
from services.dns.zone import Authority

MOST_KEPT = 20_000
_ID_BYTES = 2
_Order = tuple[bytes, dict[str, Any]]


class _Kept:
    """The orders of one answer, without their ids, each with its fields for the log; made when their turn comes first."""

    __slots__ = ("_make", "_orders", "_turn")

    def __init__(self, rotations: int, make: Callable[[int], _Order]) -> None:
        self._make = make
        self._orders: list[_Order | None] = [None] * rotations
        self._turn = -1

    def next(self) -> _Order:
        """The order whose turn it is."""
        orders = self._orders
        self._turn = turn = (self._turn + 1) % len(orders)
        order = orders[turn]
        if order is None:
            order = orders[turn] = self._make(turn)
        return order


def query_fields(query: Query, answer: Answer, source: str, edge_location: str | None) -> dict[str, Any]:
    """What a query log tells of `query` and its answer, whoever asked."""
    fields: dict[str, Any] = {
        "name": format_name(query.question.name),
        "type": type_name(query.question.type),
        "rcode": Rcode(answer.rcode).name,
        "answers": [record.data.toZone() for record in answer.answers],
        "source": source,
        "zone": answer.zone,
        "policy": answer.policy,
    }
    if query.subnet is not None:
        fields["client_subnet"] = f"{query.subnet.address}/{query.subnet.prefix_length}"
    if edge_location is not None:
        fields["edge_location"] = edge_location
    return fields


class AuthorityService:
    """One authority's answers, on the wire."""

    def __init__(self, authority: Authority, locations: LocationTable, events: EventLog, edge_location: str | None) -> None:
        self._authority, self._locations, self._events, self._edge_location = authority, locations, events, edge_location
        self._kept: dict[tuple[bytes, int, bool], _Kept] = {}
        self._classes: dict[str, int] = {}

    def reply(self, data: bytes, peer: tuple[str, int], transport: Transport) -> bytes | None:
        """The reply to a message, None for silence."""
        arrived = perf_counter()
        host = peer[0]
        class_ = self._classes.get(host)
        if class_ is None:
            class_ = self._classify(host)
        key = (data[_ID_BYTES:], class_, transport is Transport.UDP)
        kept = self._kept.get(key)
        if kept is None:
            made = self._make(data, IPv4Address(host), transport)
            if not isinstance(made, _Kept):
                return made
            kept = self._keep(key, made)
        wire, fields = kept.next()
        self._events.emit(DNS_QUERY, **fields, peer=f"{host}:{peer[1]}", transport=transport.value, duration_ms=round((perf_counter() - arrived) * 1000, 3))
        return data[:_ID_BYTES] + wire

    def _make(self, data: bytes, client: IPv4Address, transport: Transport) -> _Kept | bytes | None:
        query = decode_query(data)
        if isinstance(query, Rejected):
            return query.reply
        limit = udp_limit(query) if transport is Transport.UDP else TCP_BYTES

        def make(turn: int) -> _Order:
            answer = self._authority.answer(query.question, client, query.subnet, turn)
            return encode_answer(query, answer, limit)[_ID_BYTES:], query_fields(query, answer, "authoritative", self._edge_location)

        return _Kept(self._authority.answer(query.question, client, query.subnet).rotations, make)

    def _keep(self, key: tuple[bytes, int, bool], kept: _Kept) -> _Kept:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = kept
        return kept

    def _classify(self, host: str) -> int:
        if len(self._classes) >= MOST_KEPT:
            self._classes.clear()
        class_ = self._classes[host] = self._locations.class_of(IPv4Address(host))
        return class_
