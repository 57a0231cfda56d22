"""What balancers have said, read from their events as they grow."""

import msgspec
import pytest

from services.common.events import ALB_REQUEST, TARGET_HEALTH
from testbed.plan import Plan, ServiceSpec
from testbed.scaling.signals import BalancerEvents

NODES = ("alb-a.alb", "alb-b.alb")
PLAN = Plan(name="p", services=tuple(ServiceSpec(name=name, kind="alb", node=name[:5], config="{}") for name in NODES))


@pytest.fixture
def say(tmp_path):
    def said(service, event, ending=b"\n", **fields):
        with (tmp_path / f"{service}.jsonl").open("ab") as log:
            log.write(msgspec.json.encode({"t": 1.0, "service": service, "event": event, **fields}) + ending)

    return said


def health(say, service, state, target="web-a"):
    say(service, TARGET_HEALTH, target_group="tg", target=target, state=state, reason="")


def test_a_target_is_healthy_if_some_node_says_so_and_unhealthy_if_all_do(tmp_path, say):
    events = BalancerEvents(tmp_path)
    events.read(PLAN)
    assert events.target("tg", "web-a", ()) == "initial"
    health(say, "alb-a.alb", "healthy")
    health(say, "alb-b.alb", "unhealthy")
    events.read(PLAN)
    assert events.target("tg", "web-a", ()) == "healthy"
    assert events.target("tg", "web-a", ("alb-a.alb",)) == "unhealthy", "a node that has failed has no say"
    health(say, "alb-a.alb", "unhealthy")
    events.read(PLAN)
    assert events.target("tg", "web-a", ()) == "unhealthy"


def test_a_target_has_left_once_every_node_that_is_there_has_let_go_of_it(tmp_path, say):
    events = BalancerEvents(tmp_path)
    for service, state in zip(NODES, ("draining", "unused"), strict=True):
        health(say, service, state)
    events.read(PLAN)
    assert not events.has_left("tg", "web-a", ())
    assert events.has_left("tg", "web-a", ("alb-a.alb",))
    health(say, "alb-a.alb", "unused")
    events.read(PLAN)
    assert events.has_left("tg", "web-a", ())


def test_requests_are_counted_once_each_and_a_line_that_is_being_written_is_not_read_yet(tmp_path, say):
    events = BalancerEvents(tmp_path)
    say("alb-a.alb", ALB_REQUEST, target_group="tg", target="web-a", status=200)
    say("alb-a.alb", ALB_REQUEST, target_group=None, target=None, status=404)
    say("alb-a.alb", ALB_REQUEST, target_group="tg", target="web-a", status=200, ending=b"")
    events.read(PLAN)
    assert events.requests["tg"] == 1
    with (tmp_path / "alb-a.alb.jsonl").open("ab") as log:
        log.write(b"\n")
    events.read(PLAN)
    events.read(PLAN)
    assert events.requests["tg"] == 2
