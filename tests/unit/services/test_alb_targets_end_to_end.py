"""A whole balancer on loopback: which target a client meets, again and again."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from services.alb.config import Action, Algorithm, Forward, Rule, Stickiness, TargetGroup, Weighted
from services.common import zone_health
from services.common.config import HealthCheck
from tests.unit.services.balancing import OK, Balancer, ScriptedTarget, a_config, balancing, body, run, status

LB_COOKIE = {"stickiness": Stickiness(duration_s=3600)}


def cookies_set(response: bytes) -> dict[str, str]:
    return dict(re.findall(r"Set-Cookie: ([^=]+)=([^;]+);", response.decode()))


async def bodies(balancer: Balancer, times: int, *headers: str) -> Counter[bytes]:
    return Counter([body(await balancer.get("/", *headers)) for _ in range(times)])


def test_a_client_with_the_cookie_stays_and_others_take_turns(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a"), ScriptedTarget("web-b"), group=LB_COOKIE) as balancer:
            first = await balancer.get()
            given = cookies_set(first)
            assert given.keys() == {"AWSALB", "AWSALBCORS"}
            assert "Path=/; SameSite=None; Secure" in first.decode()
            assert await bodies(balancer, 6, f"Cookie: AWSALB={given['AWSALB']}") == {body(first): 6}
            assert await bodies(balancer, 6, f"Cookie: AWSALB=made-up; AWSALBCORS={given['AWSALBCORS']}") == {body(first): 6}
            assert len(await bodies(balancer, 6)) == 2
            again = await balancer.get("/", f"Cookie: AWSALB={given['AWSALB']}")
            assert cookies_set(again).keys() == {"AWSALB", "AWSALBCORS"}

    run(scenario())


def test_a_session_is_lost_with_its_target(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        async with balancing(tmp_path, a, b, group=LB_COOKIE) as balancer:
            first = await balancer.get()
            cookie = f"Cookie: AWSALB={cookies_set(first)['AWSALB']}"
            left = b if body(first) == b"web-a" else a
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(a_config((left,), balancer.port, group=LB_COOKIE))
            moved = await balancer.get("/", cookie)
            assert body(moved) == left.name.encode()
            assert await bodies(balancer, 3, f"Cookie: AWSALB={cookies_set(moved)['AWSALB']}") == {left.name.encode(): 3}

    run(scenario())


def test_a_session_that_ran_out_takes_turns_again(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a"), ScriptedTarget("web-b"), group={"stickiness": Stickiness(duration_s=0.01)}) as balancer:
            cookie = f"Cookie: AWSALB={cookies_set(await balancer.get())['AWSALB']}"
            await asyncio.sleep(0.05)
            assert len(await bodies(balancer, 6, cookie)) == 2

    run(scenario())


def test_an_application_cookie_binds_once_the_application_sets_it(tmp_path: Path):
    async def scenario() -> None:
        async def answer(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            session = b"Set-Cookie: SESSION=s1; Path=/\r\n" if b"GET /login" in head else b""
            port = writer.get_extra_info("sockname")[1]
            writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 5\r\n\r\n%05d" % (session, port))

        group = {"stickiness": Stickiness(duration_s=3600, cookie_name="SESSION")}
        async with balancing(tmp_path, ScriptedTarget("web-a", answer), ScriptedTarget("web-b", answer), group=group) as balancer:
            assert cookies_set(await balancer.get("/")) == {}
            login = await balancer.get("/login")
            given = cookies_set(login)
            assert given.keys() == {"SESSION", "AWSALBAPP-0"}
            assert await bodies(balancer, 6, f"Cookie: SESSION=s1; AWSALBAPP-0={given['AWSALBAPP-0']}") == {body(login): 6}
            assert len(await bodies(balancer, 6, f"Cookie: AWSALBAPP-0={given['AWSALBAPP-0']}")) == 2  # both must come back

    run(scenario())


def weighted_rule(**weights: int) -> Rule:
    forward = Forward(target_groups=tuple(Weighted(target_group=group, weight=weight) for group, weight in weights.items()), stickiness_s=60.0)
    return Rule(priority=1, action=Action(forward=forward), origin="listener#1")


def test_weights_share_requests_among_groups_and_a_cookie_keeps_the_group(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        async with balancing(tmp_path, a, b) as balancer:
            config = a_config((a,), balancer.port, rules=(weighted_rule(tg=3, other=1),))
            (of_b,) = a_config((b,), balancer.port).target_groups
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(config, target_groups=(*config.target_groups, replace(of_b, id="other"))))
            seen = await bodies(balancer, 80)
            assert 5 <= seen[b"web-b"] <= 40
            first = await balancer.get()
            assert cookies_set(first).keys() == {"AWSALBTG", "AWSALBTGCORS"}
            assert await bodies(balancer, 8, f"Cookie: AWSALBTG={cookies_set(first)['AWSALBTG']}") == {body(first): 8}

    run(scenario())


def test_an_empty_group_keeps_its_share(tmp_path: Path):
    async def scenario() -> None:
        a = ScriptedTarget("web-a")
        async with balancing(tmp_path, a) as balancer:
            config = a_config((a,), balancer.port, rules=(weighted_rule(tg=0, empty=1),))
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(config, target_groups=(*config.target_groups, TargetGroup(id="empty", targets=()))))
            assert [status(await balancer.get()) for _ in range(3)] == [503] * 3

    run(scenario())


def test_with_cross_zone_off_a_node_serves_its_own_zone(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        async with balancing(tmp_path, a, b) as balancer:
            config = a_config((a, b), balancer.port, group={"cross_zone": False})
            (group,) = config.target_groups
            near, far = group.targets
            placed = replace(group, targets=(replace(near, availability_zone="eu-west-1a"), replace(far, availability_zone="eu-west-1b")))
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(config, target_groups=(placed,)))
            assert await bodies(balancer, 4) == {b"web-a": 4}

    run(scenario())


def test_least_outstanding_requests_avoids_a_busy_target(tmp_path: Path):
    async def scenario() -> None:
        async def slow(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.3)
            writer.write(OK % (4, b"slow"))

        group = {"algorithm": Algorithm.LEAST_OUTSTANDING_REQUESTS}
        async with balancing(tmp_path, ScriptedTarget("a", slow), ScriptedTarget("fast"), group=group) as balancer:
            waiting = [asyncio.ensure_future(balancer.get()) for _ in range(2)]
            await asyncio.sleep(0.1)
            assert await bodies(balancer, 5) == {b"fast": 5}
            assert Counter(map(body, await asyncio.gather(*waiting))) == {b"slow": 1, b"fast": 1}

    run(scenario())


@pytest.mark.parametrize(("delay_s", "answer"), [(5.0, 200), (0.05, 502)])
def test_a_request_in_progress_has_the_deregistration_delay_to_finish(tmp_path: Path, delay_s: float, answer: int):
    async def scenario() -> None:
        async def slow(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.4)
            writer.write(OK % (3, b"end"))

        a, b = ScriptedTarget("web-a", slow), ScriptedTarget("web-b")
        group = {"deregistration_delay_s": delay_s}
        async with balancing(tmp_path, a, group=group) as balancer:
            request = asyncio.ensure_future(balancer.get())
            await balancer.until(lambda: bool(a.requests))
            await b.start()
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(a_config((b,), balancer.port, group=group))
            assert await bodies(balancer, 3) == {b"web-b": 3}  # nothing new for one that drains
            assert status(await request) == answer
            await balancer.until(lambda: "unused" in [event["state"] for event in balancer.events("target_health") if event["target"] == "web-a"])
            states = [event["state"] for event in balancer.events("target_health") if event["target"] == "web-a"]
            assert states == ["initial", "healthy", "draining", "unused"]

    run(scenario())


def test_anomaly_mitigation_takes_requests_from_a_target_that_fails(tmp_path: Path):
    async def scenario() -> None:
        async def failing(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad")

        group = {"algorithm": Algorithm.WEIGHTED_RANDOM, "anomaly_mitigation": True}
        check = HealthCheck(path="/health", interval_s=300.0)
        async with balancing(tmp_path, ScriptedTarget("web-a", failing), ScriptedTarget("web-b"), time_scale=20.0, check=check, group=group) as balancer:
            for _ in range(6):
                await bodies(balancer, 25)
                await asyncio.sleep(0.25)  # one window
            assert {event["target"] for event in balancer.events("target_mitigated")} == {"web-a"}
            assert (await bodies(balancer, 60))[b"bad"] < 20

    run(scenario())


def test_a_node_tells_dns_how_its_zone_is(tmp_path: Path):
    async def scenario() -> None:
        near, far, file = ScriptedTarget("web-a"), ScriptedTarget("web-b"), tmp_path / "zone"
        check = HealthCheck(path="/health", interval_s=5.0, healthy_threshold=2)
        async with balancing(tmp_path, near, far, time_scale=100.0, check=check) as balancer:
            assert balancer.runtime.reload is not None

            async def take(cross_zone: bool, minimum: int = 1) -> None:
                config = a_config((near, far), balancer.port, check=check, group={"cross_zone": cross_zone, "minimum_healthy_in_dns": minimum})
                (group,) = config.target_groups
                placed = tuple(replace(target, availability_zone=zone) for target, zone in zip(group.targets, ("eu-west-1a", "eu-west-1b"), strict=True))
                assert balancer.runtime.reload is not None
                await balancer.runtime.reload(replace(config, target_groups=(replace(group, targets=placed),), zone_health_file=str(file)))

            await take(cross_zone=False)
            await balancer.until(lambda: file.exists() and zone_health.is_healthy(str(file)))
            near.healthy = False
            await balancer.until(lambda: not zone_health.is_healthy(str(file)))
            await take(cross_zone=True)  # a target elsewhere is as good
            await balancer.until(lambda: zone_health.is_healthy(str(file)))
            await take(cross_zone=True, minimum=2)
            await balancer.until(lambda: not zone_health.is_healthy(str(file)))

    run(scenario())
