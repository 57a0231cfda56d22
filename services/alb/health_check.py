"""Asking targets for their health: every node asks each target, on a connection that is closed each time.

The request is ``GET path`` with ``User-Agent: ELB-HealthChecker/2.0`` and the target's address as Host, with the port unless it is the protocol's own.
Source: ELB user guide, "Health checks for ALB target groups", "Troubleshoot your ALBs" (documented).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from services.alb.health import FAILED_CHECKS, TIMED_OUT, CheckResult, Matcher
from services.alb.target_group import RunningGroup, RunningTarget
from services.common.http import Timeouts, UpstreamPool, UpstreamRequest
from services.common.http.failure import UpstreamError

USER_AGENT = b"ELB-HealthChecker/2.0"
_BODY_LIMIT_BYTES = 1 << 20


def check_request(path: str, address: str, port: int, protocol: str) -> UpstreamRequest:
    """The request of one check."""
    usual = 443 if protocol == "HTTPS" else 80
    host = address if port == usual else f"{address}:{port}"
    headers = [(b"Host", host.encode()), (b"User-Agent", USER_AGENT), (b"Accept-Encoding", b"gzip, compressed")]
    return UpstreamRequest(b"GET", path.encode(), headers, close=True)


async def keep_checking(group: RunningGroup, running: RunningTarget, tasks: asyncio.TaskGroup, scaled: Callable[[float], float], first_ended: Callable[[], None]) -> None:
    """Check `running` at once, then every interval, until cancelled. The group's configuration is read anew each time."""
    loop = asyncio.get_running_loop()
    while True:
        check, began = group.config.health_check, loop.time()
        timeout_s = scaled(check.timeout_s)
        timeouts = Timeouts(connect_s=timeout_s, tls_s=timeout_s, response_s=timeout_s, idle_s=timeout_s)
        pool = UpstreamPool(replace(running.destination, timeouts=timeouts), tasks, retry_stale=False)
        request = check_request(check.path, str(running.target.address), running.target.port, group.config.protocol)
        group.checked(running, await _check(pool, request, Matcher.parse(check.matcher), timeout_s))
        first_ended()
        await asyncio.sleep(max(0.0, began + scaled(check.interval_s) - loop.time()))


async def _check(pool: UpstreamPool, request: UpstreamRequest, matcher: Matcher, timeout_s: float) -> CheckResult:
    try:
        async with asyncio.timeout(timeout_s):
            response = await pool.fetch(request, limit_bytes=_BODY_LIMIT_BYTES)
    except TimeoutError:
        return CheckResult(passed=False, reason=f"{TIMED_OUT}: no answer within the timeout")
    except UpstreamError as error:
        code = TIMED_OUT if error.failure.status == 504 else FAILED_CHECKS
        return CheckResult(passed=False, reason=f"{code}: {error}")
    return matcher.judge(response.head.status)
