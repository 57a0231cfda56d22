"""A rate rule that learns: what Shield Advanced puts into a web ACL when a resource's traffic leaves its baseline. Pure: time is given in the caller's seconds.

    requests ─▶ counted by source, in windows ─┬─ calm: a finished window teaches what is usual, for one source and for all
                                               └─ far beyond what is usual: mitigation, for some windows after the last sign
    under mitigation a source beyond its limit is blocked (or only counted) as long as it stays beyond; all others are served

The rate of a source is that of the last window's length, the part of the former window that is in it taken as even. A limit is never below 10 requests a window, as for any rate-based rule.
With `health_based` half of the excess is enough while a fifth of the answers are 5xx. Sources: AWS Shield developer guide, "Automating application layer DDoS mitigation", "Detection logic
for application layer threats", "Health-based detection using health checks"; AWS WAF developer guide, "Rate-based rule high-level settings" (window 60 s is one of four, limit 10: documented).
Assumed: all factors. A baseline is learnt in one window here, in a day to a month at AWS. NOT MODELLED: what else attacks have in common (headers, countries), only rates are learnt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from services.common.config import LearntRateRule

WINDOW_S = 60.0
LOWEST_LIMIT = 10
FACTOR, FACTOR_UNHEALTHY = 4.0, 2.0
CALM_WINDOWS = 5
"""Windows without a sign of the attack, after which mitigation ends."""
FORGOTTEN = 0.8
"""What is left of a baseline's value after a window below it."""
UNHEALTHY_SHARE, FEWEST_ANSWERS = 0.2, 10
Tell = Callable[[str, int], None]


class RateRule:
    """The rule of one protection. `window_s` is `WINDOW_S` in the caller's time; `tell` hears ``begins`` with the limit, and ``ends``."""

    def __init__(self, config: LearntRateRule, window_s: float, now_s: float, tell: Tell = lambda what, limit: None) -> None:
        self.config = config
        self._window_s = window_s
        self._tell = tell
        self._began_s = now_s
        self._now: Counter[Hashable] = Counter()
        self._before: Counter[Hashable] = Counter()
        self._answers = self._errors = 0
        self._usual_of_one = self._usual_of_all = 0.0
        self._until_s: float | None = None
        self._unhealthy = False

    @property
    def mitigates(self) -> bool:
        """Whether an attack has been seen lately."""
        return self._until_s is not None

    @property
    def limit(self) -> int:
        """Requests of one source in a window beyond which it is blocked under mitigation."""
        return max(LOWEST_LIMIT, round(self._factor * self._usual_of_one))

    def blocks(self, source: Hashable, now_s: float) -> bool:
        """Count a request, and say whether it is refused."""
        self._roll(now_s)
        self._now[source] += 1
        part = 1.0 - (now_s - self._began_s) / self._window_s
        if self._usual_of_all and self._now.total() + part * self._before.total() > max(2 * LOWEST_LIMIT, self._factor * self._usual_of_all):
            if self._until_s is None:
                self._tell("begins", self.limit)
            self._until_s = now_s + CALM_WINDOWS * self._window_s
        return self._until_s is not None and self._now[source] + part * self._before[source] > self.limit and self.config.action == "Block"

    def answered(self, status: int) -> None:
        """A request of the resource's was answered, by the resource or in its stead."""
        self._answers += 1
        self._errors += status >= 500

    @property
    def _factor(self) -> float:
        return FACTOR_UNHEALTHY if self.config.health_based and self._unhealthy else FACTOR

    def _roll(self, now_s: float) -> None:
        if self._until_s is not None and now_s > self._until_s:
            self._until_s = None
            self._tell("ends", self.limit)
        while now_s - self._began_s >= self._window_s:
            if self._until_s is None:
                self._learn()
            self._unhealthy = self._answers >= FEWEST_ANSWERS and self._errors > UNHEALTHY_SHARE * self._answers
            self._answers = self._errors = 0
            self._before, self._now = self._now, Counter()
            self._began_s += self._window_s
            if not self._before and not self._now:  # nothing happened for long: no need to go through it window by window
                self._began_s += (now_s - self._began_s) // self._window_s * self._window_s

    def _learn(self) -> None:
        if self._now:
            self._usual_of_one = max(max(self._now.values()), FORGOTTEN * self._usual_of_one)
            self._usual_of_all = max(self._now.total(), FORGOTTEN * self._usual_of_all)
