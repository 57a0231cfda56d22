"""GENEVE with AWS's three options, byte by byte, against scapy's dissector and against junk."""

import random
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from services.geneve_appliance.inspection import outer, payload, verdict
from services.gwlb.geneve import HEADER_BYTES, IPV4, OVERHEAD_BYTES, PORT, Header, header_bytes, parse

HEADER = Header(0x1122334455667788, 0x99AABBCCDDEEFF00, 0xCAFEF00D)
INNER = bytes(IP(src="198.51.100.7", dst="10.0.1.5") / TCP(sport=4000, dport=80) / b"GET / HTTP/1.1\r\n")


def test_the_header_is_aws_layout_byte_by_byte():
    assert header_bytes(HEADER).hex() == (
        "08000800" "00000000"  # version 0, 8 words of options, IPv4 inside, VNI 0
        "01080102" "1122334455667788"
        "01080202" "99aabbccddeeff00"
        "01080301" "cafef00d"
    )  # fmt: skip
    assert OVERHEAD_BYTES == 68


def test_another_implementation_reads_it():
    seen = GENEVE(header_bytes(HEADER) + INNER)
    assert (seen.version, seen.optionlen, seen.critical, seen.proto, seen.vni) == (0, 8, 0, IPV4, 0)
    assert bytes(seen[IP]) == INNER


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(interface: int, attachment: int, cookie: int):
    assert parse(header_bytes(Header(interface, attachment, cookie)) + INNER) == (Header(interface, attachment, cookie), HEADER_BYTES)


@given(st.permutations([0, 1, 2]), st.booleans())
def test_options_may_come_in_any_order_and_unknown_ones_are_passed_over(order: list[int], unknown: bool):
    wire = header_bytes(HEADER)
    options = [wire[8:20], wire[20:32], wire[32:40]]
    body = b"".join(options[n] for n in order) + (struct.pack("!HBBI", 0x0FFF, 0x01, 1, 0) if unknown else b"")
    assert parse(bytes([len(body) // 4]) + wire[1:8] + body)[0] == HEADER


def changed(at: int, value: int) -> bytes:
    wire = bytearray(header_bytes(HEADER) + INNER)
    wire[at] = value
    return bytes(wire)


@pytest.mark.parametrize(
    ("datagram", "problem"),
    [
        (b"", "shorter"), (header_bytes(HEADER)[:30], "cut short"), (changed(0, 0x48), "version 1"), (changed(1, 0x80), "control"), (changed(3, 0x06), "protocol"),
        (changed(11, 0x1F), "option of type 1 with 124|cut short"), (changed(0, 6), "missing"), (changed(22, 1), "two options of type 1"), (changed(34, 0x83), "critical"), (changed(33, 9), "missing"),
    ],
)  # fmt: skip
def test_what_is_not_right_is_refused_with_its_reason(datagram: bytes, problem: str):
    with pytest.raises(ValueError, match=problem):
        parse(datagram)


@given(st.binary(max_size=200))
def test_junk_is_read_or_refused_and_nothing_else(datagram: bytes):
    try:
        header, inner = parse(datagram)
    except ValueError:
        return
    assert inner <= len(datagram)
    assert 0 <= header.cookie < 2**32


@given(st.integers(0, HEADER_BYTES - 1), st.integers(0, 7))
def test_a_flipped_bit_is_another_header_or_none(at: int, bit: int):
    wire = bytearray(header_bytes(HEADER) + INNER)
    wire[at] ^= 1 << bit
    try:
        assert parse(bytes(wire))[0] != HEADER or at in (1, 4, 5, 6, 7) or bit in (5, 6, 7)  # flags, VNI and reserved bits say nothing here
    except ValueError:
        pass


def test_an_appliance_sends_back_the_same_datagram_with_swapped_addresses_and_kept_ports():
    datagram = header_bytes(HEADER) + INNER
    back = IP(outer(len(datagram), IPv4Address("10.9.0.20"), "10.9.0.10", 60003) + datagram)
    assert (back.src, back.dst, back[UDP].sport, back[UDP].dport) == ("10.9.0.20", "10.9.0.10", 60003, PORT)
    assert bytes(back[UDP].payload) == datagram


@pytest.mark.parametrize(
    ("inner", "refused"),
    [
        (IP() / TCP(options=[("Timestamp", (1, 2))]) / b"xx EVIL xx", "signature: EVIL"), (IP() / UDP() / b"EVIL", "signature: EVIL"), (IP() / TCP() / b"good", None),
        (IP() / ICMP() / b"EVIL", None), (IP(options=[]) / TCP(), None), (Raw(b"E"), None), (Raw(b""), None),
    ],
)  # fmt: skip
def test_a_signature_in_a_payload_is_dropped(inner, refused: str | None):
    assert verdict(header_bytes(HEADER) + bytes(inner), (b"EVIL",)) == refused


def test_an_appliance_tells_malformed_headers():
    assert verdict(b"\x48" + header_bytes(HEADER)[1:], ()) == "malformed: GENEVE version 1"


@given(st.binary(max_size=120))
def test_no_packet_upsets_the_search_for_a_payload(packet: bytes):
    assert len(payload(packet)) <= len(packet)
    verdict(header_bytes(HEADER) + packet, (random.Random(len(packet)).randbytes(1),))
