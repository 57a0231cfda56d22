"""A Network Load Balancer's connections that no kernel carries: TLS listeners and PROXY protocol version 2 (facts: sections 9.2 and 10)."""

import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
import trustme
from scapy.layers.inet import TCP

from services.common.proxy_protocol import End, parse
from testbed.model import Protocol
from testbed.oracle import Outcome, Probe
from tests.scenarios.balanced import APP
from tests.scenarios.relayed import EMPTY, HIDDEN_APP, PROXY, PROXY_APP, PROXY_HIDDEN, TLS, TLS_APP, TLS_TO_TLS, relayed
from tests.scenarios.sending import listening

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(relayed)]

PATIENCE_S = 10
TRUST = "/run/testbed/tls/ca.crt"


@contextmanager
def connected(lab, port, client="inside", node=None):
    with lab[client].socket() as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((str(node or lab["nlb-relay-a"].address), port))
        yield sock


def secured(sock, name, alpn=()):
    context = ssl.create_default_context(cafile=TRUST)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname=name)


def accepted(listener):
    listener.settimeout(PATIENCE_S)
    server, (source, _) = listener.accept()
    server.settimeout(PATIENCE_S)
    return server, source


def received(sock, size):
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def header_of(server):
    data = b""
    while (found := parse(data)) is None:
        data += server.recv(1)
    return found[0]


def test_tls_ends_at_the_node_and_sni_chooses_the_certificate(lab):
    """The target has plain text, from the client's address: instances see it by default."""
    with listening(lab, "t-a", APP) as listener:
        for name, subject in (("one.example.com", "one.example.com"), ("www.two.example.com", "*.two.example.com")):
            with connected(lab, TLS) as sock, secured(sock, name) as client:
                assert [value for kind, value in client.getpeercert()["subjectAltName"] if kind == "DNS"] == [subject]
                server, source = accepted(listener)
                assert source == str(lab["inside"].address)
                client.sendall(b"question")
                assert received(server, 8) == b"question"
                server.sendall(b"answer")
                server.close()
                assert received(client, 100) == b"answer"
    walk = lab.oracle.walk(Probe(source="inside", destination=lab["nlb-relay-a"].address, protocol=Protocol.TCP, destination_port=TLS))
    assert walk.outcome is Outcome.DELIVERED


def test_tls_goes_on_to_a_tls_target_unverified_and_hides_the_client(lab):
    """ALPN prefers h2 here; the target is offered what the client got."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("nobody.example").configure_cert(context)
    context.set_alpn_protocols(["http/1.1", "h2"])
    with listening(lab, "t-a", TLS_APP) as listener, connected(lab, TLS_TO_TLS) as sock, secured(sock, "one.example.com", ("http/1.1", "h2")) as client:
        assert client.selected_alpn_protocol() == "h2"
        plain, source = accepted(listener)
        assert source == str(lab["nlb-relay-a"].address)
        with context.wrap_socket(plain, server_side=True) as server:
            assert server.selected_alpn_protocol() == "h2"
            client.sendall(b"x" * 100_000)
            assert received(server, 100_000) == b"x" * 100_000


def test_a_tls_listener_without_a_target_resets_its_clients(lab):
    with lab.capture("inside", filter=f"tcp src port {EMPTY} and tcp[tcpflags] & (tcp-rst | tcp-fin) != 0") as capture:
        with suppress(ConnectionResetError), connected(lab, EMPTY) as sock, secured(sock, "one.example.com") as client:
            client.recv(1)
        capture.wait_for(1)
    assert capture.packets[0][TCP].flags.R


def test_a_target_that_refuses_resets_the_client(lab):
    with pytest.raises(ConnectionResetError), connected(lab, PROXY) as sock:
        sock.recv(1)


def test_what_is_no_tls_ends_the_connection_and_reaches_no_target(lab):
    with listening(lab, "t-a", APP) as listener:
        with connected(lab, TLS) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                while sock.recv(1000):
                    pass
            except ConnectionResetError:
                pass
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_proxy_header_names_the_client_before_its_first_byte(lab):
    """Once per connection; half-closing goes through."""
    with listening(lab, "t-a", HIDDEN_APP) as listener, connected(lab, PROXY_HIDDEN) as client:
        server, source = accepted(listener)
        assert source == str(lab["nlb-relay-a"].address)
        header = header_of(server)
        assert header.source == End(*own(client))
        assert header.destination == End(lab["nlb-relay-a"].address, PROXY_HIDDEN)
        assert header.vpc_endpoint is None
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert received(server, 100) == b"question"
        server.sendall(b"late answer")
        server.close()
        assert received(client, 100) == b"late answer"


def own(sock):
    address, port = sock.getsockname()
    return IPv4Address(address), port


def test_a_proxy_header_goes_together_with_the_clients_own_address(lab):
    with listening(lab, "t-a", PROXY_APP) as listener, connected(lab, PROXY) as client:
        server, source = accepted(listener)
        assert (source, header_of(server).source) == (str(lab["inside"].address), End(*own(client)))


def test_trap_16_only_a_proxy_header_tells_a_provider_who_its_consumer_is(lab):
    """Belief: behind PrivateLink a provider sees its consumers, or never knows them.

    Truth: the source is always the balancer's node; consumer and endpoint are in the PROXY header (TLV 0xEA) alone (row 16). Both VPCs have the same addresses here.
    """
    endpoint = lab["vpce-c-a"].address
    with listening(lab, "t-a", PROXY_APP) as listener, connected(lab, PROXY, "consumer", endpoint) as client:
        server, source = accepted(listener)
        header = header_of(server)
        assert source == str(lab["nlb-relay-a"].address)
        assert header.source == End(*own(client))
        assert header.vpc_endpoint == "vpce-c"
        client.sendall(b"question")
        assert received(server, 8) == b"question"
        server.sendall(b"answer")
        assert received(client, 6) == b"answer"


def test_tls_through_private_link(lab):
    with listening(lab, "t-a", APP) as listener, connected(lab, TLS, "consumer", lab["vpce-c-a"].address) as sock, secured(sock, "one.example.com"):
        _, source = accepted(listener)
        assert source == str(lab["nlb-relay-a"].address)


def test_an_idle_connection_is_forgotten_silently_and_the_next_packet_is_reset(lab):
    with listening(lab, "t-a", HIDDEN_APP) as listener, connected(lab, PROXY_HIDDEN) as client:
        server, _ = accepted(listener)
        header_of(server)
        client.settimeout(60 / relayed().time_scale * 2)
        with lab.capture("inside", filter=f"tcp port {PROXY_HIDDEN}") as capture:
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert not capture.packets, "nobody is told"
            client.settimeout(PATIENCE_S)
            client.sendall(b"are you there")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_listeners_come_and_go_and_those_that_stay_keep_their_connections(lab):
    before = lab.topology
    without = replace(before, resources=tuple(each for each in before.resources if each.id not in ("listener-82", "tg-hidden-proxy")))
    with listening(lab, "t-a", PROXY_APP) as listener, connected(lab, PROXY) as client:
        server, _ = accepted(listener)
        header_of(server)
        lab.change(without)
        try:
            with lab["inside"].socket() as sock:
                sock.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    sock.connect((str(lab["nlb-relay-a"].address), PROXY_HIDDEN))
            client.sendall(b"still here")
            assert received(server, 10) == b"still here"
        finally:
            lab.change(before)
