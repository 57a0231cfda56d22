"""Target groups: the instances behind a load balancer and how their health is asked for.

Names of attributes are AWS's keys with underscores for dots (``slow_start.duration_seconds``).
Source: ELB user guide, "Target groups", "Edit target group attributes for your ALB", "Health checks for ALB target groups" (documented).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults

MATCHER = re.compile(r"[2-4][0-9]{2}(-[2-4][0-9]{2})?(,[2-4][0-9]{2}(-[2-4][0-9]{2})?)*")
"""Codes 200 to 499 (ELB user guide, "Health checks for ALB target groups"; documented)."""

ROUND_ROBIN, WEIGHTED_RANDOM = "round_robin", "weighted_random"
ALGORITHMS = (ROUND_ROBIN, "least_outstanding_requests", WEIGHTED_RANDOM)
LB_COOKIE, APP_COOKIE = "lb_cookie", "app_cookie"
RESERVED_COOKIES = ("AWSALB", "AWSALBAPP", "AWSALBTG")
MOST_STICKY_S = 7 * 86400


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
    deregistration_delay_timeout_seconds: int = 300
    slow_start_duration_seconds: int = 0
    load_balancing_algorithm_type: str = ROUND_ROBIN
    load_balancing_algorithm_anomaly_mitigation: bool = False
    load_balancing_cross_zone_enabled: bool | None = None
    """None: as the load balancer says."""
    stickiness_enabled: bool = False
    stickiness_type: str = LB_COOKIE
    stickiness_lb_cookie_duration_seconds: int = 86400
    stickiness_app_cookie_cookie_name: str = ""
    stickiness_app_cookie_duration_seconds: int = 86400
    unhealthy_state_routing_minimum_healthy_targets_count: int = 1

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
            *bounds_faults(self.id, "deregistration_delay_timeout_seconds", self.deregistration_delay_timeout_seconds, 0, 3600),
            *choice_faults(self.id, "load_balancing_algorithm_type", self.load_balancing_algorithm_type, ALGORITHMS),
            *self._health_check_faults(),
            *self._algorithm_faults(),
            *self._stickiness_faults(),
        )

    def _algorithm_faults(self) -> Iterator[Fault]:
        if self.slow_start_duration_seconds:
            yield from bounds_faults(self.id, "slow_start_duration_seconds", self.slow_start_duration_seconds, 30, 900)
            if self.load_balancing_algorithm_type != ROUND_ROBIN:
                yield Fault(resource=self.id, problem=f"slow start with the algorithm {self.load_balancing_algorithm_type}", remedy="use round_robin, or set slow_start_duration_seconds to 0")
        if self.load_balancing_algorithm_anomaly_mitigation and self.load_balancing_algorithm_type != WEIGHTED_RANDOM:
            yield Fault(resource=self.id, problem=f"anomaly mitigation with the algorithm {self.load_balancing_algorithm_type}", remedy="use weighted_random, or turn anomaly mitigation off")
        if self.unhealthy_state_routing_minimum_healthy_targets_count < 1:
            yield Fault(resource=self.id, problem="unhealthy_state_routing_minimum_healthy_targets_count is below 1", remedy="write 1 or more")

    def _stickiness_faults(self) -> Iterator[Fault]:
        if not self.stickiness_enabled:
            return
        yield from choice_faults(self.id, "stickiness_type", self.stickiness_type, (LB_COOKIE, APP_COOKIE))
        if self.load_balancing_algorithm_type == WEIGHTED_RANDOM:
            yield Fault(resource=self.id, problem="stickiness with the algorithm weighted_random", remedy="use round_robin or least_outstanding_requests, or turn stickiness off")
        if self.load_balancing_cross_zone_enabled is False:
            yield Fault(resource=self.id, problem="stickiness in a target group with cross-zone load balancing off", remedy="turn one of the two off")
        yield from bounds_faults(self.id, "stickiness_lb_cookie_duration_seconds", self.stickiness_lb_cookie_duration_seconds, 1, MOST_STICKY_S)
        yield from bounds_faults(self.id, "stickiness_app_cookie_duration_seconds", self.stickiness_app_cookie_duration_seconds, 1, MOST_STICKY_S)
        if self.stickiness_type == APP_COOKIE and (not self.stickiness_app_cookie_cookie_name or self.stickiness_app_cookie_cookie_name.startswith(RESERVED_COOKIES)):
            yield Fault(resource=self.id, problem=f"stickiness by the application cookie {self.stickiness_app_cookie_cookie_name!r}", remedy="name the application's own cookie; AWSALB, AWSALBAPP and AWSALBTG are the balancer's")

    def _health_check_faults(self) -> Iterator[Fault]:
        if self.health_check_timeout_seconds >= self.health_check_interval_seconds:
            yield Fault(resource=self.id, problem="the health check's timeout is not shorter than its interval", remedy="lower health_check_timeout_seconds or raise health_check_interval_seconds")
        if not self.health_check_path.startswith("/"):
            yield Fault(resource=self.id, problem=f"health_check_path {self.health_check_path!r} does not begin with a slash", remedy=f"write /{self.health_check_path}")
        if not MATCHER.fullmatch(self.matcher):
            yield Fault(resource=self.id, problem=f"matcher {self.matcher!r} names no HTTP codes", remedy="write 200, 200,204 or 200-299, within 200-499")
