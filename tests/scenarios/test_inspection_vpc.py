"""topologies/inspection_vpc.py with Linux firewalls: asymmetric routing through appliances, and appliance mode, switched while it runs."""

from dataclasses import replace

import pytest

from testbed.model import Protocol
from testbed.observe.probe import Answer
from testbed.oracle import Probe
from tests.scenarios.shop import resource, with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology("inspection_vpc")]

SILENCE_S = 0.3
HTTP = 80


@pytest.fixture
def asymmetric(lab):
    """Without appliance mode, for one test."""
    before = lab.topology
    lab.change(with_resources(before, resource(before, "attach-inspection", appliance_mode_support=False)))
    yield
    lab.change(before)


def walk(lab, port=HTTP):
    return lab.oracle.walk(Probe(source="client", destination=lab["server"].address, protocol=Protocol.TCP, source_port=40000, destination_port=port))


def firewalls(packets):
    return {packet.sniffed_on.partition("/")[0] for packet in packets}


def test_with_appliance_mode_both_directions_meet_one_firewall(lab):
    with lab.capture("fw-a", "fw-b", filter="tcp") as capture:
        assert lab["client"].tcp("server", HTTP).answer is Answer.REFUSED, "the server's own reset came back"
    assert len(firewalls(capture.packets)) == 1
    assert walk(lab).outcome.value == "delivered"


def test_without_it_the_answer_meets_a_firewall_that_has_not_seen_the_request(lab, asymmetric):
    with lab.capture("fw-a", "fw-b", filter="tcp") as capture:
        assert lab["client"].tcp("server", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert firewalls(capture.packets) == {"fw-a", "fw-b"}
    assert walk(lab).leg.value == "reply"
    assert walk(lab).origin == "fw-b lets no such flow begin, and knows none that it belongs to"


def test_the_packets_say_so_too(lab, asymmetric):
    explanation = lab.explain("client", "server", port=HTTP, timeout_s=SILENCE_S)
    assert not explanation.passed
    assert explanation.agrees, explanation
    assert "fw-b lets no such flow begin" in explanation.cause


def test_what_no_rule_lets_begin_is_dropped_by_either(lab):
    assert lab["client"].tcp("server", 22, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert walk(lab, 22).leg.value == "request"
    assert "lets no such flow begin" in walk(lab, 22).origin


def test_a_firewall_of_another_policy_is_a_live_change(lab):
    before = lab.topology
    lab.change(with_resources(before, *(replace(resource(before, name), user_data=replace(resource(before, name).user_data, tcp_ports=None)) for name in ("fw-a", "fw-b"))))
    assert lab["client"].tcp("server", 22).answer is Answer.REFUSED
    lab.change(before)
    assert lab["client"].tcp("server", 22, timeout_s=SILENCE_S).answer is Answer.SILENT
