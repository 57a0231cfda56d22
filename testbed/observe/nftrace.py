"""nftables' trace messages, as the kernel writes them to netlink group NFNLGRP_NFTRACE.

Pure: bytes in, `TraceStep`s out. A step is one rule that matched, or the end of a base chain. Only the first step in each base chain carries
the packet's header and interfaces, and the kernel reuses trace ids (they are addresses of buffers), so `with_headers` gives every step the latest ones of its id.

Source: Linux, include/uapi/linux/netfilter/nf_tables.h (enum nft_trace_attributes), net/netfilter/nf_tables_trace.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from testbed.observe.packets import Header, read_header

NETLINK_NETFILTER = 12
NFNLGRP_NFTRACE = 9
MESSAGE_TYPE = (10 << 8) | 17  # NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE
NETLINK_HEADER, NETFILTER_HEADER = 16, 4
TABLE, CHAIN, RULE_HANDLE, TYPE, VERDICT, ID, NETWORK_HEADER, TRANSPORT_HEADER, IIF, OIF, MARK, POLICY = 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 16
VERDICT_CODE, VERDICT_CHAIN = 1, 2
TYPES = {1: "policy", 2: "return", 3: "rule"}
VERDICTS = {0: "drop", 1: "accept", 2: "stolen", 3: "queue", 4: "repeat", -1: "continue", -2: "break", -3: "jump", -4: "goto", -5: "return"}
ATTRIBUTE_TYPE = 0x3FFF
FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """One message: `type` is ``rule``, ``return`` or ``policy``; `verdict` an nft word; `target` the chain of a jump or goto. `iif`, `oif` are interface indexes."""

    time_ns: int
    node: str
    id: int
    family: str
    table: str
    chain: str
    type: str
    verdict: str
    handle: int = 0
    target: str = ""
    mark: int = 0
    iif: int = 0
    oif: int = 0
    header: Header | None = None


def decode(datagram: bytes, node: str, time_ns: int) -> Iterator[TraceStep]:
    """The trace messages of one netlink datagram; other messages are passed over."""
    offset = 0
    while offset + NETLINK_HEADER <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, offset)
        if length < NETLINK_HEADER:
            return
        if kind == MESSAGE_TYPE:
            family = datagram[offset + NETLINK_HEADER]
            attributes = dict(_attributes(datagram[offset + NETLINK_HEADER + NETFILTER_HEADER : offset + length]))
            yield _step(attributes, FAMILIES.get(family, str(family)), node, time_ns)
        offset += (length + 3) & ~3


def with_headers(steps: Iterable[TraceStep]) -> Iterator[TraceStep]:
    """Every step with the header and the interfaces of its packet: its own, else the latest ones of its node and id."""
    latest: dict[tuple[str, int], TraceStep] = {}
    for step in steps:
        key = (step.node, step.id)
        if step.header is not None:
            latest[key] = step
            yield step
        elif key in latest:
            yield replace(step, header=latest[key].header, iif=latest[key].iif, oif=latest[key].oif)
        else:
            yield step


def _step(attributes: dict[int, bytes], family: str, node: str, time_ns: int) -> TraceStep:
    verdict = dict(_attributes(attributes.get(VERDICT, b"")))
    if VERDICT_CODE in verdict:
        word = VERDICTS.get(struct.unpack("!i", verdict[VERDICT_CODE])[0] if len(verdict[VERDICT_CODE]) == 4 else 0, "unknown")
    else:
        word = VERDICTS.get(_number(attributes.get(POLICY)), "continue") if POLICY in attributes else "continue"
    network = attributes.get(NETWORK_HEADER)
    return TraceStep(
        time_ns=time_ns, node=node, id=_number(attributes.get(ID)), family=family, table=_text(attributes.get(TABLE)), chain=_text(attributes.get(CHAIN)),
        type=TYPES.get(_number(attributes.get(TYPE)), "unknown"), verdict=word, handle=_number(attributes.get(RULE_HANDLE)), target=_text(verdict.get(VERDICT_CHAIN)),
        mark=_number(attributes.get(MARK)), iif=_number(attributes.get(IIF)), oif=_number(attributes.get(OIF)),
        header=read_header(network, attributes.get(TRANSPORT_HEADER, b"")) if network else None,
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & ATTRIBUTE_TYPE, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _number(data: bytes | None) -> int:
    return int.from_bytes(data, "big") if data else 0


def _text(data: bytes | None) -> str:
    return data.rstrip(b"\0").decode() if data else ""
