"""Global Accelerator's daemon: which endpoint has which slot by dials, weights and health, and what it makes of checks and of what load balancers tell."""

import asyncio
import json
import socket
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import zone_health
from services.common.config import HealthCheck, decode, encode
from services.common.events import EventLog
from services.common.runtime import Runtime
from services.global_accelerator import server
from services.global_accelerator.config import SLOTS, Config, Endpoint, EndpointGroup, Listener, Way, apportioned, spread

CHECK = HealthCheck(protocol="TCP", port=80, interval_s=0.03, timeout_s=0.5, healthy_threshold=2, unhealthy_threshold=2)


def endpoint(name: str, weight: int = 128, ways: int = 1) -> Endpoint:
    return Endpoint(id=name, weight=weight, ways=tuple(Way(address=IPv4Address(int.from_bytes(name.encode()[-2:]) * 256 + number)) for number in range(ways)))


def group(name: str, *endpoints: Endpoint, dial: float = 100.0) -> EndpointGroup:
    return EndpointGroup(id=name, region=name, traffic_dial_percentage=dial, health_check=CHECK, endpoints=endpoints)


def shares(groups: list[EndpointGroup], unhealthy: tuple[str, ...] = (), slots: int = SLOTS) -> dict[str, int]:
    """The slots of each endpoint."""
    owners = {way: each.id for one in groups for each in one.endpoints for way in each.ways}
    return dict(Counter(owners[way] for way in spread(groups, lambda _, each, __: each.id not in unhealthy, slots)))


NEAR, FAR = group("near", endpoint("a")), group("far", endpoint("b"))


def test_everything_goes_to_the_nearest_group() -> None:
    assert shares([NEAR, FAR]) == {"a": SLOTS}


def test_a_dial_leaves_the_rest_to_the_next_nearest_group() -> None:
    assert shares([replace(NEAR, traffic_dial_percentage=75), FAR]) == {"a": 192, "b": 64}
    assert shares([replace(NEAR, traffic_dial_percentage=0), FAR]) == {"b": SLOTS}


def test_what_all_dials_leave_is_spread_as_they_are() -> None:
    assert shares([replace(NEAR, traffic_dial_percentage=50), replace(FAR, traffic_dial_percentage=50)]) == {"a": 171, "b": 85}
    assert shares([replace(NEAR, traffic_dial_percentage=0), replace(FAR, traffic_dial_percentage=0)]) == {}


def test_weights_split_a_group_and_0_takes_nothing() -> None:
    assert shares([group("g", endpoint("a", 64), endpoint("b", 192), endpoint("c", 0))]) == {"a": 64, "b": 192}


def test_an_unhealthy_endpoints_slots_go_to_its_group_and_no_others_move() -> None:
    three = [group("g", endpoint("a"), endpoint("b"), endpoint("c"))]
    before, after = spread(three, lambda *_: True, SLOTS), spread(three, lambda _, each, __: each.id != "b", SLOTS)
    moved = [slot for slot in range(SLOTS) if before[slot] != after[slot]]
    assert {before[slot] for slot in moved} == set(three[0].endpoints[1].ways)
    assert abs(shares(three, ("b",))["a"] - SLOTS / 2) <= 1


def test_a_group_without_a_healthy_endpoint_leaves_all_to_another_even_one_whose_dial_is_0() -> None:
    assert shares([NEAR, replace(FAR, traffic_dial_percentage=0)], ("a",)) == {"b": SLOTS}


def test_only_three_more_groups_are_tried_then_the_nearest_takes_all_healthy_or_not() -> None:
    groups = [group(name, endpoint(name)) for name in "abcde"]
    assert shares(groups, ("a", "b", "c")) == {"d": SLOTS}
    assert shares(groups, ("a", "b", "c", "d")) == {"a": SLOTS}, "e would be a fourth"


def test_a_group_whose_weights_are_all_0_is_as_one_without_healthy_endpoints() -> None:
    assert shares([group("near", endpoint("a", 0)), FAR]) == {"b": SLOTS}


def test_a_balancers_healthy_zones_share_its_slots() -> None:
    balancer = endpoint("alb", ways=2)
    one = [group("g", balancer)]
    assert Counter(spread(one, lambda *_: True, SLOTS)) == dict.fromkeys(balancer.ways, SLOTS // 2)
    assert set(spread(one, lambda _, __, way: way is balancer.ways[1], SLOTS)) == {balancer.ways[1]}


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12), st.integers(1, 1000))
def test_whole_numbers_come_as_near_to_the_shares_as_they_can(weights: list[int], count: int) -> None:
    counts = apportioned(weights, count)
    assert sum(counts) == (count if any(weights) else 0)
    assert all(abs(own - count * weight / sum(weights)) <= 1 for own, weight in zip(counts, weights, strict=True) if any(weights))


GROUPS = st.lists(st.tuples(st.sampled_from((0.0, 10.0, 50.0, 100.0)), st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=4)), min_size=1, max_size=5)


@given(GROUPS)
def test_either_all_slots_have_an_owner_or_none_and_unhealthy_ones_have_none_while_others_may(drawn: list[tuple[float, list[tuple[int, bool]]]]) -> None:
    groups = [group(f"g{n}", *(endpoint(f"{n}{m}", weight) for m, (weight, _) in enumerate(endpoints)), dial=dial) for n, (dial, endpoints) in enumerate(drawn)]
    sick = tuple(f"{n}{m}" for n, (_, endpoints) in enumerate(drawn) for m, (_, healthy) in enumerate(endpoints) if not healthy)
    found = shares(groups, sick)
    assert sum(found.values()) in (0, SLOTS)
    reachable = [each.id for one in groups[: 1 + 3] for each in one.endpoints if each.weight and each.id not in sick]
    if reachable and found:
        assert not set(found) & set(sick)


class Kernel:
    """What an edge has written, in place of the kernel."""

    written: dict[str, tuple[Way, ...]]

    def forget(self) -> None:
        pass

    async def write(self, _table: str, maps: dict[str, tuple[Way, ...]]) -> None:
        self.written = dict(maps)


class Running:
    """An edge location with a listening socket as its first endpoint, and a load balancer that tells by a file as its second."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        self.kernel = Kernel()
        monkeypatch.setattr(server, "Kernel", lambda: self.kernel)
        monkeypatch.setattr(server, "LOOK_EVERY_S", 0.02)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.zone = tmp_path / "zone"
        self.instance = Endpoint(id="web", weight=128, ways=(Way(address=IPv4Address("127.0.0.1")),))
        self.balancer = Endpoint(id="alb", weight=128, ways=(Way(address=IPv4Address("127.0.0.2"), health_file=str(self.zone)),))
        check = replace(CHECK, port=self.listener.getsockname()[1])
        self.near, self.far = replace(group("near", self.instance), health_check=check), group("far", self.balancer)
        self.config = Config(edge_location="LHR", table="ga", listeners=(Listener(id="l", map="slots.l", groups=(self.near, self.far)),))
        self.log = tmp_path / "events"

    def states(self) -> dict[str, str]:
        events = (json.loads(line) for line in self.log.read_text().splitlines())
        return {event["endpoint"]: event["state"] for event in events if event["event"] == "endpoint_health"}

    def served(self) -> set[Way]:
        return set(self.kernel.written["slots.l"])

    def play(self, scene) -> None:
        async def whole() -> None:
            with self.log.open("ab", buffering=0) as log:
                self.runtime = Runtime(name="ga", events=EventLog("ga", log.fileno()))
                serving = asyncio.create_task(server.serve(self.config, self.runtime))
                await scene(self)
                self.runtime.events.flush()
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                self.runtime.events.flush_soon = None

        asyncio.run(asyncio.wait_for(whole(), 20))
        self.listener.close()

    async def until(self, true) -> None:
        while not true():
            await asyncio.sleep(0.01)
            self.runtime.events.flush()


def test_an_endpoint_that_fails_its_checks_loses_its_slots_and_gets_them_back(tmp_path, monkeypatch) -> None:
    async def scene(edge: Running) -> None:
        await edge.until(lambda: edge.states() == {"web": "healthy", "alb": "healthy"})
        assert edge.served() == set(edge.instance.ways)
        port = edge.listener.getsockname()[1]
        edge.listener.close()
        await edge.until(lambda: edge.states()["web"] == "unhealthy")
        assert edge.served() == set(edge.balancer.ways)
        edge.listener = socket.create_server(("127.0.0.1", port))
        await edge.until(lambda: edge.states()["web"] == "healthy")
        assert edge.served() == set(edge.instance.ways)

    Running(tmp_path, monkeypatch).play(scene)


def test_a_load_balancer_is_as_healthy_as_its_targets(tmp_path, monkeypatch) -> None:
    async def scene(edge: Running) -> None:
        assert edge.runtime.reload is not None or await edge.until(lambda: edge.runtime.reload is not None) is None
        assert edge.runtime.reload is not None
        await edge.runtime.reload(replace(edge.config, listeners=(Listener(id="l", map="slots.l", groups=(edge.far, edge.near)),)))
        await edge.until(lambda: edge.states().get("alb") == "healthy" and edge.served() == set(edge.balancer.ways))
        zone_health.tell(str(edge.zone), healthy=False)
        await edge.until(lambda: edge.states()["alb"] == "unhealthy" and edge.served() == set(edge.instance.ways))
        zone_health.tell(str(edge.zone), healthy=True)
        await edge.until(lambda: edge.states()["alb"] == "healthy" and edge.served() == set(edge.balancer.ways))

    Running(tmp_path, monkeypatch).play(scene)


def test_with_nobody_healthy_the_nearest_group_takes_all(tmp_path, monkeypatch) -> None:
    async def scene(edge: Running) -> None:
        zone_health.tell(str(edge.zone), healthy=False)
        edge.listener.close()
        await edge.until(lambda: set(edge.states().values()) == {"unhealthy"} and len(edge.states()) == 2)
        assert edge.served() == set(edge.instance.ways)

    Running(tmp_path, monkeypatch).play(scene)


def test_a_configuration_survives_json(tmp_path, monkeypatch) -> None:
    edge = Running(tmp_path, monkeypatch)
    edge.listener.close()
    assert decode(encode(edge.config), Config) == edge.config


@pytest.mark.parametrize("slots", [1, 3, SLOTS])
def test_any_number_of_slots_is_filled(slots: int) -> None:
    assert sum(shares([replace(NEAR, traffic_dial_percentage=30), FAR], slots=slots).values()) == slots
