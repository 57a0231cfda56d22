"""Forwarding that takes nothing from a packet's TTL: a VPC's router and an internet gateway are no hops.

The kernel takes one from each packet that it forwards. Here (but not from packets marked LOSES_TTL) one is added before that, in eight rules: adding one to a number inverts its trailing ones and the
zero before them, so the rule for k trailing ones matches ``ttl & 2^(k+1)-1 == 2^k-1`` and inverts those k+1 bits. A TTL of 255 has no room and stays.

    ....xxx0  ^ 1        ....xx01  ^ 3        ....x011  ^ 7      …      01111111  ^ 255

nft of Debian 12 cannot invert bits of a field of eight bits and mend the header's checksum, the kernel can; hence the messages by hand. They are the same
for every namespace: made once, sent thousands of times (0.1 ms each).
Source: Linux, include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nft_payload.c (documented).
"""

from __future__ import annotations

import os
import socket
import struct
from functools import cache

from testbed.engine.errors import RealiseError
from testbed.plan.marks import LOSES_TTL

TABLE, CHAIN = b"ttl", b"prerouting"
MANGLE_PRIORITY, PREROUTING = -150, 0
NFPROTO_IPV4 = 2
NFTABLES = 10
BATCH_BEGIN, BATCH_END = 16, 17
NEW_TABLE, NEW_CHAIN, NEW_RULE = 0, 3, 6
REQUEST, ACKNOWLEDGE, CREATE, APPEND = 1, 4, 0x400, 0x800
NESTED = 0x8000
NETWORK_HEADER, TTL_AND_PROTOCOL, TWO_BYTES = 1, 8, 2
INET_CHECKSUM, CHECKSUM_OFFSET = 1, 10
VERDICT_REGISTER, REGISTER = 0, 1
EQUAL, NOT_EQUAL = 0, 1
ACCEPT = 1
META_MARK = 3
NLMSG_ERROR = 2


def keep_ttl(opened: socket.socket) -> None:
    """Make the namespace in which the NETLINK_NETFILTER socket was opened forward without taking from the TTL. Raises RealiseError."""
    opened.send(_batch())
    answer = opened.recv(65536)
    kind, error = struct.unpack_from("=4xH10xi", answer)
    if kind == NLMSG_ERROR and error:
        raise RealiseError(f"nftables refused to keep the TTL: {os.strerror(-error)}", "this needs the kernel's nf_tables with payload expressions (Linux 4.5 or newer)")


@cache
def _batch() -> bytes:
    chain = _nest(4, _number(1, PREROUTING) + _number(2, MANGLE_PRIORITY & 0xFFFFFFFF))
    marked = b"".join(
        (
            _expression(b"meta", _number(1, REGISTER) + _number(2, META_MARK)),
            _expression(b"bitwise", _number(1, REGISTER) + _number(2, REGISTER) + _number(3, 4) + _value(4, struct.pack("=I", LOSES_TTL)) + _value(5, bytes(4))),
            _expression(b"cmp", _number(1, REGISTER) + _number(2, NOT_EQUAL) + _value(3, bytes(4))),
            ACCEPTED,
        )
    )
    rules = (marked, *(b"".join(_rule(ones)) for ones in range(8)))
    messages = [
        _message(NEW_TABLE, CREATE, _text(1, TABLE)),
        _message(NEW_CHAIN, CREATE, _text(1, TABLE) + _text(3, CHAIN) + chain + _number(5, ACCEPT) + _text(7, b"filter")),
        *(_message(NEW_RULE, CREATE | APPEND | (ACKNOWLEDGE if rule is rules[-1] else 0), _text(1, TABLE) + _text(2, CHAIN) + _nest(4, rule)) for rule in rules),
    ]
    return _edge(BATCH_BEGIN) + b"".join(messages) + _edge(BATCH_END)


def _rule(ones: int) -> tuple[bytes, ...]:
    """Add one to a TTL that ends in so many ones and a zero."""
    low, inverted = (1 << ones) - 1, (2 << ones) - 1
    load = _expression(b"payload", _number(1, REGISTER) + _ttl())
    return (
        load,
        _bits(mask=bytes((inverted, 0)), invert=b"\0\0"),
        _expression(b"cmp", _number(1, REGISTER) + _number(2, EQUAL) + _value(3, bytes((low, 0)))),
        load,
        _bits(mask=b"\xff\xff", invert=bytes((inverted, 0))),
        _expression(b"payload", _number(5, REGISTER) + _ttl() + _number(6, INET_CHECKSUM) + _number(7, CHECKSUM_OFFSET)),
        ACCEPTED,
    )


def _ttl() -> bytes:
    """Where the TTL is, with the protocol after it: the checksum is mended by words of 16 bits."""
    return _number(2, NETWORK_HEADER) + _number(3, TTL_AND_PROTOCOL) + _number(4, TWO_BYTES)


def _bits(*, mask: bytes, invert: bytes) -> bytes:
    return _expression(b"bitwise", _number(1, REGISTER) + _number(2, REGISTER) + _number(3, TWO_BYTES) + _value(4, mask) + _value(5, invert))


def _expression(name: bytes, data: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, data))


def _value(kind: int, data: bytes) -> bytes:
    return _nest(kind, _attribute(1, data))


def _nest(kind: int, data: bytes) -> bytes:
    return _attribute(kind | NESTED, data)


def _text(kind: int, text: bytes) -> bytes:
    return _attribute(kind, text + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, "big"))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(attributes), NFTABLES << 8 | kind, REQUEST | flags, 0, 0, NFPROTO_IPV4, 0, 0) + attributes


def _edge(kind: int) -> bytes:
    return struct.pack("=IHHIIBB", 20, kind, REQUEST, 0, 0, 0, 0) + NFTABLES.to_bytes(2, "big")


ACCEPTED = _expression(b"immediate", _number(1, VERDICT_REGISTER) + _nest(2, _nest(2, _number(1, ACCEPT))))
