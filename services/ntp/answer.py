"""One SNTP answer. Pure.

Source: RFC 5905 (packet, modes, timestamps); RFC 4330 (what a server without an algorithm fills in); EC2 user guide, "Set the time" (stratum 3 in its
sample of chronyc; documented). NOT MODELLED: the smearing of leap seconds (there is none to smear); authentication; control and private modes.
"""

from __future__ import annotations

import struct

PACKET_BYTES = 48
CLIENT, SERVER = 3, 4
STRATUM = 3
PRECISION = -20
"""About a microsecond, as a power of two of seconds."""
ROOT_DELAY, ROOT_DISPERSION = 0x0000000D, 0x00000007
"""0.2 and 0.1 ms in 16.16 seconds (assumed)."""
REFERENCE_ID = bytes((169, 254, 169, 122))
"""The server above (assumed)."""
EPOCH_1900_S = 2208988800
_WORDS = struct.Struct("!BBbbII4s8s8s8s8s")


def answer(request: bytes, received_s: float, sent_s: float) -> bytes | None:
    """The reply to a client's request, None for what is no request. Times are seconds since 1970."""
    if len(request) < PACKET_BYTES or request[0] & 7 != CLIENT:
        return None
    version = request[0] >> 3 & 7
    if not 1 <= version <= 4:
        return None
    head = version << 3 | SERVER
    poll = struct.unpack_from("!b", request, 2)[0]
    reference = timestamp(received_s // 16 * 16)
    return _WORDS.pack(
        head, STRATUM, poll, PRECISION, ROOT_DELAY, ROOT_DISPERSION, REFERENCE_ID, reference, request[40:48], timestamp(received_s), timestamp(sent_s),
    )  # fmt: skip


def timestamp(seconds: float) -> bytes:
    """An NTP timestamp: 32.32 seconds since 1900."""
    whole, fraction = divmod(seconds, 1)
    return struct.pack("!II", (int(whole) + EPOCH_1900_S) & 0xFFFFFFFF, min(int(fraction * (1 << 32)), 0xFFFFFFFF))
