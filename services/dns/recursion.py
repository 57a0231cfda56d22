"""How a resolver finds an answer: which server it asks what, and what it believes.

Without I/O or clocks: `Recursion.resolve` is a generator that yields `Ask`s and is sent `Reply`s; it returns what was found.

    rules ─► local zones ─► cache ─► nearest known delegation ─► Ask ─┬─ ANSWER ─► kept; a CNAME starts again with its target
           ▲                                   ▲             ├─ NXDOMAIN, NODATA ─► kept
           └──── CNAME's target ───────────────│             ├─ REFERRAL, strictly deeper ─► kept; ask there
                                               └─────────────┴─ TIMEOUT, LAME ─► the next server; twice round, then SERVFAIL

What is believed: only records under the zone whose servers were asked (bailiwick); glue only for servers that the referral names. A name server's
name without glue is resolved first, to a bounded depth. Bounds: `MOST_ASKS` questions per resolution, `MOST_CNAMES` links, no name twice; beyond: SERVFAIL.

Sources: RFC 1034, 5.3.3 (algorithm), RFC 2308 (negative answers), RFC 5452 (bailiwick), RFC 7871 (client subnet); VPC Resolver, "Considerations when working
with a private hosted zone" (a private zone captures its names; the longest zone wins: documented).
NOT MODELLED: DNSSEC validation, QNAME minimisation, root priming, servers without EDNS,
remembered failures (RFC 2308, 7).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from services.dns.cache import Cache, Delegation, Known
from services.dns.config import ForwardingRule
from services.dns.message import ROOT, Answer, ClientSubnet, Name, Question, Rcode, ResourceRecord, Response, Type, is_under

MOST_ASKS = 48
MOST_CNAMES = 12
MOST_DEPTH = 4
TIMEOUTS_S = (0.8, 1.6)
"""How long a server is waited for, in the first round through a zone's servers and in the second."""
SUBNET_LENGTH = 24
"""What of a client's address a resolver tells upstream (RFC 7871, 11.1)."""
_FORGETTING = 0.98

Forwards = Callable[[Name], ForwardingRule | None]
"""The rule by which a name is asked of other servers."""
Local = Callable[[Question], Answer | None]
"""The answer of zones that only exist in the client's network, None to ask the world."""


class Outcome(enum.StrEnum):
    ANSWER = "answer"
    REFERRAL = "referral"
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    TIMEOUT = "timeout"
    LAME = "lame"
    """An answer that does not help: REFUSED, SERVFAIL, a referral that leads up or sideways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask `server`, which should answer for `zone`, and wait that long."""

    server: IPv4Address
    zone: Name
    question: Question
    timeout_s: float
    subnet: ClientSubnet | None = None
    rule: ForwardingRule | None = None
    """The rule that has it asked, of a server that resolves by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of an `Ask` (None: nothing in time), and when (seconds of the clock that `resolve` was given)."""

    response: Response | None
    now: float
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The end of a resolution. `source` is cache, recursive or authoritative (local zones), as query logs say."""

    rcode: Rcode
    records: tuple[ResourceRecord, ...] = ()
    soa: ResourceRecord | None = None
    scope: int = 0
    source: str = "recursive"
    zone: str = ""
    policy: str = "recursive"

    def answer(self) -> Answer:
        return Answer(rcode=self.rcode, answers=self.records, authorities=(self.soa,) if self.soa else (), scope=self.scope, zone=self.zone, policy=self.policy)


Resolution = Generator[Ask, Reply, Resolved]


class Recursion:
    """A resolver's knowledge: where the root is, what is local, what was learnt."""

    def __init__(self, root_hints: tuple[IPv4Address, ...], local: Local, *, forwards: Forwards = lambda _: None, client_subnet: bool = False, cache: Cache | None = None) -> None:
        self.root_hints = root_hints
        self.forwards = forwards
        self.local = local
        self.client_subnet = client_subnet
        self.cache = Cache() if cache is None else cache
        self._round_trip_s: dict[IPv4Address, float] = {}

    def resolve(self, question: Question, client: IPv4Address, now: float) -> Resolution:
        """Find what `question` is answered for `client`."""
        walk = _Walk(self, client, now)
        try:
            return (yield from walk.follow(question.name, question.type, 0))
        except _CannotResolveError:
            return Resolved(rcode=Rcode.SERVFAIL)

    def known(self, question: Question, client: IPv4Address, now: float) -> Resolved:
        """The answer as far as it is known without asking anybody; REFUSED if it is not (a query without RD)."""
        resolution = self.resolve(question, client, now)
        try:
            next(resolution)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        resolution.close()
        return Resolved(rcode=Rcode.REFUSED, policy="refused", source="cache")

    def in_order(self, servers: list[IPv4Address]) -> list[IPv4Address]:
        """The quickest first, untried ones before all; as listed where equal."""
        return sorted(servers, key=lambda server: self._round_trip_s.get(server, 0.0))

    def note(self, server: IPv4Address, duration_s: float) -> None:
        """Learn how quick a server is; the others slowly regain their chance."""
        before = self._round_trip_s.get(server, duration_s)
        self._round_trip_s = {each: seconds * _FORGETTING for each, seconds in self._round_trip_s.items()}
        self._round_trip_s[server] = 0.7 * before + 0.3 * duration_s


def classify(response: Response | None, zone: Name, question: Question) -> Outcome:
    """What a reply from a server of `zone` is worth."""
    if response is None:
        return Outcome.TIMEOUT
    name = question.name
    if response.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
        return Outcome.LAME
    if any((record.name == name and record.type in (question.type, Type.CNAME)) or (record.name == name and question.type == Type.ANY) for record in response.answers):
        return Outcome.ANSWER
    if response.rcode == Rcode.NXDOMAIN:
        return Outcome.NXDOMAIN
    if _cut(response, zone, name) is not None:
        return Outcome.REFERRAL
    if response.authoritative or any(record.type == Type.SOA and is_under(name, record.name) and is_under(record.name, zone) for record in response.authorities):
        return Outcome.NODATA
    return Outcome.LAME


class _CannotResolveError(Exception):
    """SERVFAIL: bounds exceeded, or no server helps."""


class _Walk:
    """One resolution under way."""

    def __init__(self, recursion: Recursion, client: IPv4Address, now: float) -> None:
        self._recursion, self._client, self._now = recursion, client, now
        self._asks_left = MOST_ASKS
        self._scope = 0
        self._subnet: ClientSubnet | None = None
        if recursion.client_subnet:
            network = IPv4Network((client, SUBNET_LENGTH), strict=False)
            self._subnet = ClientSubnet(address=network.network_address, prefix_length=SUBNET_LENGTH)

    def follow(self, name: Name, type_: int, depth: int) -> Resolution:
        """The records of `name`, through CNAMEs."""
        records: list[ResourceRecord] = []
        source, zone, policy = "cache", "", "recursive"
        seen: set[Name] = set()
        for _ in range(MOST_CNAMES):
            if name in seen:
                break
            seen.add(name)
            rule = self._recursion.forwards(name) if depth == 0 else None
            local = self._recursion.local(Question(spelled=name, type=type_)) if depth == 0 and rule is None else None  # a local zone does not hide name servers
            if local is not None:
                source, zone, policy = ("authoritative", local.zone, "local") if not records else (source, zone, policy)
                found = Known(rcode=local.rcode, records=local.answers, soa=next((record for record in local.authorities if record.type == Type.SOA), None))
            else:
                cached = self._recursion.cache.find(name, type_, self._client, self._now)
                if cached is None:
                    source = "recursive"
                found = cached or ((yield from self._descend(name, type_, depth)) if rule is None else (yield from self._forward(rule, name, type_)))
            self._scope = max(self._scope, found.scope)
            records.extend(found.records)
            target = _unresolved(found.records, name, type_)
            if target is None:
                return Resolved(rcode=found.rcode, records=tuple(records), soa=found.soa, scope=self._scope, source=source, zone=zone, policy=policy)
            name = target
        raise _CannotResolveError("CNAMEs without end")

    def _forward(self, rule: ForwardingRule, name: Name, type_: int) -> Generator[Ask, Reply, Known]:
        """Ask a rule's targets, who must know or find out."""
        question = Question(spelled=name, type=type_)
        for timeout_s in TIMEOUTS_S:
            for target in self._recursion.in_order(list(rule.targets)):
                found = yield from self._ask(target, ROOT, question, timeout_s, rule)
                if found is not None and found[1] is not Outcome.REFERRAL:
                    return self._learn(*found, ROOT, question)
        raise _CannotResolveError("no target helps")

    def _descend(self, name: Name, type_: int, depth: int) -> Generator[Ask, Reply, Known]:
        """Ask from the nearest known delegation downwards."""
        recursion = self._recursion
        above = name[1:] if type_ == Type.DS else name  # a DS record lives in the parent
        delegation = recursion.cache.delegation(above, self._now) or Delegation(zone=ROOT, addresses=tuple((ROOT, hint) for hint in recursion.root_hints))
        while True:
            question = Question(spelled=name, type=type_)
            response, outcome = yield from self._ask_servers(delegation, question, depth)
            if outcome is not Outcome.REFERRAL:
                return self._learn(response, outcome, delegation.zone, question)
            delegation = self._learn_delegation(response, delegation.zone, name)

    def _ask_servers(self, delegation: Delegation, question: Question, depth: int) -> Generator[Ask, Reply, tuple[Response, Outcome]]:
        """The first helpful reply of the zone's servers."""
        addresses = self._recursion.in_order([address for _, address in delegation.addresses])
        glued = {server for server, _ in delegation.addresses}
        for timeout_s in TIMEOUTS_S:
            for address in addresses:
                found = yield from self._ask(address, delegation.zone, question, timeout_s)
                if found is not None:
                    return found
            for server in delegation.servers if timeout_s == TIMEOUTS_S[0] else ():
                if server in glued or is_under(server, delegation.zone):
                    continue  # what lies in the zone itself can only be reached with glue
                for address in (yield from self._addresses_of(server, depth)):
                    if address not in addresses:
                        addresses.append(address)
                        found = yield from self._ask(address, delegation.zone, question, timeout_s)
                        if found is not None:
                            return found
        raise _CannotResolveError("no server helps")

    def _ask(self, server: IPv4Address, zone: Name, question: Question, timeout_s: float, rule: ForwardingRule | None = None) -> Generator[Ask, Reply, tuple[Response, Outcome] | None]:
        if self._asks_left == 0:
            raise _CannotResolveError("too many questions")
        self._asks_left -= 1
        reply = yield Ask(server=server, zone=zone, question=question, timeout_s=timeout_s, subnet=self._subnet, rule=rule)
        self._now = reply.now
        self._recursion.note(server, timeout_s if reply.response is None else reply.duration_s)
        outcome = classify(reply.response, zone, question)
        if reply.response is None or outcome is Outcome.LAME:
            return None
        return reply.response, outcome

    def _addresses_of(self, server: Name, depth: int) -> Generator[Ask, Reply, tuple[IPv4Address, ...]]:
        if depth >= MOST_DEPTH:
            raise _CannotResolveError("name servers within name servers")
        scope = self._scope
        try:
            resolved = yield from self.follow(server, Type.A, depth + 1)
        except _CannotResolveError:
            if self._asks_left == 0:
                raise
            return ()
        finally:
            self._scope = scope  # where the servers are says nothing about whom the answer holds for
        return tuple(record.address for record in resolved.records if record.type == Type.A)

    def _learn(self, response: Response, outcome: Outcome, zone: Name, question: Question) -> Known:
        """Keep what a server of `zone` may be believed, and return it."""
        network = self._network(response)
        scope = network.prefixlen if network else 0
        name = question.name
        if outcome is not Outcome.ANSWER:
            rcode = Rcode.NXDOMAIN if outcome is Outcome.NXDOMAIN else Rcode.NOERROR
            soa = next((r for r in response.authorities if r.type == Type.SOA and is_under(name, r.name) and is_under(r.name, zone)), None)
            known = Known(rcode=rcode, soa=soa, scope=scope)
            self._recursion.cache.keep(name, question.type, known, self._now, network)
            return known
        records: list[ResourceRecord] = []
        for name, type_, record_set in _chain(response, zone, question):
            records.extend(record_set)
            self._recursion.cache.keep(name, type_, Known(records=record_set, scope=scope), self._now, network)
        return Known(records=tuple(records), scope=scope)

    def _learn_delegation(self, response: Response, zone: Name, name: Name) -> Delegation:
        cut = _cut(response, zone, name)
        if cut is None:
            raise _CannotResolveError("a referral to nowhere")
        name_servers = [record for record in response.authorities if record.type == Type.NS and record.name == cut]
        servers = tuple(dict.fromkeys(record.target for record in name_servers if record.target is not None))
        glue = tuple((record.name, record.address) for record in response.additionals if record.type == Type.A and record.name in servers and is_under(record.name, zone))
        delegation = Delegation(zone=cut, servers=servers, addresses=glue)
        self._recursion.cache.keep_delegation(delegation, min(record.ttl for record in name_servers), self._now)
        return delegation

    def _network(self, response: Response) -> IPv4Network | None:
        """The clients for whom the response holds; None for all."""
        if self._subnet is None or response.subnet is None or response.subnet.scope == 0:
            return None
        return IPv4Network((self._client, min(response.subnet.scope, SUBNET_LENGTH)), strict=False)


def _cut(response: Response, zone: Name, name: Name) -> Name | None:
    """Where a referral leads: strictly below `zone`, at or above `name`."""
    return next((r.name for r in response.authorities if r.type == Type.NS and r.name != zone and is_under(r.name, zone) and is_under(name, r.name)), None)


def _chain(response: Response, zone: Name, question: Question) -> Iterator[tuple[Name, int, tuple[ResourceRecord, ...]]]:
    """The record sets that lead from the question to its answer, as far as servers of `zone` may be believed."""
    name, seen = question.name, set[Name]()
    while name not in seen and is_under(name, zone):
        seen.add(name)
        here = [record for record in response.answers if record.name == name]
        if question.type == Type.ANY:
            if here:
                yield name, Type.ANY, tuple(here)
            return
        type_ = question.type if any(record.type == question.type for record in here) else Type.CNAME
        record_set = tuple(record for record in here if record.type == type_)
        if not record_set:
            return
        ttl = min(record.ttl for record in record_set)
        yield name, type_, tuple(replace(record, ttl=ttl) for record in record_set)  # RFC 2181, 5.2
        target = record_set[0].target
        if type_ == question.type or target is None:
            return
        name = target


def _unresolved(records: tuple[ResourceRecord, ...], name: Name, type_: int) -> Name | None:
    """The name that `records` leave open: the last CNAME's target, unless the type asked for is there."""
    if type_ in (Type.CNAME, Type.ANY) or any(record.type == type_ for record in records):
        return None
    aliases = {record.name: record.target for record in records if record.type == Type.CNAME}
    seen: set[Name] = set()
    open_name: Name | None = None
    while name in aliases and name not in seen:
        seen.add(name)
        open_name = aliases[name]
        if open_name is None:
            return None
        name = open_name
    return open_name
