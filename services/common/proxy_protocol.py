"""PROXY protocol version 2: the header before a connection's data that says whose connection it is. Pure: `encode` and `parse` are each other's inverse.

    0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A │ 2 · command │ family · transport │ length │ source, destination, ports │ TLVs
                                          1 PROXY       1·1 TCP over IPv4             12 bytes                     type, length, value
                                          0 LOCAL       0·0 unspecified               none

A Network Load Balancer tells by the TLV 0xEA, subtype 1, by which VPC endpoint a consumer came; with its health checks it sends LOCAL, which names no client.
Source: "The PROXY protocol" (HAProxy, sections 2.2 to 2.2.7); ELB user guide, "Edit target group attributes for your NLB" (TLV, health checks without a client; documented;
that these have the command LOCAL is assumed). NOT MODELLED: IPv6 and UNIX addresses (skipped, as the standard wants of a receiver that does not know a family), version 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP_OVER_IPV4 = 0x00, 0x11
PP2_TYPE_AWS, PP2_SUBTYPE_AWS_VPCE_ID = 0xEA, 0x01
LONGEST_HEADER_BYTES = 16 + 0xFFFF
_FIXED = struct.Struct("!12sBBH")
_ADDRESSES = struct.Struct("!4s4sHH")
_TLV = struct.Struct("!BH")


class Malformed(Exception):
    """What is no PROXY header; a receiver ends the connection."""


@dataclass(frozen=True, slots=True)
class End:
    """An address with its port."""

    address: IPv4Address
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header: the two ends of the client's connection, both None with LOCAL or an unknown family; `tlvs` are (type, value)."""

    source: End | None = None
    destination: End | None = None
    tlvs: tuple[tuple[int, bytes], ...] = ()

    @property
    def vpc_endpoint(self) -> str | None:
        """The VPC endpoint by which the client came, if it came by one."""
        subtype = bytes((PP2_SUBTYPE_AWS_VPCE_ID,))
        return next((value[1:].decode("ascii", "replace") for kind, value in self.tlvs if kind == PP2_TYPE_AWS and value.startswith(subtype)), None)


def vpc_endpoint_tlv(endpoint: str) -> tuple[int, bytes]:
    """The TLV that names a VPC endpoint."""
    return PP2_TYPE_AWS, bytes((PP2_SUBTYPE_AWS_VPCE_ID,)) + endpoint.encode("ascii")


def encode(header: Header) -> bytes:
    """The header's bytes: PROXY if it has both ends, else LOCAL. Raises ValueError if it is longer than a header can be."""
    if header.source is None or header.destination is None:
        command, family, addresses = LOCAL, UNSPECIFIED, b""
    else:
        command, family = PROXY, TCP_OVER_IPV4
        addresses = _ADDRESSES.pack(header.source.address.packed, header.destination.address.packed, header.source.port, header.destination.port)
    rest = addresses + b"".join(_TLV.pack(kind, len(value)) + value for kind, value in header.tlvs)
    if len(rest) > 0xFFFF:
        raise ValueError(f"a PROXY header of {len(rest)} bytes")
    return _FIXED.pack(SIGNATURE, command, family, len(rest)) + rest


def parse(data: bytes) -> tuple[Header, int] | None:
    """The header at the beginning of `data` and its length; None if its end is still to come. Raises Malformed as soon as that is certain."""
    if not data.startswith(SIGNATURE[: len(data)]):
        raise Malformed("no signature")
    if len(data) > 12 and data[12] not in (LOCAL, PROXY):
        raise Malformed(f"version and command {data[12]:#04x}")
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    if command == PROXY and family == TCP_OVER_IPV4 and length < _ADDRESSES.size:
        raise Malformed(f"{length} bytes of addresses")
    end = _FIXED.size + length
    if len(data) < end:
        return None
    return _read(command, family, data[_FIXED.size : end]), end


def _read(command: int, family: int, rest: bytes) -> Header:
    if command == PROXY and family == TCP_OVER_IPV4:
        source, destination, source_port, destination_port = _ADDRESSES.unpack_from(rest)
        tlvs = _tlvs(rest[_ADDRESSES.size :])
        return Header(source=End(IPv4Address(source), source_port), destination=End(IPv4Address(destination), destination_port), tlvs=tlvs)
    return Header(tlvs=_tlvs(rest) if family == UNSPECIFIED else ())


def _tlvs(data: bytes) -> tuple[tuple[int, bytes], ...]:
    found, place = [], 0
    while place < len(data):
        if len(data) - place < _TLV.size:
            raise Malformed("a TLV that is cut off")
        kind, length = _TLV.unpack_from(data, place)
        place += _TLV.size + length
        if place > len(data):
            raise Malformed(f"TLV {kind:#04x} is longer than the header")
        found.append((kind, data[place - length : place]))
    return tuple(found)
