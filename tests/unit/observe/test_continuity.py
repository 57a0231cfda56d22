"""Traffic that goes on, over the loopback: nothing is lost there; and what an outage is, from times alone."""

from __future__ import annotations

import socket
import time
from ipaddress import IPv4Interface
from types import SimpleNamespace

import pytest

from testbed.observe.continuity import EVERY_S, Continuity
from testbed.plan import Interface, Link, Node, NodeKind, Plan


def plan() -> Plan:
    ends = (Interface(node="a", name="eth0", mac="02:00:00:00:00:01"), Interface(node="b", name="eth0", mac="02:00:00:00:00:02", addresses=(IPv4Interface("127.0.0.1/8"),)))
    nodes = tuple(Node(name=name, kind=NodeKind.USER, label=name, origin=name) for name in "ab")
    return Plan(name="loopback", nodes=nodes, links=(Link(a=ends[0], b=ends[1]),), services=())


LOOPBACK = SimpleNamespace(plan=plan(), socket=lambda node, family, kind, protocol=0: socket.socket(family, kind, protocol))


def test_over_a_sound_way_nothing_is_lost_and_the_connection_lives():
    with Continuity(LOOPBACK, "a", "b") as traffic:
        since = traffic.now()
        assert traffic.wait_for_answers(10, 10.0)
        found = traffic.outage(since)
    assert (found.lost, found.duration_s, found.tcp_alive) == (0, 0.0, True)


def test_who_has_no_address_cannot_be_sent_anything():
    with pytest.raises(LookupError, match="a has no address"):
        Continuity(LOOPBACK, "b", "a")


def test_an_outage_is_from_the_last_answered_datagram_to_the_first_answered_after_it():
    traffic = Continuity(LOOPBACK, "a", "b")
    began = time.monotonic() - 10
    traffic._sent = [began + EVERY_S * number for number in range(100)]
    traffic._answered = {number: 0.0 for number in range(100) if not 20 <= number < 50 and number != 70}
    found = traffic.outage(began, until=began + 2)
    assert (found.sent, found.lost) == (100, 31)
    assert found.duration_s == pytest.approx(31 * EVERY_S)


def test_what_is_under_way_at_the_end_counts_neither_way():
    traffic = Continuity(LOOPBACK, "a", "b")
    began = time.monotonic() - 10
    traffic._sent = [began, began + 0.5]
    traffic._answered = {0: began}
    assert traffic.outage(began, until=began + 0.6).sent == 1
