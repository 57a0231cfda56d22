"""Target groups: the instances behind a load balancer and how their health is asked for.

Source: ELB user guide, "Target groups", "Health checks for ALB target groups" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


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
        return ()
