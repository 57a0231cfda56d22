"""One health check of a target: connect, or ask and judge the status; on a connection of its own that is closed afterwards.

The request is ``GET path`` with ``User-Agent: ELB-HealthChecker/2.0`` and the target's address as Host, with the port unless it is the protocol's own.
Certificates of targets are not verified. Source: ELB user guide, "Health checks for ALB target groups", "Troubleshoot your ALBs" (documented).
"""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import IPv4Address

from services.common.config import HealthCheck
from services.common.health import FAILED_CHECKS, TIMED_OUT, CheckResult, Matcher
from services.common.http import Destination, Timeouts, UpstreamPool, UpstreamRequest
from services.common.http.failure import UpstreamError

USER_AGENT = b"ELB-HealthChecker/2.0"
_BODY_LIMIT_BYTES = 1 << 20
HTTPS, TCP = "HTTPS", "TCP"


def unverified_tls() -> ssl.SSLContext:
    """Certificates of targets are not verified ("Target groups", documented)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_request(path: str, address: str, port: int, protocol: str) -> UpstreamRequest:
    """The request of one check."""
    usual = 443 if protocol == HTTPS else 80
    host = address if port == usual else f"{address}:{port}"
    headers = [(b"Host", host.encode()), (b"User-Agent", USER_AGENT), (b"Accept-Encoding", b"gzip, compressed")]
    return UpstreamRequest(b"GET", path.encode(), headers, close=True)


async def checked(check: HealthCheck, protocol: str, address: IPv4Address, port: int, timeout_s: float, tasks: asyncio.TaskGroup, preface: bytes = b"") -> CheckResult:
    """Check the target at `address`, by `protocol` and at `port` unless `check` says otherwise, within `timeout_s` (scaled); `preface` is sent before all else."""
    protocol, port = check.protocol or protocol, check.port or port
    try:
        async with asyncio.timeout(timeout_s):
            if protocol == TCP:
                return await _connected(address, port, preface)
            timeouts = Timeouts(connect_s=timeout_s, tls_s=timeout_s, response_s=timeout_s, idle_s=timeout_s)
            destination = Destination(host=str(address), port=port, tls=unverified_tls() if protocol == HTTPS else None, timeouts=timeouts, preface=preface)
            pool = UpstreamPool(destination, tasks, retry_stale=False)
            response = await pool.fetch(check_request(check.path, str(address), port, protocol), limit_bytes=_BODY_LIMIT_BYTES)
    except TimeoutError:
        return CheckResult(passed=False, reason=f"{TIMED_OUT}: no answer within the timeout")
    except UpstreamError as error:
        code = TIMED_OUT if error.failure.status == 504 else FAILED_CHECKS
        return CheckResult(passed=False, reason=f"{code}: {error}")
    return Matcher.parse(check.matcher).judge(response.head.status)


async def _connected(address: IPv4Address, port: int, preface: bytes) -> CheckResult:
    try:
        _, writer = await asyncio.open_connection(str(address), port)
    except OSError as error:
        return CheckResult(passed=False, reason=f"{FAILED_CHECKS}: {error.strerror}")
    if preface:
        writer.write(preface)
        writer.close()
    else:
        writer.transport.abort()
    return CheckResult(passed=True)
