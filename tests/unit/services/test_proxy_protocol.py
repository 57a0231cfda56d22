"""PROXY protocol version 2: what is written is what is read, and nothing else is."""

import asyncio
import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.config import HealthCheck
from services.common.health_check import checked
from services.common.proxy_protocol import LONGEST_HEADER_BYTES, SIGNATURE, End, Header, Malformed, encode, parse, vpc_endpoint_tlv
from services.instance.proxied import VPC_ENDPOINT, Proxied

ENDS = st.builds(End, st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 65535))
TLVS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=5).map(tuple)
HEADERS = st.builds(Header, source=ENDS, destination=ENDS, tlvs=TLVS) | st.builds(Header, tlvs=TLVS)
CLIENT = Header(source=End(IPv4Address("198.51.100.7"), 40000), destination=End(IPv4Address("10.0.1.5"), 443), tlvs=(vpc_endpoint_tlv("vpce-08d2bf15fac5001c9"),))


@given(HEADERS, st.binary(max_size=50))
def test_what_is_written_is_read_and_the_data_behind_it_is_left(header, data):
    written = encode(header)
    assert parse(written + data) == (header, len(written))


@given(HEADERS, st.data())
def test_a_part_of_a_header_is_waited_for(header, data):
    written = encode(header)
    assert parse(written[: data.draw(st.integers(0, len(written) - 1))]) is None


@given(st.binary(max_size=600))
def test_whatever_comes_it_is_a_header_or_none_yet_or_malformed(data):
    with contextlib.suppress(Malformed):
        found = parse(data)
        assert found is None or 16 <= found[1] <= min(len(data), LONGEST_HEADER_BYTES)


@given(HEADERS, st.data())
def test_a_changed_byte_never_makes_a_header_longer_than_it_says(header, data):
    written = bytearray(encode(header) + b"data of the client")
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        found = parse(bytes(written))
        assert found is None or found[1] == 16 + int.from_bytes(written[14:16], "big")


def test_the_bytes_of_a_consumers_header():
    """As a PROXY command for TCP over IPv4, with the TLV that AWS documents: 0xEA, its length, subtype 1, the endpoint."""
    endpoint = b"\xea\x00\x17\x01vpce-08d2bf15fac5001c9"
    addresses = bytes((198, 51, 100, 7, 10, 0, 1, 5)) + (40000).to_bytes(2, "big") + (443).to_bytes(2, "big")
    assert encode(CLIENT) == SIGNATURE + b"\x21\x11" + (12 + len(endpoint)).to_bytes(2, "big") + addresses + endpoint
    assert CLIENT.vpc_endpoint == "vpce-08d2bf15fac5001c9"
    assert encode(Header()) == SIGNATURE + b"\x20\x00\x00\x00"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.1.5 40000 443\r\n",
        SIGNATURE[:-1] + b"\x00",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x11\x00\x0e" + bytes(12) + b"\xea\x00",
        SIGNATURE + b"\x21\x11\x00\x10" + bytes(12) + b"\xea\x00\x09\x01",
    ],
    ids=["http", "version 1", "signature", "version", "command", "addresses", "half a TLV", "a TLV beyond the end"],
)
def test_malformed_headers(data):
    with pytest.raises(Malformed):
        parse(data)


def test_a_header_that_does_not_fit_is_not_written():
    with pytest.raises(ValueError, match="65548"):
        encode(Header(source=CLIENT.source, destination=CLIENT.destination, tlvs=((1, bytes(0xFFFF - 2)),)))


def test_other_families_are_skipped():
    assert parse(SIGNATURE + b"\x21\x21\x00\x24" + bytes(36) + b"x") == (Header(), 52)


class Told(asyncio.Protocol):
    """Says who it was told its client is, then what came."""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(f"{transport.get_extra_info('peername')} {transport.get_extra_info(VPC_ENDPOINT)} ".encode())

    def data_received(self, data):
        self.transport.write(data)
        self.transport.close()


async def said_to(data, pause_s=0.0):
    server = await asyncio.get_running_loop().create_server(lambda: Proxied(Told), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for part in data:
            writer.write(part)
            await asyncio.sleep(pause_s)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def test_an_application_has_the_headers_client_as_its_peer_however_the_bytes_come():
    whole = encode(CLIENT) + b"hello"
    for parts in ((whole,), (whole[:7], whole[7:20], whole[20:])):
        assert asyncio.run(said_to(parts, 0.01)) == b"('198.51.100.7', 40000) vpce-08d2bf15fac5001c9 hello"


def test_a_health_checks_header_names_nobody():
    assert asyncio.run(said_to((encode(Header()) + b"x",))).startswith(b"('127.0.0.1', ")


def test_a_connection_without_a_header_never_reaches_the_application():
    assert asyncio.run(said_to((b"GET / HTTP/1.1\r\n\r\n",))) == b""


@pytest.mark.parametrize("protocol", ["TCP", "HTTP"])
def test_a_health_check_begins_with_the_header(protocol):
    async def check():
        received = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            received.set_result(await reader.readexactly(len(preface)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, asyncio.TaskGroup() as tasks:
            result = await checked(HealthCheck(protocol=protocol), protocol, IPv4Address("127.0.0.1"), server.sockets[0].getsockname()[1], 5.0, tasks, preface=preface)
            assert result.passed
            assert await received == preface

    preface = encode(Header())
    asyncio.run(check())
