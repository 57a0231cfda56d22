"""Requests that go on while things break: so many a second from one node to one URL, each by a client of its own that looks the name up anew, and what became of each.

curl sends them, unchanged, with the node's own resolver. A request fails if no response came in time, or one with a status of 500 or more. What is slow holds up none that come after it, up to
`AT_ONCE` of them; then those are late, and told as late.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.observe.lab_view import LabView
from testbed.observe.nodes import LabNode

PATIENCE_S = 2.0
AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """One request: when it was begun, when it was over, its status (0: no response) and why, and who served it (``X-Served-By``)."""

    began: float
    ended: float
    status: int
    error: str
    served_by: str

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a stretch's requests. `failing_s` is from the first that failed to the last; `causes` and `served_by` are how many of each, most first."""

    sent: int
    failed: int
    failing_s: float
    causes: tuple[tuple[str, int], ...]
    served_by: tuple[tuple[str, int], ...]

    @property
    def failed_percent(self) -> float:
        """The share of requests that failed."""
        return 100 * self.failed / self.sent if self.sent else 0.0

    def __str__(self) -> str:
        why = f" over {self.failing_s:.1f} s ({', '.join(f'{count} × {cause}' for cause, count in self.causes)})" if self.failed else ""
        return f"{self.failed} of {self.sent} requests failed ({self.failed_percent:.1f}%){why}; served by {', '.join(f'{name} {count}' for name, count in self.served_by) or 'nobody'}"


class RequestRate:
    """`per_second` requests to `url` from the node `source` while the context is open."""

    def __init__(self, lab: LabView, source: str, url: str, *, per_second: float = 10.0, patience_s: float = PATIENCE_S) -> None:
        self._node, self._url, self._pause_s, self._patience_s = LabNode(lab, source), url, 1 / per_second, patience_s
        self._done: list[Requested] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"requests from {source}", daemon=True)

    def __enter__(self) -> RequestRate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def now(self) -> float:
        """The clock of `outcome`."""
        return time.monotonic()

    def outcome(self, since: float = 0.0, until: float = float("inf")) -> Outcome:
        """What became of the requests that were over between two times of `now`."""
        found = [each for each in tuple(self._done) if since <= each.ended <= until]
        failed = sorted(each.began for each in found if each.failed)
        causes = Counter(str(each.status) if each.status else each.error for each in found if each.failed)
        served = Counter(each.served_by for each in found if each.served_by)
        return Outcome(
            sent=len(found), failed=len(failed), failing_s=failed[-1] - failed[0] if failed else 0.0, causes=tuple(causes.most_common()), served_by=tuple(served.most_common())
        )

    def _run(self) -> None:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            next_at = time.monotonic()
            while not self._ending.wait(max(0.0, next_at - time.monotonic())):
                pool.submit(self._request)
                next_at = max(next_at + self._pause_s, time.monotonic())

    def _request(self) -> None:
        if self._ending.is_set():
            return
        began = time.monotonic()
        response = self._node.curl(self._url, timeout_s=self._patience_s)
        self._done.append(Requested(began=began, ended=time.monotonic(), status=response.status, error=_short(response.error), served_by=response.headers.get("x-served-by", "")))


def _short(error: str) -> str:
    """curl's words without the figures that differ each time."""
    return "no response in time" if "timed out" in error or "Timeout" in error else error.partition(" after ")[0] or "no response"
