"""Writing captures: pcapng, one interface block per ``node/interface``, so that one file shows a packet at every hop.

Nanosecond timestamps. Written as a stream: an interface's block comes before its first packet, so a pipe into Wireshark or
``tcpdump -r -`` shows packets as they pass.

Source: IETF draft-ietf-opsawg-pcapng, "PCAP Now Generic (pcapng) Capture File Format", sections 4.1 to 4.3.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from testbed.observe.packets import Frame

SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET = 0x0A0D0D0A, 1, 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
END_OF_OPTIONS, USER_APPLICATION, INTERFACE_NAME, TIMESTAMP_RESOLUTION, PACKET_FLAGS = 0, 4, 2, 9, 2
NANOSECONDS = b"\x09"
INBOUND, OUTBOUND = 1, 2
SNAP_BYTES = 262144


class PcapngWriter:
    """Writes frames to `stream`, which the caller owns. Nothing but the section header is written before the first frame."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._interfaces: dict[tuple[str, str], int] = {}
        body = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + _option(USER_APPLICATION, b"testbed") + _option(END_OF_OPTIONS, b"")
        self._stream.write(_block(SECTION_HEADER, body))
        self._stream.flush()

    def write(self, frame: Frame) -> None:
        """Append one frame, and its interface's block if it is the first there."""
        key = (frame.node, frame.interface)
        number = self._interfaces.get(key)
        if number is None:
            number = self._interfaces[key] = len(self._interfaces)
            options = _option(INTERFACE_NAME, frame.where.encode()) + _option(TIMESTAMP_RESOLUTION, NANOSECONDS) + _option(END_OF_OPTIONS, b"")
            self._stream.write(_block(INTERFACE_DESCRIPTION, struct.pack("<HHI", frame.link_type, 0, SNAP_BYTES) + options))
        data = frame.data[:SNAP_BYTES]
        head = struct.pack("<IIIII", number, frame.time_ns >> 32, frame.time_ns & 0xFFFFFFFF, len(data), frame.length_bytes)
        flags = _option(PACKET_FLAGS, struct.pack("<I", OUTBOUND if frame.outgoing else INBOUND)) + _option(END_OF_OPTIONS, b"")
        self._stream.write(_block(ENHANCED_PACKET, head + _padded(data) + flags))

    def flush(self) -> None:
        """Hand what was written to whoever reads the stream."""
        self._stream.flush()


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
