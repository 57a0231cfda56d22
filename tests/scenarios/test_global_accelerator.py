"""Global Accelerator: where users enter, which endpoint they get, whose address it sees, and what becomes of flows when endpoints fail (facts: section 12; trap 30). Twenty times as fast as AWS."""

import socket
import time
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment

from testbed.model import Protocol
from testbed.oracle import Outcome, Probe
from tests.scenarios.accelerated import (
    BALANCED,
    EDGES,
    ENDPOINTS,
    GAME,
    HIDDEN,
    HTTP,
    HTTPS,
    INTERVAL_S,
    PATIENCE_S,
    PLAIN,
    THRESHOLD,
    TIME_SCALE,
    accelerated,
    ready,
    start,
    told,
    until,
)
from tests.scenarios.sending import send_raw
from tests.scenarios.shop import with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(accelerated)]

SILENCE_S = 0.4
HEALTH_CHECKERS = "203.0.113.0/24"
"""Edge locations' own addresses: an endpoint that does not admit them is soon left."""


@pytest.fixture(scope="module", autouse=True)
def endpoints(lab):
    """All endpoints answer and are known to be healthy, and every city has a way to the static addresses; tests that disturb this put it right."""
    running = [start(lab, name) for name in ENDPOINTS]
    ready(lab)
    yield
    for process in running:
        process.kill()
        process.wait()


def addresses(lab):
    return [str(address) for address in lab.resolved.accelerators[0].addresses]


def connect(lab, user, port=HTTP, address=None):
    sock = lab[user].socket()
    sock.settimeout(3)
    sock.connect((address or addresses(lab)[0], port))
    return sock


def ask(sock):
    """Who answers, and whom it sees."""
    sock.sendall(b"who?")
    name, peer = sock.recv(100).decode().split()
    return name, peer


def met(lab, user, port=HTTP, address=None):
    with connect(lab, user, port, address) as sock:
        return ask(sock)


def datagram(lab, user, port=GAME, address=None):
    with lab[user].socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.sendto(b"who?", (address or addresses(lab)[0], port))
        name, peer, _ = sock.recv(100).decode().split()
        return name, peer


def test_exam_static_addresses_for_global_tcp_and_udp_are_an_accelerators(lab):
    """Belief: static addresses before several Regions are DNS's affair. Truth: an accelerator's two addresses are the same everywhere, for TCP and for UDP, and lead to the nearest Region."""
    nearest = {"user-london": ("web-eu", "web-eu2"), "user-newyork": ("web-us",), "user-tokyo": ("web-eu", "web-eu2")}
    for user, endpoints in nearest.items():
        assert lab[user].dig(lab.resolved.accelerators[0].dns_name) == tuple(sorted(addresses(lab)))
        for address in addresses(lab):
            assert met(lab, user, address=address)[0] in endpoints
            assert datagram(lab, user, address=address)[0] == endpoints[0]


def test_exam_global_accelerator_is_not_cloudfront_and_caches_nothing(lab):
    """Belief: Global Accelerator brings content nearer, as CloudFront does. Truth: it works on packets: every request reaches an endpoint, and no header says that it was there."""
    answers = [lab["user-newyork"].curl(f"http://{addresses(lab)[0]}/") for _ in range(2)]
    hits = [int(answer.text.split()[-1]) for answer in answers]
    assert hits[1] == hits[0] + 1, "though the page may be kept for an hour"
    for answer in answers:
        assert answer.text.startswith(f"web-us {lab['user-newyork'].address}")
        assert not {"x-cache", "via", "age", "x-amz-cf-pop"} & set(answer.headers)


def test_a_user_enters_at_the_nearest_edge_and_leaves_the_internet_there(lab):
    with lab.capture(*EDGES.values(), "city-dublin", filter=f"tcp dst port {HTTP} and tcp[tcpflags] == tcp-syn") as capture:
        for user in EDGES:
            met(lab, user)
    for user, edge in EDGES.items():
        entered = {packet.sniffed_on.partition("/")[0] for packet in capture.packets if packet[IP].src == str(lab[user].address)}
        assert entered == {edge}, "the Region's city sees none of it"


def test_an_endpoint_in_a_subnet_without_a_way_out_sees_the_client(lab):
    assert met(lab, "user-london") in [(name, str(lab["user-london"].address)) for name in ("web-eu", "web-eu2")]
    assert datagram(lab, "user-tokyo") == ("web-eu", str(lab["user-tokyo"].address))


def test_an_elastic_ip_never_sees_the_client(lab):
    own = next(exit.address for exit in lab.resolved.accelerator_exits if exit.address is not None)
    assert met(lab, "user-tokyo", HIDDEN) == ("hidden-eu", str(own))


def test_a_network_balancer_with_a_group_passes_the_client_on_and_one_without_hides_it(lab):
    until(lambda: reaches(lab, "user-london", BALANCED) and reaches(lab, "user-london", PLAIN), "no balancer answers")
    assert met(lab, "user-london", BALANCED) == ("web-us", str(lab["user-london"].address))
    own = next(exit.address for exit in lab.resolved.accelerator_exits if exit.node == "ga-us-east-1")
    assert met(lab, "user-london", PLAIN) == ("web-us", str(own))


def test_client_affinity_keeps_a_client_on_one_endpoint(lab):
    assert len({met(lab, "user-london", HTTPS)[0] for _ in range(8)}) == 1
    assert {met(lab, "user-london", HTTP)[0] for _ in range(16)} == {"web-eu", "web-eu2"}, "without it, ports decide"


def test_fragments_of_udp_pass_and_those_of_tcp_do_not(lab):
    source, address = str(lab["user-london"].address), addresses(lab)[0]
    with lab["user-london"].socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.bind(("0.0.0.0", 0))
        whole = IP(src=source, dst=address, id=7) / UDP(sport=sock.getsockname()[1], dport=GAME) / (b"x" * 2000)
        for piece in fragment(whole, 1000):
            send_raw(lab, "user-london", piece)
        assert sock.recv(100).split()[-1] == b"2000"
    with lab.capture("web-eu", "web-eu2", filter=f"tcp and host {source}") as capture:
        for piece in fragment(IP(src=source, dst=address, id=8) / TCP(sport=40007, dport=HTTP, flags="S", options=[("NOP", None)] * 40), 24):
            send_raw(lab, "user-london", piece)
        time.sleep(SILENCE_S)
    assert not capture.packets


@pytest.mark.parametrize(
    ("user", "protocol", "port"),
    [
        ("user-london", "tcp", HTTP),
        ("user-tokyo", "tcp", HIDDEN),
        ("user-newyork", "tcp", 22),
        ("user-newyork", "udp", GAME),
        ("user-tokyo", "icmp", 0),
        ("user-london", "tcp", BALANCED),
        ("user-london", "tcp", PLAIN),
        ("hidden-eu", "tcp", HIDDEN),
    ],
)
def test_packets_meet_what_the_model_says(lab, user, protocol, port):
    """An endpoint that is its own client, too."""
    told_by = lab.explain(user, "ga", port=port, protocol=protocol)
    assert told_by.agrees, (told_by.cause, told_by.oracle)
    assert told_by.passed is (port in (HTTP, HIDDEN, GAME, BALANCED, PLAIN))


def test_groups_and_acls_of_an_endpoint_judge_the_client(lab):
    """The client's own address meets the endpoint's group; that an unused port is closed shows at the endpoint, not at the edge."""
    before = lab.topology
    group = next(each for each in before.resources if each.id == "sg-us")
    rules = tuple(replace(group.security_group_ingress[0], cidr_ip=block) for block in (f"{lab['user-london'].address}/32", HEALTH_CHECKERS))
    lab.change(with_resources(before, replace(group, security_group_ingress=rules)))
    try:
        refused = lab.explain("user-newyork", "ga", port=HTTP)
        assert not refused.passed
        assert refused.agrees, refused.oracle
        assert refused.cause_origin == "sg-us#ingress no rule"
    finally:
        lab.change(before)


def test_a_dial_of_zero_moves_new_flows_and_no_others(lab):
    before = lab.topology
    with connect(lab, "user-london") as old:
        first = ask(old)[0]
        assert first.startswith("web-eu")
        lab.change(with_resources(before, replace(next(each for each in before.resources if each.id == "group-http-eu"), traffic_dial_percentage=0)))
        try:
            walk = lab.oracle.walk(Probe(source="user-london", destination=lab.resolved.accelerators[0].addresses[0], protocol=Protocol.TCP, destination_port=HTTP))
            assert walk.outcome is Outcome.DELIVERED
            assert "listener-http -> group-http-us" in {hop.origin for hop in walk.request.hops}
            until(lambda: met(lab, "user-london")[0] == "web-us", "never moved")
            assert ask(old)[0] == first
        finally:
            lab.change(before)
    until(lambda: met(lab, "user-london")[0].startswith("web-eu"), "never back")


def test_trap_30_failover_of_an_accelerator_is_instant_for_everyone(lab):
    """Belief: when an endpoint fails, Global Accelerator moves everybody at once.

    Truth: new connections go elsewhere after threshold x interval, without a change of DNS; an old one stays with its endpoint and hangs until it has been idle for 340 s (row 30).
    """
    named = lab["user-newyork"].dig(lab.resolved.accelerators[0].dns_name)
    with connect(lab, "user-newyork") as old:
        assert ask(old)[0] == "web-us"
        began = time.monotonic()
        lab.fail("web-us", "blackhole")
        try:
            old.sendall(b"still there?")
            told(lab, **{"web-us": "unhealthy"})
            until(lambda: met(lab, "user-newyork")[0].startswith("web-eu"), "never moved")
            took_s = (time.monotonic() - began) * TIME_SCALE
            print(f"failover after {took_s:.0f} s of AWS's time; threshold x interval is {THRESHOLD * INTERVAL_S} s")
            old.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):
                old.recv(100)
            assert lab["user-newyork"].dig(lab.resolved.accelerators[0].dns_name) == named
        finally:
            lab.heal()
        old.settimeout(PATIENCE_S)
        assert old.recv(100).startswith(b"web-us"), "its endpoint is back, and so is the connection"
    told(lab, **{"web-us": "healthy"})


def test_an_edge_that_fails_hands_its_users_to_the_next(lab):
    """BGP takes its addresses back; what it knew of flows is lost with it, and who goes on with one is told so."""
    with connect(lab, "user-london") as old:
        ask(old)
        lab.fail("ga-edge-lhr", "cut")
        try:
            until(lambda: "ga-edge" not in lab["city-london"].run("ip", "route", "get", addresses(lab)[0]).out, "the route stays")
            until(lambda: reaches(lab, "user-london"), "nobody takes over")
            with lab.capture("ga-edge-jfk", filter=f"tcp dst port {HTTP} and tcp[tcpflags] == tcp-syn and host {lab['user-london'].address}") as capture:
                met(lab, "user-london")
            assert capture.packets
            old.sendall(b"still there?")
            with pytest.raises(ConnectionResetError):
                old.recv(100)
        finally:
            lab.heal()
    until(lambda: "ga-edge" in lab["city-london"].run("ip", "route", "get", addresses(lab)[0]).out, "never back")


def reaches(lab, user, port=HTTP):
    try:
        return bool(met(lab, user, port))
    except OSError:
        return False
