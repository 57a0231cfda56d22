"""What the evidence of one probe amounts to."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from types import SimpleNamespace

import recorded

from testbed.observe.explain import judge
from testbed.observe.packets import TCP_ACK, TCP_SYN
from testbed.observe.probe import Answer, Protocol, Sent
from testbed.oracle import Advice, Outcome
from testbed.plan import Interface, Link, Node, NodeKind, Plan, PolicyRule, Route, RouteType

SENT = Sent(source=IPv4Address("10.0.10.4"), destination=IPv4Address("10.0.20.4"), protocol=Protocol.TCP, source_port=40000, destination_port=5432, answer=Answer.SILENT)
THERE = ("10.0.10.4:40000", "10.0.20.4:5432")
BACK = THERE[::-1]


def explained(sent=SENT, verdicts=(), frames=(), oracle=None, plan=None, **more):
    return judge(source="web-a", destination="shop-db", sent=sent, receivers=frozenset({"shop-db"}), frames=frames, verdicts=verdicts, oracle=oracle, plan=plan or recorded.plan(), **more)


def model(outcome: Outcome, origin: str):
    """An oracle with one answer."""
    path = SimpleNamespace(outcome=outcome, origin=origin, leg="request", hops=(SimpleNamespace(stage="route"),))
    walk = SimpleNamespace(request=path, deciding=path)
    return SimpleNamespace(ask=lambda *_: walk, describe=lambda origin, direction: "tcp/5432 from sg-web" if origin == "sg-db#ingress[0]" else "", advise=lambda _: Advice(cause="Because.", remedy="do this"))


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
    assert not explained(verdicts=DROPPED, oracle=model(Outcome.DELIVERED, "sg-db#ingress[0]")).agrees
    assert not explained(replace(SENT, answer=Answer.ANSWERED), oracle=model(Outcome.DROPPED, "acl-database#*")).agrees


def test_the_same_verdict_for_another_rule_is_a_disagreement():
    assert explained(verdicts=DROPPED, oracle=model(Outcome.DROPPED, "acl-database#*")).agrees
    assert not explained(verdicts=DROPPED, oracle=model(Outcome.DROPPED, "sg-db#ingress[*]")).agrees


def test_udp_that_arrived_owes_no_answer():
    sent = replace(SENT, protocol=Protocol.UDP)
    datagram = recorded.frame("shop-db", "eth0", 1, *THERE)
    udp = replace(datagram, data=datagram.data[:23] + b"\x11" + datagram.data[24:])
    assert explained(sent, frames=(udp,)).passed
    assert not explained(sent).passed


def test_advice_is_given_only_where_the_model_agrees():
    assert explained(verdicts=DROPPED, oracle=model(Outcome.DROPPED, "acl-database#*")).remedy == "do this"
    assert explained(verdicts=DROPPED, oracle=model(Outcome.DELIVERED, "sg-db#ingress[0]")).remedy == ""


def test_a_rule_is_told_with_what_it_says():
    told = explained(verdicts=(recorded.verdict(1, "sg-db#ingress[0]", "goto", *THERE),), oracle=model(Outcome.DELIVERED, ""))
    assert told.hops[0].said == ("sg-db#ingress[0] tcp/5432 from sg-web accept",)


def fabric_plan(*routes: Route) -> Plan:
    """A fabric that gives packets with mark 1 the table 10001."""
    local = Route(destination=IPv4Network("10.0.0.0/16"), type=RouteType.THROW, table=10001, origin="rtb-a 10.0.0.0/16 -> local")
    interface = Route(destination=IPv4Network("10.0.20.4/32"), device="e-db", origin="eni-shop-db")
    rule = PolicyRule(priority=10001, mark=1, mask=0xFFF, table=10001, origin="rtb-a")
    ends = [Interface(node="vpc-shop", name=f"e-{name}", mac="02:00:00:00:00:01") for name in ("a", "db")]
    guests = [Interface(node=name, name="eth0", mac="02:00:00:00:00:02") for name in ("web-a", "shop-db")]
    return Plan(
        name="p",
        nodes=(Node(name="vpc-shop", kind=NodeKind.FABRIC, rules=(rule,), routes=(local, interface, *routes)), *(Node(name=name, kind=NodeKind.INSTANCE) for name in ("shop-db", "web-a"))),
        links=tuple(Link(a=guest, b=end) for guest, end in zip(guests, ends, strict=True)),
    )


def marked(offset_ms: float, origin: str, chain: str, word: str = "return"):
    return replace(recorded.verdict(offset_ms, origin, word, *THERE), mark=1, chain=f"ip fabric {chain}")


def test_the_deciding_route_stands_between_the_two_network_acls_as_on_aws():
    verdicts = (marked(1, "rtb-a", "subnet.a"), marked(1.1, "acl-a#100", "acl.acl_a.outbound"), marked(1.2, "acl-db#100", "acl.acl_db.inbound"))
    told = explained(replace(SENT, answer=Answer.ANSWERED), verdicts=verdicts, plan=fabric_plan())
    assert told.hops[0].said == ("acl-a#100 accept", "rtb-a 10.0.0.0/16 -> local", "acl-db#100 accept")


def test_a_packet_that_a_blackhole_swallowed_is_told_by_its_route():
    dead = Route(destination=IPv4Network("10.0.20.0/24"), type=RouteType.BLACKHOLE, table=10001, origin="rtb-a 10.0.20.0/24 -> eni-gone (blackhole)")
    told = explained(verdicts=(marked(1, "rtb-a", "subnet.a"),), frames=(recorded.frame("vpc-shop", "e-a", 0.9, *THERE),), plan=fabric_plan(dead))
    assert told.hops[0].dropped
    assert told.cause == "No rule dropped it, a route did: rtb-a 10.0.20.0/24 -> eni-gone (blackhole)."


def test_a_translation_is_followed_by_what_the_packet_carries():
    inside, outside = "10.0.10.4:40000", "10.0.0.9:51000"
    frames = (
        recorded.frame("web-a", "eth0", 0.5, inside, "10.0.20.4:5432", TCP_SYN, outgoing=True),
        recorded.frame("nat-a", "eth0", 1.0, inside, "10.0.20.4:5432", TCP_SYN),
        recorded.frame("nat-a", "eth0", 1.1, outside, "10.0.20.4:5432", TCP_SYN, outgoing=True),
        recorded.frame("nat-a", "eth0", 2.0, "10.0.20.4:5432", outside, TCP_SYN | TCP_ACK),
        recorded.frame("nat-a", "eth0", 2.1, "10.0.20.4:5432", inside, TCP_SYN | TCP_ACK, outgoing=True),
    )
    told = explained(replace(SENT, answer=Answer.ANSWERED), frames=frames)
    assert [(hop.leg, hop.packet, hop.became) for hop in told.hops] == [
        ("request", f"{inside} -> 10.0.20.4:5432", f"{outside} -> 10.0.20.4:5432"),
        ("reply", f"10.0.20.4:5432 -> {outside}", f"10.0.20.4:5432 -> {inside}"),
    ]


def test_what_a_flood_costs_a_good_packet_is_no_contradiction():
    flood = "Shield Standard (SYN flood: the first SYN of a source that has not proved itself)"
    told = explained(verdicts=(recorded.verdict(1, flood, "drop", *THERE),), oracle=model(Outcome.DELIVERED, "sg-db#ingress[0]"))
    assert (told.passed, told.agrees, told.cause_origin) == (False, True, flood)
    assert "there is a flood" in told.oracle
    forged = explained(verdicts=(recorded.verdict(1, "Shield Standard (packet validation: TCP flags)", "drop", *THERE),), oracle=model(Outcome.DELIVERED, "sg-db#ingress[0]"))
    assert not forged.agrees
