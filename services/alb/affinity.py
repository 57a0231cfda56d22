"""To which group and target a request goes: a weighted choice among groups, a turn within one, unless a cookie says where this client was before.

    forward ─▶ group: AWSALBTG's, else by weight ─▶ target: the cookie's if it still takes requests, else the next in turn ─▶ cookies for the response

A group that is empty or unhealthy keeps its share of a weighted forward: there is no failover between groups.
Source: ELB user guide, "Action types for listener rules", "Edit target group attributes for your ALB" (documented).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.alb.config import Forward
from services.alb.stickiness import APP, GROUP, GROUP_CORS, LB, LB_CORS, Bound, Seal, application_cookie_line, cookie_lines, cookies, sets_cookie
from services.alb.target_group import RunningGroup, RunningTarget
from services.common.http.head import Headers


class Groups(Protocol):
    """The target groups in force, by id."""

    def __getitem__(self, group: str, /) -> RunningGroup: ...


@dataclass(slots=True)
class Choice:
    """Where a request goes: no `target` where the group has none. `lines` are Set-Cookie fields for its response; with an `application_cookie` there is
    one more if the target sets that cookie."""

    group: str
    target: RunningTarget | None
    lines: bytes = b""
    application_cookie: bytes = b""


class Affinity:
    """The choices of one listener. `chance` gives numbers from 0 up to 1, `clock` seconds since the epoch, `scaled` a lab's length of AWS's time."""

    def __init__(self, groups: Groups, seal: Seal | None, chance: Callable[[], float], clock: Callable[[], float], scaled: Callable[[float], float]) -> None:
        self._groups = groups
        self._seal = seal
        self._chance = chance
        self._clock = clock
        self._scaled = scaled

    def choose(self, forward: Forward, cookie_field: bytes | None) -> Choice:
        """The group and target of a request with this Cookie field."""
        weighted = forward.target_groups
        if len(weighted) == 1 and self._groups[weighted[0].target_group].config.stickiness is None:
            group = weighted[0].target_group
            return Choice(group, self._groups[group].select())
        sent = cookies(cookie_field)
        group, lines = self._group(forward, sent)
        choice = self._target(group, sent)
        choice.lines = lines + choice.lines
        return choice

    def lines_after(self, choice: Choice, headers: Headers) -> bytes:
        """The Set-Cookie fields for a response with these `headers`."""
        if not choice.application_cookie or choice.target is None or self._seal is None:
            return choice.lines
        if not any(name.lower() == b"set-cookie" and sets_cookie(value, choice.application_cookie) for name, value in headers):
            return choice.lines
        return choice.lines + application_cookie_line(self._sealed(self._seal, choice.group, choice.target.place, self._duration_s(choice.group)), self._clock())

    def _group(self, forward: Forward, sent: dict[bytes, bytes]) -> tuple[str, bytes]:
        if forward.stickiness_s is None or self._seal is None:
            return self._by_weight(forward), b""
        bound = self._bound(self._seal, sent.get(GROUP_CORS) or sent.get(GROUP))
        group = bound.place if bound is not None and any(bound.place == each.target_group for each in forward.target_groups) else self._by_weight(forward)
        return group, cookie_lines(GROUP, GROUP_CORS, self._sealed(self._seal, "", group, forward.stickiness_s), self._clock())

    def _by_weight(self, forward: Forward) -> str:
        left = self._chance() * sum(each.weight for each in forward.target_groups)
        for each in forward.target_groups:
            left -= each.weight
            if left < 0:
                return each.target_group
        return forward.target_groups[-1].target_group

    def _target(self, group: str, sent: dict[bytes, bytes]) -> Choice:
        running = self._groups[group]
        sticky = running.config.stickiness
        if sticky is None or self._seal is None:
            return Choice(group, running.select())
        name = sticky.cookie_name.encode()
        value = sent.get(LB_CORS) or sent.get(LB) if not name else sent.get(APP) if name in sent else None
        bound = self._bound(self._seal, value)
        target = running.offered_at(bound.place) if bound is not None and bound.group == group else None
        if name:
            return Choice(group, target or running.select(), application_cookie=name)
        target = target or running.select()
        if target is None:
            return Choice(group, None)
        return Choice(group, target, cookie_lines(LB, LB_CORS, self._sealed(self._seal, group, target.place, sticky.duration_s), self._clock()))

    def _duration_s(self, group: str) -> float:
        sticky = self._groups[group].config.stickiness
        return 0.0 if sticky is None else sticky.duration_s

    def _bound(self, seal: Seal, value: bytes | None) -> Bound | None:
        return None if value is None else seal.read(value, self._clock())

    def _sealed(self, seal: Seal, group: str, place: str, duration_s: float) -> bytes:
        return seal.write(Bound(group, place, self._clock() + self._scaled(duration_s)))
