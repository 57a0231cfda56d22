"""What the evidence of one probe amounts to."""

from dataclasses import replace
from ipaddress import IPv4Address
from types import SimpleNamespace

import recorded

from testbed.observe.explain import judge
from testbed.observe.probe import Answer, Protocol, Sent
from testbed.oracle import Outcome

SENT = Sent(source=IPv4Address("10.0.10.4"), destination=IPv4Address("10.0.20.4"), protocol=Protocol.TCP, source_port=40000, destination_port=5432, answer=Answer.SILENT)
THERE = ("10.0.10.4:40000", "10.0.20.4:5432")
BACK = THERE[::-1]


def explained(sent=SENT, verdicts=(), frames=(), walk=None, **more):
    return judge(source="web-a", destination="shop-db", sent=sent, receivers=frozenset({"shop-db"}), frames=frames, verdicts=verdicts, walk=walk, **more)


def walk(outcome: Outcome, origin: str):
    path = SimpleNamespace(outcome=outcome, origin=origin, leg="request")
    return SimpleNamespace(request=path, deciding=path)


DROPPED = (recorded.verdict(1, "sg-web#egress[0]", "goto", *THERE), recorded.verdict(1.1, "acl-database#*", "drop", *THERE))


def test_a_drop_is_blamed_on_its_rule():
    told = explained(verdicts=DROPPED)
    assert (told.passed, told.cause_origin) == (False, "acl-database#*")
    assert told.cause == "acl-database#* dropped the request (10.0.10.4:40000 -> 10.0.20.4:5432) in vpc-shop."


def test_a_dropped_reply_is_told_from_a_dropped_request():
    told = explained(verdicts=(recorded.verdict(1, "acl-database#100", "return", *THERE), recorded.verdict(2, "acl-private#*", "drop", *BACK, packet=2)))
    assert "dropped the reply" in told.cause
    assert [(hop.leg, hop.said, hop.dropped) for hop in told.hops] == [("request", ("acl-database#100 accept",), False), ("reply", ("acl-private#* drop",), True)]


def test_hops_are_in_the_order_in_which_packets_entered_not_in_which_traces_were_read():
    verdicts = (recorded.verdict(1, "igw-shop#1", "accept", *THERE, node="igw-shop", iif="vpc"), recorded.verdict(2, "sg-web#egress[0]", "goto", *THERE, iif="e-web-a"))
    frames = (recorded.frame("vpc-shop", "e-web-a", 0.5, *THERE), recorded.frame("igw-shop", "vpc", 0.9, *THERE))
    assert [hop.node for hop in explained(verdicts=verdicts, frames=frames).hops] == ["vpc-shop", "igw-shop"]


def test_a_refusal_by_the_host_itself_means_that_packets_pass():
    told = explained(replace(SENT, answer=Answer.REFUSED))
    assert told.passed and "nothing listens" in told.cause


def test_a_packet_lost_to_routing_is_last_seen_somewhere():
    told = explained(frames=(recorded.frame("vpc-shop", "e-web-a", 1, *THERE),))
    assert told.cause.endswith("there is no route onward from vpc-shop (last seen at vpc-shop/e-web-a).")


def test_a_router_that_says_no_is_named():
    told = explained(replace(SENT, answer=Answer.UNREACHABLE), frames=(recorded.frame("web-a", "eth0", 1, *THERE, outgoing=True),), refuser="city-london")
    assert told.cause == "No rule dropped it: city-london has no route to 10.0.20.4, and said so."


def test_the_model_is_contradicted_loudly():
    assert not explained(verdicts=DROPPED, walk=walk(Outcome.DELIVERED, "sg-db#ingress[0]")).agrees
    assert not explained(replace(SENT, answer=Answer.ANSWERED), walk=walk(Outcome.DROPPED, "acl-database#*")).agrees


def test_the_same_verdict_for_another_rule_is_a_disagreement():
    assert explained(verdicts=DROPPED, walk=walk(Outcome.DROPPED, "acl-database#*")).agrees
    assert not explained(verdicts=DROPPED, walk=walk(Outcome.DROPPED, "sg-db#ingress[*]")).agrees


def test_udp_that_arrived_owes_no_answer():
    sent = replace(SENT, protocol=Protocol.UDP)
    datagram = recorded.frame("shop-db", "eth0", 1, *THERE)
    udp = replace(datagram, data=datagram.data[:23] + b"\x11" + datagram.data[24:])
    assert explained(sent, frames=(udp,)).passed
    assert not explained(sent).passed
