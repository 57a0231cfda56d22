"""topologies/load_balancers.py: an ALB, an NLB, and an NLB before the ALB (facts: sections 10 and 3; rows of the exam's table)."""

import json

import pytest

from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology("load_balancers")]

WEB = {"web-a1", "web-b1", "web-b2"}


def answer(lab, host, path="/"):
    """What a user is told; the edge's DNS has the name."""
    return lab["user-paris"].curl(f"http://{host}.example.com{path}")


def seen_by(lab, host):
    """The sources of the requests for one page, at the web servers, health checks left out."""
    with lab.capture(*WEB, filter="tcp dst port 80 and tcp[tcpflags] == tcp-syn") as capture:
        assert answer(lab, host).status == 200
    checkers = {str(interface.address) for interface in lab.resolved.interfaces if interface.owner.startswith("nlb-")}
    return {packet["IP"].src for packet in capture.packets} - checkers


def static(lab, balancer):
    return {str(public_address(lab, f"{balancer}-{zone}")) for zone in "ab"}


def test_exam_a_static_address_is_an_nlb_not_an_alb(lab):
    """Belief: give the ALB an Elastic IP. Truth: only a Network Load Balancer has static addresses, one per zone; an ALB has a name."""
    assert set(lab["user-paris"].dig("static.example.com")) == static(lab, "nlb-static")
    origins = {interface.owner: interface.public_origin for interface in lab.resolved.interfaces if interface.owner in ("nlb-static", "alb-paths")}
    assert origins["nlb-static"].startswith("eip-static-")
    assert origins["alb-paths"] == "auto-assigned"
    assert answer(lab, "static").status == 200


def test_exam_routing_by_path_is_an_alb(lab):
    """Belief: any balancer routes by path. Truth: an ALB reads requests; an NLB passes on what it is given."""
    assert answer(lab, "paths", "/static").text == "by a rule\n"
    assert answer(lab, "static", "/static").status == 404, "the application's own answer"


def test_exam_rules_behind_a_static_address_are_an_nlb_before_an_alb(lab):
    """Belief: static addresses or rules by path, not both. Truth: an NLB whose target is the ALB."""
    assert set(lab["user-paris"].dig("front.example.com")) == static(lab, "nlb-front")
    assert answer(lab, "front", "/static").text == "by a rule\n"
    assert answer(lab, "front").headers["x-served-by"] in WEB


def test_exam_an_nlb_keeps_the_clients_address_and_an_alb_does_not(lab):
    """Belief: behind a balancer the client's address is lost. Truth: behind an ALB it is in a header only; behind an NLB it is the packet's source (instances as targets)."""
    client = str(lab["user-paris"].address)
    assert seen_by(lab, "static") == {client}
    assert seen_by(lab, "paths") <= {str(lab[f"alb-paths-{zone}"].address) for zone in "ab"}


def test_the_alb_behind_an_nlb_hears_of_the_client(lab):
    with lab.capture(*WEB, filter="tcp dst port 80") as capture:
        assert answer(lab, "front").status == 200
    payloads = b"".join(bytes(packet["TCP"].payload) for packet in capture.packets)
    assert f"X-Forwarded-For: {lab['user-paris'].address}".lower().encode() in payloads.lower()


def test_targets_are_healthy_by_every_balancer(lab):
    """nlb-internal-b has none to ask: its one target is in the other zone."""
    for log in lab.log_directory.glob("nlb-*.jsonl"):
        states = {event["target"]: event["state"] for line in log.read_text().splitlines() if (event := json.loads(line))["event"] == "target_health"}
        assert set(states.values()) == (set() if log.name.startswith("nlb-internal-b") else {"healthy"}), log.name
