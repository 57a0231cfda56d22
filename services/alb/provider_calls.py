"""Calls to an identity provider from the balancer's own node: one request on a connection of its own, within five seconds.

The node asks its VPC's resolver for the provider's name and connects from its own address: security groups, ACLs and routes decide whether it gets there.
Source: ELB user guide, "Troubleshoot your ALBs" (500 for an endpoint that cannot be reached or takes longer than 5 s; documented).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from services.alb.oidc import ENDPOINT_TIMEOUT_S, LARGEST_CLAIMS_BYTES, Refused
from services.common.http import Destination, FailureKind, Headers, Timeouts, UpstreamPool, UpstreamRequest
from services.common.http.failure import UpstreamError
from services.common.stub_resolver import LookupFailed, StubResolver

log = logging.getLogger(__name__)
_LARGEST_ANSWER_BYTES = 64 * 1024
_SILENT = frozenset({FailureKind.CONNECT_TIMEOUT, FailureKind.TLS_TIMEOUT, FailureKind.RESPONSE_TIMEOUT})


class ProviderCalls:
    """`trust` verifies providers; `scaled` is a lab's length of AWS's time."""

    def __init__(self, tasks: asyncio.TaskGroup, resolver: StubResolver, trust: ssl.SSLContext, scaled: Callable[[float], float]) -> None:
        self.tasks = tasks
        self._resolver = resolver
        self._trust = trust
        self._scaled = scaled

    async def call(self, url: str, method: bytes, headers: Headers, body: bytes, what: str) -> tuple[int, bytes]:
        """The status and body of an answer. Raises Refused (500, reason `what` and ``Timeout`` or ``Failed``) where there is none in time."""
        parts, limit = urlsplit(url), self._scaled(ENDPOINT_TIMEOUT_S)
        host, port = parts.hostname or "", parts.port or 443
        timeouts = Timeouts(connect_s=limit, tls_s=limit, response_s=limit, idle_s=limit)
        pool = UpstreamPool(Destination(host=host, port=port, tls=self._trust, server_name=host, timeouts=timeouts), self.tasks, retry_stale=False, resolve=self._addresses)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}".encode()
        named = host.encode() if port == 443 else f"{host}:{port}".encode()
        request = UpstreamRequest(method, target, [(b"Host", named), *headers], body, True, b"", len(body) if method == b"POST" else None)
        try:
            async with asyncio.timeout(limit):
                answer = await pool.fetch(request, limit_bytes=max(_LARGEST_ANSWER_BYTES, LARGEST_CLAIMS_BYTES))
        except TimeoutError as error:
            raise Refused(500, f"{what}Timeout") from error
        except UpstreamError as error:
            log.info("%s: %s", url, error)
            raise Refused(500, f"{what}{'Timeout' if error.failure.kind in _SILENT else 'Failed'}") from error
        finally:
            pool.abort()
        return answer.head.status, answer.body

    async def _addresses(self, name: str) -> list[str]:
        try:
            return [str(address) for address in (await self._resolver.lookup(name)).addresses]
        except LookupFailed as error:
            raise OSError(str(error)) from error
