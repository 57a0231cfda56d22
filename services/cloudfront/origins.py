"""The edge's way to the origins: one pool of connections per origin and scheme, and what a viewer is told when no answer comes.

Names are asked of the edge's resolvers. Connecting is tried `connect_attempts` times; a connection idle for `keep_alive_timeout_s` is closed; HTTPS origins
must show a certificate for their own name that the trust file vouches for. Refusal, reset and a bad certificate are 502, silence is 504.

Source: CloudFront developer guide, "Origin settings", "HTTP 502 status code (Bad Gateway)", "HTTP 504 status code (Gateway Timeout)" (documented).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Protocol

from services.cloudfront.config import Origin
from services.cloudfront.origin_request import origin_scheme
from services.common.http import Destination, Failure, FailureKind, Timeouts, UpstreamPool
from services.common.runtime import Runtime
from services.common.stub_resolver import Answer, LookupFailed

REASONS = {
    FailureKind.NAME_UNRESOLVED: "CloudFront wasn't able to resolve the origin domain name.",
    FailureKind.REFUSED: "CloudFront wasn't able to connect to the origin.",
    FailureKind.TLS_FAILED: "CloudFront wasn't able to connect to the origin: its certificate or its TLS was not accepted.",
    FailureKind.CLOSED: "CloudFront attempted to establish a connection with the origin, but either the attempt failed or the origin closed the connection.",
}
SILENCE = "CloudFront attempted to establish a connection with the origin, but the origin did not answer in time."
NO_HTTP = "CloudFront could not understand the origin's answer."


class Resolver(Protocol):
    """Names to addresses; `StubResolver` in a lab."""

    async def lookup(self, name: str) -> Answer:
        """The addresses of `name`. Raises `LookupFailed`."""


def reason(failure: Failure) -> str:
    """The sentence on the error page."""
    return SILENCE if failure.status == 504 else REASONS.get(failure.kind, NO_HTTP)


class Origins:
    """One pool per destination, made when it is first needed."""

    def __init__(self, runtime: Runtime, tasks: asyncio.TaskGroup, resolver: Resolver, trust_file: str | None) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._resolver = resolver
        self._tls = ssl.create_default_context(cafile=trust_file)
        self._pools: dict[Destination, UpstreamPool] = {}

    def pool(self, origin: Origin, viewer_is_secure: bool) -> UpstreamPool:
        """The connections to `origin`, in the scheme that its policy says."""
        destination = self._destination(origin, viewer_is_secure)
        pool = self._pools.get(destination)
        if pool is None:
            pool = self._pools[destination] = UpstreamPool(destination, self._tasks, retry_stale=False, resolve=self._addresses)
        return pool

    def close(self) -> None:
        """Close idle connections; others end with their response. Later requests open new ones."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _destination(self, origin: Origin, viewer_is_secure: bool) -> Destination:
        secure, port = origin_scheme(origin, viewer_is_secure)
        scaled = self._runtime.scaled
        return Destination(
            host=origin.domain_name,
            port=port,
            tls=self._tls if secure else None,
            server_name=origin.domain_name if secure else None,
            timeouts=Timeouts(
                connect_s=scaled(origin.connect_timeout_s),
                tls_s=scaled(origin.connect_timeout_s),  # assumed: AWS names no timer of its own for the handshake
                response_s=scaled(origin.response_timeout_s),
                idle_s=scaled(origin.keep_alive_timeout_s),
            ),
            connect_attempts=origin.connect_attempts,
        )

    async def _addresses(self, name: str) -> Sequence[str]:
        try:
            return [str(address) for address in (await self._resolver.lookup(name)).addresses]
        except LookupFailed as failure:
            raise OSError(str(failure)) from failure
