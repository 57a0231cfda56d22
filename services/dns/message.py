"""The words of DNS that the rest of the daemon speaks: names, records, questions, answers.

A `Name` is a tuple of lower-case labels, the root being empty: ``www.example.com`` is ``(b"www", b"example", b"com")``. A zone holds a name
whose labels end with the zone's. Only a `Question` keeps its spelling, because it is echoed letter by letter (resolvers hide
entropy in the case of letters: draft-vixie-dnsext-dns0x20).

Record data are dnslib's `RD` objects, never changed once made. Wire form is `wire`'s matter.
Sources: RFC 1035 (names, types, response codes), RFC 6895 (registries), RFC 7871 (client subnet).
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from dnslib import QTYPE, RD, RDMAP, DNSError
from dnslib.bimap import BimapError
from dnslib.buffer import BufferError as DnslibBufferError
from dnslib.label import DNSBuffer, DNSLabelError

from services.common.config import ConfigError

Name = tuple[bytes, ...]

ROOT: Name = ()
CLASS_IN = 1
_ESCAPE = re.compile(rb"\\(\d{3})")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


class Rcode(enum.IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Type(enum.IntEnum):
    """The record types that the daemon treats specially; any other is a plain number."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    MX = 15
    AAAA = 28
    SRV = 33
    OPT = 41
    DS = 43
    IXFR = 251
    AXFR = 252
    ANY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRecord:
    name: Name
    type: int
    ttl: int
    data: RD

    @property
    def target(self) -> Name | None:
        """The name that the data point to (CNAME, NS, MX, SRV), lower case."""
        if self.type in (Type.CNAME, Type.NS, Type.MX):
            return lower(self.data.label.label)
        return lower(self.data.target.label) if self.type == Type.SRV else None

    @property
    def address(self) -> IPv4Address:
        """The address of an A record."""
        return IPv4Address(bytes(self.data.data))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSubnet:
    """EDNS Client Subnet: whom a resolver asks for. `scope` is the length of the prefix that an answer holds for."""

    address: IPv4Address | IPv6Address
    prefix_length: int
    scope: int = 0

    @property
    def network(self) -> IPv4Network | None:
        """The client's network if it tells something: IPv4, and not /0."""
        if isinstance(self.address, IPv6Address) or self.prefix_length == 0:
            return None
        return IPv4Network((self.address, self.prefix_length), strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    spelled: Name
    type: int
    class_: int = CLASS_IN

    @property
    def name(self) -> Name:
        return lower(self.spelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A client's question. `edns_bytes` is the largest UDP answer that it takes, None without EDNS."""

    id: int
    question: Question
    recursion_desired: bool = False
    edns_bytes: int | None = None
    dnssec_ok: bool = False
    subnet: ClientSubnet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client is told. `scope` is the prefix length that it holds for; `rotations` how many orders of the values there are.

    `zone` and `policy` (simple, alias, nearest, wildcard, delegation, nodata, nxdomain, refused, local, recursive) are for query logs.
    """

    rcode: Rcode
    answers: tuple[ResourceRecord, ...] = ()
    authorities: tuple[ResourceRecord, ...] = ()
    additionals: tuple[ResourceRecord, ...] = ()
    authoritative: bool = False
    scope: int = 0
    rotations: int = 1
    zone: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What another server said."""

    id: int
    question: Question
    rcode: int
    authoritative: bool = False
    truncated: bool = False
    answers: tuple[ResourceRecord, ...] = ()
    authorities: tuple[ResourceRecord, ...] = ()
    additionals: tuple[ResourceRecord, ...] = ()
    subnet: ClientSubnet | None = None


def lower(labels: Iterable[bytes]) -> Name:
    return tuple(label.lower() for label in labels)


def parse_name(text: str) -> Name:
    """The name written as `text`, with or without its final dot; ``\\052`` is an octal-looking decimal escape as in master files (RFC 1035, 5.1)."""
    text = text.removesuffix(".")
    return tuple(_ESCAPE.sub(lambda match: bytes([int(match[1]) & 255]), label).lower() for label in text.encode().split(b".")) if text else ROOT


def format_name(name: Name) -> str:
    """As people write it, without the final dot; the root is ``.``. Bytes that are not printable are escaped."""
    return ".".join("".join(chr(byte) if 33 <= byte < 127 else f"\\{byte:03d}" for byte in label) for label in name) or "."


def is_under(name: Name, zone: Name) -> bool:
    """Whether `name` is the zone's apex or below it."""
    return len(name) >= len(zone) and name[len(name) - len(zone) :] == zone


def type_name(number: int) -> str:
    """``A``, or ``TYPE65280`` where there is no name (RFC 3597)."""
    return str(QTYPE[number])


def type_number(name: str) -> int:
    """The number of ``A``. Raises ConfigError."""
    if name not in QTYPE.reverse:
        raise ConfigError(f"{name}: a record type that is not known")
    return int(QTYPE.reverse[name])


def parse_data(type_: str, value: str) -> RD:
    """Record data from master-file form: words, or quoted strings in which a backslash takes the next character literally. Raises ConfigError."""
    if type_ not in RDMAP:
        raise ConfigError(f"{type_}: a record type that is not known")
    words = [re.sub(r"\\(.)", r"\1", quoted) if word == "" else word for quoted, word in _TOKEN.findall(value)]
    if type_ == "SOA" and len(words) != 7:
        raise ConfigError(f"SOA {value}: two names and five numbers are needed")
    try:
        data = RDMAP[type_].fromZone(words)
        data.pack(DNSBuffer())  # dnslib looks at some values only now
        return data
    except (DNSError, DNSLabelError, BimapError, DnslibBufferError, ValueError, IndexError, TypeError, struct.error) as error:
        raise ConfigError(f"{type_} {value}: {error}") from error
