"""Two questions to nftables by netlink, without starting a program: the comments of a chain's rules, and "remove this table".

Both take a NETLINK_NETFILTER socket that was opened in the node. Pure but for the socket.
Source: Linux, include/uapi/linux/netfilter/nf_tables.h; libnftnl, include/libnftnl/udata.h (a comment is record 0 of a rule's user data).
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

FAMILIES = {"inet": 1, "ip": 2, "netdev": 5, "bridge": 7, "ip6": 10}
SUBSYSTEM = 10 << 8
DELETE_TABLE, NEW_RULE, GET_RULE = SUBSYSTEM | 2, SUBSYSTEM | 6, SUBSYSTEM | 7
BATCH_BEGIN, BATCH_END = 16, 17
ERROR, DONE = 2, 3
REQUEST, ACKNOWLEDGE, DUMP = 1, 4, 0x300
TABLE_NAME, RULE_TABLE, RULE_CHAIN, RULE_HANDLE, RULE_USERDATA = 1, 1, 2, 3, 7
COMMENT_RECORD = 0
PATIENCE_MS = 1000
ATTRIBUTE_TYPE = 0x3FFF


def comments(sock: socket.socket, family: str, table: str, chain: str) -> dict[int, str]:
    """The rules of a chain by handle, with their comments (empty for none). An absent chain has none."""
    sock.send(_message(GET_RULE, REQUEST | DUMP, FAMILIES[family], _text(RULE_TABLE, table) + _text(RULE_CHAIN, chain)))
    found: dict[int, str] = {}
    for kind, body in _answers(sock):
        if kind == NEW_RULE:
            attributes = dict(_attributes(body[4:]))
            found[int.from_bytes(attributes.get(RULE_HANDLE, b""), "big")] = _comment(attributes.get(RULE_USERDATA, b""))
    return found


def delete_table(sock: socket.socket, family: str, table: str) -> None:
    """Remove a table; one that is gone already is no error. Raises OSError if the kernel refuses otherwise or does not answer."""
    begin = _message(BATCH_BEGIN, REQUEST, 0, b"", resource=10)
    delete = _message(DELETE_TABLE, REQUEST | ACKNOWLEDGE, FAMILIES[family], _text(TABLE_NAME, table))
    sock.send(begin + delete + _message(BATCH_END, REQUEST, 0, b"", resource=10))
    for kind, body in _answers(sock):
        if kind == ERROR:
            code = -struct.unpack_from("=i", body)[0]
            if code not in (0, 2):
                raise OSError(code, f"nftables table {table} stays")
            return


def _answers(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Messages until the end of a dump, or an error; those of multicast groups among them are other kinds."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while poll.poll(PATIENCE_MS):
        datagram = sock.recv(1 << 18)
        offset = 0
        while offset + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, offset)
            if length < 16:
                break
            if kind == DONE:
                return
            yield kind, datagram[offset + 16 : offset + length]
            if kind == ERROR:
                return
            offset += (length + 3) & ~3
    raise TimeoutError("nftables does not answer")


def _message(kind: int, flags: int, family: int, attributes: bytes, resource: int = 0) -> bytes:
    body = struct.pack("=BB", family, 0) + struct.pack("!H", resource) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def _text(kind: int, value: str) -> bytes:
    data = value.encode() + b"\0"
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & ATTRIBUTE_TYPE, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _comment(user_data: bytes) -> str:
    offset = 0
    while offset + 2 <= len(user_data):
        kind, length = user_data[offset], user_data[offset + 1]
        if kind == COMMENT_RECORD:
            return user_data[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""
