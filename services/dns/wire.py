"""DNS messages as bytes: what clients and servers send, and what is sent to them.

    bytes ── decode_query ──► Query       answered by a zone or a resolver
                          └─► Rejected    FORMERR, NOTIMP, BADVERS, or silence for what is no question at all
    Answer ── encode_answer ──► bytes     as much as the client takes: see `encode_answer` for what is left out first

dnslib does the codec. Its buffer is replaced by one that follows a bounded number of compression pointers, refuses labels over 63 bytes and
names over 253, and never points past what 14 bits can address. Decoding raises nothing whatever the bytes.

Sources: Route 53 developer guide, "DNS constraints and behaviors" (512 bytes without EDNS0, 4,096 with: documented); RFC 1035, RFC 6891 (EDNS0),
RFC 7871 (client subnet), RFC 2181, 9 (what truncation means). NOT MODELLED: DNSSEC, cookies, labels that are not UTF-8 (FORMERR).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from dnslib import EDNS0, RR, DNSError, DNSHeader, DNSQuestion, EDNSOption
from dnslib.bimap import BimapError
from dnslib.buffer import BufferError as DnslibBufferError
from dnslib.label import DNSBuffer, DNSLabel, DNSLabelError

from services.dns.message import CLASS_IN, Answer, ClientSubnet, Name, Query, Question, Rcode, ResourceRecord, Response, Type, lower

UDP_BYTES = 512
EDNS_BYTES = 4096
TCP_BYTES = 65535
UPSTREAM_EDNS_BYTES = 1232
"""What a resolver says it takes: never fragmented (DNS flag day 2020)."""
_HEADER = struct.Struct("!HHHHHH")
_QR, _OPCODE, _AA, _TC, _RD, _RA, _CD = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
_ECS_OPTION = 8
_MOST_POINTERS = 64
_DECODING = (DNSError, DnslibBufferError, BimapError, DNSLabelError, ValueError, IndexError, TypeError, struct.error)
_ADDRESSES: dict[int, type[IPv4Address] | type[IPv6Address]] = {1: IPv4Address, 2: IPv6Address}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A message that is no question to answer; `reply` is what to send, None for nothing."""

    rcode: Rcode
    reply: bytes | None


def decode_query(data: bytes) -> Query | Rejected:
    """The question in a client's message. A response or a fragment of a header gets no reply (RFC 1035 has none for it)."""
    if len(data) < _HEADER.size:
        return Rejected(rcode=Rcode.FORMERR, reply=None)
    id_, flags, questions, *_ = _HEADER.unpack_from(data)
    if flags & _QR:
        return Rejected(rcode=Rcode.FORMERR, reply=None)
    if flags & _OPCODE:
        return _reject(id_, flags, Rcode.NOTIMP)
    if questions != 1:
        return _reject(id_, flags, Rcode.FORMERR)
    try:
        parsed = _parse(data)
        options = [record for record in parsed.additionals if record.rtype == Type.OPT]
        if len(options) > 1 or parsed.question.type == Type.OPT:
            return _reject(id_, flags, Rcode.FORMERR)
        subnet = _subnet(options[0]) if options else None
    except _DECODING:
        return _reject(id_, flags, Rcode.FORMERR)
    if options and options[0].edns_ver != 0:
        return _reject(id_, flags, Rcode.BADVERS, parsed.question)
    return Query(
        id=id_,
        question=parsed.question,
        recursion_desired=bool(flags & _RD),
        edns_bytes=options[0].edns_len if options else None,
        dnssec_ok=bool(options and options[0].edns_do),
        subnet=subnet,
    )


def udp_limit(query: Query) -> int:
    """The largest UDP answer to `query`, in bytes."""
    return UDP_BYTES if query.edns_bytes is None else min(max(UDP_BYTES, query.edns_bytes), EDNS_BYTES)


def encode_answer(query: Query, answer: Answer, limit: int, *, recursion_available: bool = False) -> bytes:
    """`answer` in at most `limit` bytes. Additional records go first, then, of an answer, the authority section: neither was asked for, so nothing
    tells of their loss (RFC 2181, 9). If it still does not fit, TC says to come again over TCP, and all sections are empty."""
    referral = not answer.answers and not answer.authoritative
    attempts = [(answer.answers, answer.authorities, answer.additionals)]
    if answer.additionals:
        attempts.append((answer.answers, answer.authorities, ()))
    if answer.answers and answer.authorities:
        attempts.append((answer.answers, (), ()))
    if referral:
        attempts = attempts[:1]  # glue is the point of a referral
    for sections in attempts:
        wire = _pack(query, answer, sections, recursion_available, truncated=False)
        if len(wire) <= limit:
            return wire
    return _pack(query, answer, ((), (), ()), recursion_available, truncated=True)


def encode_question(id_: int, question: Question, *, recursion_desired: bool = False, subnet: ClientSubnet | None = None) -> bytes:
    """A question to another server, with EDNS0."""
    buffer = _Buffer()
    DNSHeader(id=id_, bitmap=_RD if recursion_desired else 0, q=1, ar=1).pack(buffer)
    DNSQuestion(DNSLabel(question.spelled), question.type, question.class_).pack(buffer)
    EDNS0(udp_len=UPSTREAM_EDNS_BYTES, opts=[_subnet_option(subnet)] if subnet else []).pack(buffer)
    return bytes(buffer.data)


def decode_response(data: bytes) -> Response | None:
    """What a server said, or None if it is not a response to one question."""
    if len(data) < _HEADER.size:
        return None
    id_, flags, questions, *_ = _HEADER.unpack_from(data)
    if not flags & _QR or flags & _OPCODE or questions != 1:
        return None
    try:
        parsed = _parse(data)
        options = [record for record in parsed.additionals if record.rtype == Type.OPT]
        subnet = _subnet(options[0]) if options else None
        return Response(
            id=id_,
            question=parsed.question,
            rcode=(flags & 15) | (options[0].edns_rcode << 4 if options else 0),
            authoritative=bool(flags & _AA),
            truncated=bool(flags & _TC),
            answers=_records(parsed.answers),
            authorities=_records(parsed.authorities),
            additionals=_records(parsed.additionals),
            subnet=subnet,
        )
    except _DECODING:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    question: Question
    answers: tuple[RR, ...]
    authorities: tuple[RR, ...]
    additionals: tuple[RR, ...]


class _Buffer(DNSBuffer):  # type: ignore[misc]  # dnslib has no types
    """dnslib's buffer, made safe against hostile and large messages."""

    offset: int
    names: dict[Name, int]

    def decode_name(self, last: int = -1) -> DNSLabel:
        labels: list[bytes] = []
        resume: int | None = None
        for _ in range(_MOST_POINTERS + 128):
            (length,) = self.unpack("!B")
            if length >= 0xC0:
                (low,) = self.unpack("!B")
                pointer = (length & 0x3F) << 8 | low
                resume = self.offset if resume is None else resume
                if pointer >= self.offset - 2:
                    raise DnslibBufferError("a compression pointer that leads forward")
                self.offset = pointer
            elif length > 63:
                raise DnslibBufferError("a label of an unknown kind")
            elif length:
                labels.append(self.get(length))
                labels[-1].decode()  # UnicodeDecodeError is a ValueError
            else:
                self.offset = self.offset if resume is None else resume
                if sum(map(len, labels)) + len(labels) > 254:
                    raise DnslibBufferError("a name of more than 253 bytes")
                return DNSLabel(labels)
        raise DnslibBufferError("too many compression pointers")

    def encode_name(self, name: DNSLabel) -> None:
        if self.offset >= 0x3FFF - 255:  # names that begin here could not be pointed to
            self.names = _ReadOnly(self.names)
        super().encode_name(name)


class _ReadOnly(dict[Name, int]):
    def __setitem__(self, key: Name, value: int) -> None:
        """Learn no new positions."""


def _parse(data: bytes) -> _Parsed:
    buffer = _Buffer(data)
    header = DNSHeader.parse(buffer)
    asked = DNSQuestion.parse(buffer)
    sections = [tuple(RR.parse(buffer) for _ in range(count)) for count in (header.a, header.auth, header.ar)]
    question = Question(spelled=tuple(asked.qname.label), type=asked.qtype, class_=asked.qclass)
    return _Parsed(question=question, answers=sections[0], authorities=sections[1], additionals=sections[2])


def _records(section: tuple[RR, ...]) -> tuple[ResourceRecord, ...]:
    return tuple(
        ResourceRecord(name=lower(record.rname.label), type=record.rtype, ttl=record.ttl if record.ttl < 1 << 31 else 0, data=record.rdata)  # RFC 2181, 8
        for record in section
        if record.rtype != Type.OPT and record.rclass == CLASS_IN
    )


def _subnet(option: RR) -> ClientSubnet | None:
    """The client subnet in an OPT record. Raises ValueError if it is not as RFC 7871, 6 says: FORMERR."""
    for each in option.rdata:
        if each.code == _ECS_OPTION:
            family, length, scope = struct.unpack_from("!HBB", each.data)
            kind = _ADDRESSES.get(family)
            if kind is None:
                raise ValueError(f"address family {family}")
            bits = 32 if kind is IPv4Address else 128
            prefix = each.data[4:]
            if length > bits or len(prefix) != (length + 7) // 8:
                raise ValueError("a prefix that is not as long as it says")
            address = int.from_bytes(prefix.ljust(bits // 8, b"\0"))
            if address & ((1 << bits - length) - 1):
                raise ValueError("bits beyond the prefix")
            return ClientSubnet(address=kind(address), prefix_length=length, scope=scope)
    return None


def _subnet_option(subnet: ClientSubnet) -> EDNSOption:
    family = 1 if isinstance(subnet.address, IPv4Address) else 2
    return EDNSOption(_ECS_OPTION, struct.pack("!HBB", family, subnet.prefix_length, subnet.scope) + subnet.address.packed[: (subnet.prefix_length + 7) // 8])


def _pack(query: Query, answer: Answer, sections: tuple[tuple[ResourceRecord, ...], ...], recursion_available: bool, *, truncated: bool) -> bytes:
    question = query.question
    spelling = {question.name: question.spelled}  # owner names are spelled as asked, so that they compress to the question
    flags = _QR | (_AA if answer.authoritative else 0) | (_TC if truncated else 0) | (_RD if query.recursion_desired else 0) | (_RA if recursion_available else 0)
    options = []
    if query.edns_bytes is not None:
        subnet = query.subnet
        echo = [] if subnet is None else [_subnet_option(ClientSubnet(address=subnet.address, prefix_length=subnet.prefix_length, scope=answer.scope))]
        options.append(EDNS0(udp_len=EDNS_BYTES, flags="do" if query.dnssec_ok else "", opts=echo))
    buffer = _Buffer()
    answers, authorities, additionals = sections
    DNSHeader(id=query.id, bitmap=flags | (answer.rcode & 15), q=1, a=len(answers), auth=len(authorities), ar=len(additionals) + len(options)).pack(buffer)
    DNSQuestion(DNSLabel(question.spelled), question.type, question.class_).pack(buffer)
    for record in answers + authorities + additionals:
        RR(DNSLabel(spelling.get(record.name, record.name)), record.type, CLASS_IN, record.ttl, record.data).pack(buffer)
    for option in options:
        option.pack(buffer)
    return bytes(buffer.data)


def _reject(id_: int, flags: int, rcode: Rcode, question: Question | None = None) -> Rejected:
    buffer = _Buffer()
    DNSHeader(id=id_, bitmap=_QR | (flags & (_OPCODE | _RD)) | (rcode & 15), q=1 if question else 0, ar=1 if rcode > 15 else 0).pack(buffer)
    if question is not None:
        DNSQuestion(DNSLabel(question.spelled), question.type, question.class_).pack(buffer)
    if rcode > 15:
        EDNS0(udp_len=EDNS_BYTES, ext_rcode=rcode >> 4).pack(buffer)
    return Rejected(rcode=rcode, reply=bytes(buffer.data))
