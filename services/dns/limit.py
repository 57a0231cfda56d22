"""How many packets a second each client may send; what exceeds it is not answered at all.

The VPC's resolver takes 1,024 packets/s per network interface (VPC user guide, "Understanding Amazon DNS": documented, hard; the excess is
dropped). That it is counted by whole seconds is assumed. NOT MODELLED: the share that IMDS and NTP take of the same limit.
"""

from __future__ import annotations

from ipaddress import IPv4Address


class PacketLimit:
    """Counts packets per client in windows of one second; `packets_per_second` None admits all."""

    def __init__(self, packets_per_second: int | None) -> None:
        self._most = packets_per_second
        self._window = -1
        self._counts: dict[IPv4Address | str, int] = {}

    def admits(self, client: IPv4Address | str, now: float) -> bool:
        """Whether one more packet of `client` is served at `now` (seconds of any steady clock)."""
        if self._most is None:
            return True
        if int(now) != self._window:
            self._window = int(now)
            self._counts.clear()
        count = self._counts.get(client, 0)
        self._counts[client] = count + 1
        return count < self._most
