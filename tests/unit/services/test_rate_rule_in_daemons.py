"""Where a rate rule stands: before the cache at the edge, before the rules of an ALB's listeners; and what it hears."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.config import LearntRateRule
from tests.unit.services.balancing import ScriptedTarget, balancing, status
from tests.unit.services.balancing import run as run_balancing
from tests.unit.services.test_cloudfront_server import answer, edge_location, run

RULE = LearntRateRule(origin="protect", action="Block")


class AfterTwo:
    """A rule that lets each source ask twice."""

    made: list[AfterTwo]
    limit = 2

    def __init__(self, config: LearntRateRule, *_: object) -> None:
        self.config = config
        self.asked: list[Hashable] = []
        self.heard: list[int] = []
        self.made.append(self)

    def blocks(self, source: Hashable, now_s: float) -> bool:
        self.asked.append(source)
        return self.asked.count(source) > 2

    def answered(self, status: int) -> None:
        self.heard.append(status)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[AfterTwo]:
    AfterTwo.made = []
    for module in ("services.cloudfront.edge", "services.alb.server"):
        monkeypatch.setattr(f"{module}.RateRule", AfterTwo)
    return AfterTwo.made


def test_at_the_edge_it_judges_hits_too_and_keeps_what_it_knows_over_a_reload(tmp_path: Path, made: list[AfterTwo]) -> None:
    async def scenario() -> None:
        async with edge_location(tmp_path, lambda _: answer(b"page", "Cache-Control: max-age=60")) as edge:
            (distribution,) = edge.config.distributions
            guarded = replace(edge.config, distributions=(replace(distribution, rate_rule=RULE),))
            assert edge.runtime.reload is not None
            await edge.runtime.reload(guarded)
            first, second = await edge.ask(), await edge.ask()
            await edge.runtime.reload(replace(guarded, cache_bytes=1 << 23))
            third = await edge.ask()
            assert [first.status, second.status, third.status] == [200, 200, 403]
            assert (second.x_cache, third.x_cache) == ("Hit", "Error")
            assert b"Request blocked" in third.body
            (rule,) = made
            assert rule.heard == [200, 200, 403]
            assert rule.asked == ["127.0.0.1"] * 3
            assert edge.events()[-1]["status"] == 403
            await edge.runtime.reload(edge.config)
            assert (await edge.ask()).status == 200

    run(scenario)


def test_at_a_balancer_it_judges_before_any_rule_and_no_target_hears_of_it(tmp_path: Path, made: list[AfterTwo]) -> None:
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(balancer.config, rate_rule=RULE))
            assert [status(await balancer.get()) for _ in range(2)] == [200, 200]
            await balancer.runtime.reload(replace(balancer.config, rate_rule=RULE))
            assert status(await balancer.get()) == 403
            assert len(target.requests) == 2
            (rule,) = made
            assert rule.heard == [200, 200, 403]
            last = (await balancer.requests())[-1]
            assert str(last["error_reason"]).startswith("protect: more than 2 requests")
            await balancer.runtime.reload(balancer.config)
            assert status(await balancer.get()) == 200

    run_balancing(scenario())
