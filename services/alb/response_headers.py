"""Response headers that a listener's attributes add, replace or take away. Pure.

A header that is set stands in every response, the balancer's own too, in place of the target's; without `server` no response names its server.
Source: ELB user guide, "HTTP header modification for your ALB" (documented); that a target's own ``Server`` goes too is assumed.
"""

from __future__ import annotations

from services.common.http.head import Headers


class ResponseHeaders:
    """`inserted` are (name, value)."""

    def __init__(self, inserted: tuple[tuple[str, str], ...] = (), *, server: bool = True) -> None:
        self._inserted = [(name.encode(), value.encode("latin-1")) for name, value in inserted]
        self._replaced = {name.lower() for name, _ in self._inserted} | (set() if server else {b"server"})

    def applied(self, headers: Headers) -> Headers:
        """The headers of a response with these."""
        return [pair for pair in headers if pair[0].lower() not in self._replaced] + self._inserted
