"""A Network Load Balancer's relay: slots, its configuration, and what counts as a sign of life."""

import socket
from collections import Counter
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from services.common.config import decode, encode
from services.nlb_relay.config import Config, Entrance, Listener
from services.nlb_relay.connection import segments_received
from services.nlb_relay.server import slot_of

ADDRESS = IPv4Address("10.0.1.5")


def listener(slots=64, **more):
    return Listener(id="listener", port=443, target_group="tg", slots=slots, **more)


@given(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(1, 16384), st.floats(0, 1, exclude_max=True))
def test_a_slot_is_one_that_the_map_has(source, slots, chance):
    for by_source in (False, True):
        assert 0 <= slot_of(source, listener(slots, by_source=by_source), chance) < slots


def test_a_sticky_group_looks_at_the_source_alone():
    assert len({slot_of(ADDRESS, listener(by_source=True), chance / 10) for chance in range(10)}) == 1
    spread = Counter(slot_of(IPv4Address("10.0.0.0") + number, listener(by_source=True), 0.5) for number in range(6400))
    assert len(spread) == 64
    assert max(spread.values()) < 2 * 6400 / 64


def test_a_configuration_is_what_was_written():
    config = Config(load_balancer="nlb", entrances=(Entrance(address=ADDRESS), Entrance(address=ADDRESS + 1, vpc_endpoint="vpce-c")), listeners=(listener(alpn=("h2",), proxy_protocol=True),))
    assert decode(encode(config), Config) == config


def test_segments_are_counted_keepalives_and_acknowledgements_too():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            before = segments_received(peer), segments_received(client)
            client.sendall(b"x")
            assert peer.recv(1) == b"x"
            assert segments_received(peer) > before[0]
            peer.sendall(b"y")
            assert client.recv(1) == b"y"
            assert segments_received(client) > before[1]
