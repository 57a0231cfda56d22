"""A Network Load Balancer and the health of its targets: who gets flows, whose flows end, and what a zone without healthy targets comes to. Fifty times as fast as AWS.

Facts: section 10; trap 17 of README.md.
"""

import json
import socket
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from scapy.layers.inet import TCP

from services.common.zone_health import is_healthy
from testbed.compile.zone_health import zone_health_file
from testbed.observe.probe import Answer
from tests.scenarios.balanced import APP, HTTP, TARGETS, TIME_SCALE, checked
from tests.scenarios.sending import listening

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(checked)]

PATIENCE_S = 10.0
SILENCE_S = 0.3


def states(lab, node):
    """What the daemon of a node has said last of each target."""
    log = next(lab.log_directory.glob(f"{node}.nlb*.jsonl"))
    events = (json.loads(line) for line in log.read_text().splitlines())
    return {event["target"]: event["state"] for event in events if event["event"] == "target_health"}


def until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def told(lab, **wanted):
    """Wait until the nodes know this of targets; each node knows its zone's."""
    until(lambda: wanted.items() <= {**states(lab, "nlb-a"), **states(lab, "nlb-b")}.items(), f"never {wanted}: {states(lab, 'nlb-a')}, {states(lab, 'nlb-b')}")


def connect(lab, zone, client="inside"):
    sock = lab[client].socket()
    sock.settimeout(2)
    sock.connect((str(lab[f"nlb-{zone}"].address), HTTP))
    return sock


def accept(lab, listener, client="inside", patience_s=2.0):
    """The client's connection: health checks come from the node. Raises TimeoutError."""
    deadline = time.monotonic() + patience_s
    while True:
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        server, (source, _) = listener.accept()
        if source == str(lab[client].address):
            server.settimeout(2)
            return server
        server.close()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{client} has no connection here")


@pytest.fixture
def servers(lab):
    """All targets listen, and are known to be healthy."""
    with ExitStack() as stack:
        found = {name: stack.enter_context(listening(lab, name, APP)) for name in TARGETS}
        told(lab, **dict.fromkeys(TARGETS, "healthy"))
        yield found


def test_trap_17_with_all_its_targets_down_a_balancer_refuses(lab):
    """Belief: an NLB without a healthy target refuses connections.

    Truth: it fails open, and sends them to the unhealthy ones (row 17).
    """
    told(lab, **dict.fromkeys(TARGETS, "unhealthy"))
    with lab.capture("t-a", filter=f"tcp port {APP} and host {lab['inside'].address}") as capture:
        assert lab["inside"].tcp(lab["nlb-a"].address, HTTP).answer is Answer.REFUSED, "by the target, not by the balancer"
    assert [str(packet[TCP].flags) for packet in capture.packets] == ["S", "RA"]


def test_an_unhealthy_target_gets_no_new_flow_and_its_old_ones_are_reset(lab, servers):
    with connect(lab, "b") as first, connect(lab, "a") as other:
        owner = next(name for name in ("t-b1", "t-b2") if has_connection(lab, servers[name]))
        undisturbed = accept(lab, servers["t-a"])
        servers[owner].close()
        told(lab, **{owner: "unhealthy"})
        remaining = "t-b2" if owner == "t-b1" else "t-b1"
        for _ in range(8):
            with connect(lab, "b"):
                accept(lab, servers[remaining]).close()
        with pytest.raises(ConnectionError):
            until(lambda: first.send(b"still there?") == 0, "the flow goes on")
        other.sendall(b"undisturbed")
        assert undisturbed.recv(100) == b"undisturbed"
        undisturbed.close()


def has_connection(lab, listener):
    """Whether a client's connection waits to be accepted."""
    try:
        accept(lab, listener, patience_s=SILENCE_S).detach()  # kept open, as a server that hangs does
    except TimeoutError:
        return False
    return True


def test_a_zone_without_a_healthy_target_leaves_dns(lab, servers):
    def zones():
        return {zone: is_healthy(zone_health_file(f"nlb-{zone}")) for zone in "ab"}

    until(lambda: zones() == {"a": True, "b": True}, "never well")
    servers["t-a"].close()
    until(lambda: zones() == {"a": False, "b": True}, "never told")
    told(lab, **{"t-a": "unhealthy"})


def test_trap_draining_a_network_balancer_cuts_the_flows_of_a_target_that_is_taken_out(lab, servers):
    """Belief: who is deregistered is cut off. Truth: its flows go on for the deregistration delay, then end: connection termination is on here. New flows go to others at once."""
    before = lab.topology
    (group,) = (each for each in before.resources if each.id == "tg")
    with connect(lab, "a") as sock, accept(lab, servers["t-a"]) as server:
        lab.change(replace(before, resources=tuple(replace(each, targets=("t-b1", "t-b2")) if each is group else each for each in before.resources)))
        try:
            until(lambda: states(lab, "nlb-a")["t-a"] == "draining", "never draining")
            sock.sendall(b"goes on")
            assert server.recv(100) == b"goes on"
            assert lab["inside"].tcp(lab["nlb-a"].address, HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT, "its zone has no target now"
            until(lambda: states(lab, "nlb-a")["t-a"] == "unused", "never unused")
            with pytest.raises(ConnectionError):
                until(lambda: sock.send(b"still there?") == 0, "the flow goes on")
        finally:
            lab.change(before)


def test_an_idle_connection_is_reset_at_both_ends(lab, servers):
    """After the listener's 60 s, here a second and some, whoever sends first is told; so is the other one."""
    with connect(lab, "a") as sock, accept(lab, servers["t-a"]) as server:
        sock.sendall(b"hello")
        assert server.recv(100) == b"hello"
        time.sleep(60 / TIME_SCALE + 1.5)
        for end in (server, sock):
            end.send(b"still there?")
            with pytest.raises(ConnectionResetError):
                end.recv(100)


def test_other_flows_go_on_while_targets_change(lab, servers):
    before = lab.topology
    with connect(lab, "a") as sock, accept(lab, servers["t-a"]) as server:
        for targets in (("t-a", "t-b1"), ("t-a", "t-b2"), tuple(TARGETS)):
            lab.change(replace(before, resources=tuple(replace(each, targets=targets) if each.id == "tg" else each for each in before.resources)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(targets[-1].encode())
            assert server.recv(100) == targets[-1].encode()
