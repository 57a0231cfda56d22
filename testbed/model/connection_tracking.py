"""How long a network interface remembers a flow that is idle.

Source: EC2 user guide, "Amazon EC2 security group connection tracking" (documented): timeouts are per interface; a flow idle for longer is forgotten,
and what comes of it later is dropped in silence. The TCP default of current (Nitro v6) instance families is 350 s; earlier ones keep five days.
NOT MODELLED: a full table (instances have no type here, so no size), IPv6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults

TCP_ESTABLISHED_TIMEOUT_S, UDP_TIMEOUT_S, UDP_STREAM_TIMEOUT_S = 350, 30, 180
OTHER_TIMEOUT_S = 600
"""Protocols other than TCP, UDP and ICMP: the time for a reply."""
ICMP_TIMEOUT_S = 30
"""Assumed: AWS says only that ICMP is always tracked."""
LIMITS_S = {"tcp_established_timeout_s": (60, 432_000), "udp_timeout_s": (30, 60), "udp_stream_timeout_s": (60, 180)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTrackingSpecification:
    """Idle timeouts in seconds (EC2 API: ConnectionTrackingSpecificationRequest). UDP: one direction, or one request and response; a stream has had more."""

    tcp_established_timeout_s: int = TCP_ESTABLISHED_TIMEOUT_S
    udp_timeout_s: int = UDP_TIMEOUT_S
    udp_stream_timeout_s: int = UDP_STREAM_TIMEOUT_S

    def faults(self, resource: str) -> Iterator[Fault]:
        """Timeouts that AWS refuses."""
        for name, (lowest, highest) in LIMITS_S.items():
            yield from bounds_faults(resource, name, getattr(self, name), lowest, highest)


DEFAULT_TIMEOUTS = ConnectionTrackingSpecification()
