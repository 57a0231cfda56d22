"""Checks of "The fibre and its backup"."""

from scapy.layers.inet import ICMP, IP

from testbed.labs.checking import CheckedLab, check
from testbed.observe.continuity import Continuity

SSH, HTTPS = 22, 443
FIBRE, ON_THE_FIBRE = "dxcon-hq", "dxcon-hq/fibre"
REQUEST, REPLY = 8, 0
HOLD_S = 90 / 10
"""AWS's hold timer; the lab's timers run ten times as fast."""
STEADY = 20


def ways(lab: CheckedLab) -> frozenset[int]:
    """Which of a ping's two packets pass the fibre: request, reply, both or none."""
    with lab.capture(ON_THE_FIBRE, filter="icmp or (vlan and icmp)") as capture:
        lab["pc"].ping("app")
        capture.wait_for(2, timeout_s=0.3)
    return frozenset(packet[ICMP].type for packet in capture.packets if IP in packet and ICMP in packet)


@check(step=1, points=3)
def test_both_directions_take_the_fibre(lab: CheckedLab) -> None:
    """pc reaches app, and a capture on the fibre shows the request and the reply."""
    lab["pc"].tcp("app", HTTPS)
    both = lab.soon(lambda: ways(lab) == {REQUEST, REPLY})
    seen = {frozenset(): "nothing of it", frozenset({REQUEST}): "the request only", frozenset({REPLY}): "the reply only"}
    assert both, f"of a ping from pc to app the fibre carries {seen.get(ways(lab), 'both packets')}"


@check(step=1, points=1, negative=True)
def test_nothing_but_https(lab: CheckedLab) -> None:
    """pc does not reach SSH on app."""
    assert not lab["pc"].tcp("app", SSH).passed


@check(step=2, points=3)
def test_the_tunnels_take_over(lab: CheckedLab) -> None:
    """With the fibre cut, pc still reaches app."""
    with lab.failing(FIBRE):
        taken_over = lab.soon(lambda: lab["pc"].tcp("app", HTTPS).passed)
        evidence = "" if taken_over else lab.evidence()
    assert taken_over, f"with {FIBRE} cut: {evidence}"


@check(step=3, points=1)
def test_it_goes_back(lab: CheckedLab) -> None:
    """Once the fibre is healed, both directions take it again."""
    assert lab.soon(lambda: ways(lab) == {REQUEST, REPLY})


@check(step=3, points=3)
def test_a_silent_loss_is_noticed(lab: CheckedLab) -> None:
    """The fibre swallows everything, its light still on: traffic that is under way goes on long before the hold timer ends."""
    lab["pc"].tcp("app", HTTPS)
    assert lab.soon(lambda: ways(lab) == {REQUEST, REPLY}), "the fibre does not carry the traffic to begin with"
    with Continuity(lab, "pc", "app", port=HTTPS) as traffic:
        assert traffic.wait_for_answers(STEADY, HOLD_S), "there is no steady traffic to begin with"
        since = traffic.now()
        with lab.failing(FIBRE, "blackhole"):
            goes_on = lab.soon(lambda: traffic.outage(since).lost > 0) and traffic.wait_for_answers(STEADY, HOLD_S / 2)
            out = traffic.outage(since)
    assert goes_on and out.duration_s < HOLD_S / 2, f"{out}: in AWS's time ten times as long"
