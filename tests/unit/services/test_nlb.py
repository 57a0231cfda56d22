"""A Network Load Balancer's daemon: which target has which slot, what is written to the kernel, and what becomes of targets."""

import asyncio
import json
import socket
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.config import HealthCheck, decode, encode
from services.common.events import EventLog
from services.common.runtime import Runtime
from services.common.slot_maps import change_text, whole_text
from services.nlb import server
from services.nlb.config import SLOTS, SLOTS_PER_TARGET, Config, Target, TargetGroup, slots_for, spread

COUNTS = st.integers(1, 40)


def targets(count: int, port: int = 80) -> tuple[Target, ...]:
    return tuple(Target(id=f"t-{number}", address=IPv4Address("10.0.0.4") + number, port=port) for number in range(count))


@given(COUNTS)
def test_slots_are_a_power_of_two_and_at_least_four_a_target(count: int) -> None:
    slots = slots_for(count)
    assert slots >= max(SLOTS, SLOTS_PER_TARGET * count)
    assert slots & (slots - 1) == 0


@given(COUNTS, st.data())
def test_usable_targets_share_all_slots_and_no_other_has_one(count: int, data: st.DataObject) -> None:
    registered = targets(count)
    usable = set(data.draw(st.lists(st.sampled_from(registered), min_size=1, unique=True)))
    slots = spread(registered, usable, slots_for(count))
    shares = Counter(slots)
    assert len(slots) == slots_for(count)
    assert set(shares) <= usable
    assert len(usable) < count or max(shares.values()) - min(shares.values()) <= 1


@given(st.integers(2, 40), st.data())
def test_one_targets_change_moves_its_own_slots_only(count: int, data: st.DataObject) -> None:
    registered = targets(count)
    gone = data.draw(st.sampled_from(registered))
    before = spread(registered, registered, slots_for(count))
    after = spread(registered, set(registered) - {gone}, slots_for(count))
    assert all(new != gone if old == gone else new == old for old, new in zip(before, after, strict=True))


def test_without_a_usable_target_there_are_no_slots() -> None:
    assert spread(targets(3), (), SLOTS) == ()
    assert spread((), (), SLOTS) == ()


def test_the_text_of_a_change_names_what_differs_alone() -> None:
    one, other = targets(2)
    assert change_text("nlb", {"slots.tg": (one, other)}, {"slots.tg": (one, one)}) == "delete element ip nlb slots.tg { 1 }\nadd element ip nlb slots.tg { 1 : 10.0.0.4 . 80 }\n"
    assert change_text("nlb", {"slots.tg": (one, other)}, {"slots.tg": (one, other)}) == ""
    assert whole_text("nlb", {"slots.tg": (one,), "slots.none": ()}) == "flush map ip nlb slots.none\nflush map ip nlb slots.tg\nadd element ip nlb slots.tg { 0 : 10.0.0.4 . 80 }\n"


class Kernel:
    """What a node has written, in place of the kernel."""

    written: dict[str, tuple[Target, ...]]

    def forget(self) -> None:
        pass

    async def write(self, _table: str, maps: dict[str, tuple[Target, ...]]) -> None:
        self.written = dict(maps)


class Running:
    """A node with listening sockets as its targets, on the loopback."""

    def __init__(self, tmp_path, monkeypatch, **group: object) -> None:
        self.kernel, self.ended = Kernel(), []
        monkeypatch.setattr(server, "Kernel", lambda: self.kernel)

        async def end_flows(target: Target, _: tuple[str, ...]) -> None:
            self.ended.append(target.id)

        monkeypatch.setattr(server, "end_flows", end_flows)
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.targets = tuple(Target(id=f"t-{n}", address=IPv4Address("127.0.0.1"), port=listener.getsockname()[1]) for n, listener in enumerate(self.listeners))
        check = HealthCheck(protocol="TCP", interval_s=0.03, timeout_s=0.5, healthy_threshold=2, unhealthy_threshold=2)
        self.group = TargetGroup(id="tg", map="slots.tg", slots=SLOTS, protocols=("tcp",), targets=self.targets, health_check=check, **group)
        self.log, self.zone = tmp_path / "events", tmp_path / "zone"
        self.config = Config(load_balancer="nlb", availability_zone="a", zone_health_file=str(self.zone), table="nlb", target_groups=(self.group,))

    def states(self) -> dict[str, str]:
        events = (json.loads(line) for line in self.log.read_text().splitlines())
        return {event["target"]: event["state"] for event in events if event["event"] == "target_health"}

    def play(self, scene) -> None:
        async def whole() -> None:
            with self.log.open("ab", buffering=0) as log:
                self.runtime = Runtime(name="nlb", events=EventLog("nlb", log.fileno()))
                serving = asyncio.create_task(server.serve(self.config, self.runtime))
                await scene(self)
                self.runtime.events.flush()
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                self.runtime.events.flush_soon = None

        asyncio.run(asyncio.wait_for(whole(), 20))
        for listener in self.listeners:
            listener.close()

    async def until(self, true) -> None:
        while not true():
            await asyncio.sleep(0.01)
            self.runtime.events.flush()


def test_an_unhealthy_target_loses_its_slots_and_its_flows(tmp_path, monkeypatch) -> None:
    async def scene(node: Running) -> None:
        await node.until(lambda: node.states() == {"t-0": "healthy", "t-1": "healthy"})
        assert set(node.kernel.written["slots.tg"]) == set(node.targets)
        node.listeners[0].close()
        await node.until(lambda: node.states()["t-0"] == "unhealthy")
        assert set(node.kernel.written["slots.tg"]) == {node.targets[1]}
        await node.until(lambda: node.ended == ["t-0"])

    Running(tmp_path, monkeypatch).play(scene)


def test_without_a_healthy_target_it_fails_open_and_leaves_dns(tmp_path, monkeypatch) -> None:
    async def scene(node: Running) -> None:
        await node.until(lambda: node.zone.exists() and node.zone.read_bytes() == b"healthy\n")
        for listener in node.listeners:
            listener.close()
        await node.until(lambda: set(node.states().values()) == {"unhealthy"} and node.zone.read_bytes() == b"unhealthy\n")
        assert set(node.kernel.written["slots.tg"]) == set(node.targets)

    Running(tmp_path, monkeypatch).play(scene)


@pytest.mark.parametrize("terminate", [True, False])
def test_a_target_that_is_taken_out_drains_then_is_unused(tmp_path, monkeypatch, terminate) -> None:
    async def scene(node: Running) -> None:
        await node.until(lambda: node.states() == {"t-0": "healthy", "t-1": "healthy"})
        assert node.runtime.reload is not None
        await node.runtime.reload(replace(node.config, target_groups=(replace(node.group, targets=node.targets[1:]),)))
        assert set(node.kernel.written["slots.tg"]) == {node.targets[1]}, "new flows go elsewhere at once"
        await node.until(lambda: node.states()["t-0"] == "draining")
        assert node.ended == []
        await node.until(lambda: node.states()["t-0"] == "unused")
        assert node.ended == (["t-0"] if terminate else [])

    Running(tmp_path, monkeypatch, deregistration_delay_s=0.2, terminate_deregistered=terminate).play(scene)


def test_a_configuration_survives_json(tmp_path, monkeypatch) -> None:
    node = Running(tmp_path, monkeypatch)
    assert decode(encode(node.config), Config) == node.config
    for listener in node.listeners:
        listener.close()
