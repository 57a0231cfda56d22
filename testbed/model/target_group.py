"""Target groups: the instances behind a load balancer and how their health is asked for.

Source: ELB user guide, "Target groups", "Health checks for ALB target groups" (documented).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults

MATCHER = re.compile(r"[2-4][0-9]{2}(-[2-4][0-9]{2})?(,[2-4][0-9]{2}(-[2-4][0-9]{2})?)*")
"""Codes 200 to 499 (ELB user guide, "Health checks for ALB target groups"; documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group of instances. `targets` are instance ids; `matcher` is AWS's: ``200``, ``200,204`` or ``200-299``."""

    id: str
    vpc_id: str
    port: int
    protocol: str = "HTTP"
    targets: tuple[str, ...] = ()
    health_check_path: str = "/"
    health_check_interval_seconds: int = 30
    health_check_timeout_seconds: int = 5
    healthy_threshold_count: int = 5
    unhealthy_threshold_count: int = 2
    matcher: str = "200"

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the target group by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "protocol", self.protocol, ("HTTP", "HTTPS", "TCP")),
            *bounds_faults(self.id, "port", self.port, 1, 65535),
            *bounds_faults(self.id, "health_check_interval_seconds", self.health_check_interval_seconds, 5, 300),
            *bounds_faults(self.id, "health_check_timeout_seconds", self.health_check_timeout_seconds, 2, 120),
            *bounds_faults(self.id, "healthy_threshold_count", self.healthy_threshold_count, 2, 10),
            *bounds_faults(self.id, "unhealthy_threshold_count", self.unhealthy_threshold_count, 2, 10),
            *self._health_check_faults(),
        )

    def _health_check_faults(self) -> Iterator[Fault]:
        if self.health_check_timeout_seconds >= self.health_check_interval_seconds:
            yield Fault(resource=self.id, problem="the health check's timeout is not shorter than its interval", remedy="lower health_check_timeout_seconds or raise health_check_interval_seconds")
        if not self.health_check_path.startswith("/"):
            yield Fault(resource=self.id, problem=f"health_check_path {self.health_check_path!r} does not begin with a slash", remedy=f"write /{self.health_check_path}")
        if not MATCHER.fullmatch(self.matcher):
            yield Fault(resource=self.id, problem=f"matcher {self.matcher!r} names no HTTP codes", remedy="write 200, 200,204 or 200-299, within 200-499")
