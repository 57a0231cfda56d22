"""Target groups: the instances, addresses or application balancer behind a load balancer, the appliances behind a gateway balancer, and how their health is asked for.

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
SOURCE_IP = "source_ip"
MOST_STICKY_S = 7 * 86400
INSTANCE, IP, ALB = "instance", "ip", "alb"
TARGET_TYPES = (INSTANCE, IP, ALB)
GENEVE, GENEVE_PORT = "GENEVE", 6081
"""A gateway balancer's protocol and port."""
FIVE_TUPLE, THREE_TUPLE, TWO_TUPLE = "source_ip_dest_ip_source_port_dest_port_proto", "source_ip_dest_ip_proto", "source_ip_dest_ip"
FLOW_STICKINESS = (FIVE_TUPLE, THREE_TUPLE, TWO_TUPLE)
"""What a flow is to a gateway balancer ("Edit target group attributes for your GWLB"; documented): the first without stickiness."""
NO_REBALANCE, REBALANCE = "no_rebalance", "rebalance"
TLS = "TLS"
NETWORK_PROTOCOLS = {"TCP": ("tcp",), "UDP": ("udp",), "TCP_UDP": ("tcp", "udp"), TLS: ("tcp",)}
"""A network balancer's protocols, and what carries them. NOT MODELLED: QUIC (nothing here speaks it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group. `targets` are ids of instances, addresses (`target_type` ``ip``) or the id of one application balancer (``alb``).

    `matcher` is AWS's: ``200``, ``200,204`` or ``200-299``. None where AWS's default depends on the protocol: `checks_for_s`, `accepted`, `preserves_client`.
    """

    id: str
    vpc_id: str
    port: int
    protocol: str = "HTTP"
    target_type: str = INSTANCE
    targets: tuple[str, ...] = ()
    health_check_path: str = "/"
    health_check_interval_seconds: int | None = None
    health_check_timeout_seconds: int | None = None
    healthy_threshold_count: int = 5
    unhealthy_threshold_count: int = 2
    matcher: str | None = None
    health_check_protocol: str | None = None
    health_check_port: int | None = None
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
    dns_failover_minimum_healthy_targets_count: int = 1
    preserve_client_ip_enabled: bool | None = None
    proxy_protocol_v2_enabled: bool = False
    deregistration_delay_connection_termination_enabled: bool = False
    target_health_state_unhealthy_connection_termination_enabled: bool = True
    target_health_state_unhealthy_draining_interval_seconds: int = 0
    target_failover_on_deregistration: str = NO_REBALANCE
    target_failover_on_unhealthy: str = NO_REBALANCE

    @property
    def is_network(self) -> bool:
        """Whether it is a network balancer's."""
        return self.protocol in NETWORK_PROTOCOLS

    @property
    def is_gateway(self) -> bool:
        """Whether it is a gateway balancer's."""
        return self.protocol == GENEVE

    @property
    def checks_every_s(self) -> int:
        """How often health is asked for: by default every 30 s, behind a gateway balancer every 10 s (documented)."""
        default = 10 if self.is_gateway else 30
        return default if self.health_check_interval_seconds is None else self.health_check_interval_seconds

    @property
    def checks_at(self) -> int | None:
        """The port that is asked: behind a gateway balancer 80 by default; None for the target's own (documented)."""
        return 80 if self.is_gateway and self.health_check_port is None else self.health_check_port

    @property
    def flow_stickiness(self) -> str:
        """What makes a flow behind a gateway balancer, one of `FLOW_STICKINESS`."""
        return self.stickiness_type if self.stickiness_enabled else FIVE_TUPLE

    @property
    def preserves_client(self) -> bool:
        """Whether targets see the client's address, where they can ("Edit target group attributes for your NLB"; documented): with UDP always, by default with instances and an ALB."""
        if "udp" in NETWORK_PROTOCOLS.get(self.protocol, ()):
            return True
        return self.target_type != IP if self.preserve_client_ip_enabled is None else self.preserve_client_ip_enabled

    @property
    def checks_by(self) -> str:
        """The protocol of its health checks ("Health checks for NLB target groups": TCP by default, HTTP of an ALB behind it; documented)."""
        default = ("HTTP" if self.target_type == ALB else "TCP") if self.is_network else "TCP" if self.is_gateway else self.protocol
        return self.health_check_protocol or default

    @property
    def checks_for_s(self) -> int:
        """How long a health check may take: by default 5 s, behind a network balancer 6 s by HTTP and 10 s by TCP and HTTPS (documented)."""
        default = (6 if self.checks_by == "HTTP" else 10) if self.is_network else 5
        return default if self.health_check_timeout_seconds is None else self.health_check_timeout_seconds

    @property
    def accepted(self) -> str:
        """The status codes that pass: by default 200, behind a network or gateway balancer 200-399 (documented)."""
        return self.matcher or ("200-399" if self.is_network or self.is_gateway else "200")

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the target group by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "protocol", self.protocol, ("HTTP", "HTTPS", *NETWORK_PROTOCOLS, GENEVE)),
            *choice_faults(self.id, "target_type", self.target_type, (INSTANCE, IP) if self.is_gateway else TARGET_TYPES),
            *bounds_faults(self.id, "port", self.port, 1, 65535),
            *bounds_faults(self.id, "health_check_interval_seconds", self.checks_every_s, 5, 300),
            *bounds_faults(self.id, "health_check_timeout_seconds", self.checks_for_s, 2, 120),
            *bounds_faults(self.id, "healthy_threshold_count", self.healthy_threshold_count, 2, 10),
            *bounds_faults(self.id, "unhealthy_threshold_count", self.unhealthy_threshold_count, 2, 10),
            *bounds_faults(self.id, "deregistration_delay_timeout_seconds", self.deregistration_delay_timeout_seconds, 0, 3600),
            *choice_faults(self.id, "load_balancing_algorithm_type", self.load_balancing_algorithm_type, ALGORITHMS),
            *self._health_check_faults(),
            *self._algorithm_faults(),
            *self._stickiness_faults(),
            *self._network_faults(),
            *self._gateway_faults(),
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
        if self.dns_failover_minimum_healthy_targets_count < self.unhealthy_state_routing_minimum_healthy_targets_count:
            problem = "a zone would leave DNS only after the group routes to unhealthy targets"
            yield Fault(resource=self.id, problem=problem, remedy="make dns_failover_minimum_healthy_targets_count at least unhealthy_state_routing_minimum_healthy_targets_count")

    def _stickiness_faults(self) -> Iterator[Fault]:
        if not self.stickiness_enabled:
            return
        if self.is_network or self.is_gateway:
            yield from choice_faults(self.id, "stickiness_type", self.stickiness_type, (SOURCE_IP,) if self.is_network else FLOW_STICKINESS)
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
        if self.checks_for_s >= self.checks_every_s:
            yield Fault(resource=self.id, problem="the health check's timeout is not shorter than its interval", remedy="lower health_check_timeout_seconds or raise health_check_interval_seconds")
        if not self.health_check_path.startswith("/"):
            yield Fault(resource=self.id, problem=f"health_check_path {self.health_check_path!r} does not begin with a slash", remedy=f"write /{self.health_check_path}")
        if not MATCHER.fullmatch(self.accepted):
            yield Fault(resource=self.id, problem=f"matcher {self.matcher!r} names no HTTP codes", remedy="write 200, 200,204 or 200-299, within 200-499")
        if self.health_check_protocol is not None:
            yield from choice_faults(self.id, "health_check_protocol", self.health_check_protocol, ("HTTP", "HTTPS", *(("TCP",) if self.is_gateway or (self.is_network and self.target_type != ALB) else ())))
        if self.health_check_port is not None:
            yield from bounds_faults(self.id, "health_check_port", self.health_check_port, 1, 65535)

    def _gateway_faults(self) -> Iterator[Fault]:
        failovers = (self.target_failover_on_deregistration, self.target_failover_on_unhealthy)
        for name, failover in zip(("target_failover_on_deregistration", "target_failover_on_unhealthy"), failovers, strict=True):
            yield from choice_faults(self.id, name, failover, (NO_REBALANCE, REBALANCE) if self.is_gateway else (NO_REBALANCE,))
        if self.is_gateway and self.port != GENEVE_PORT:
            yield Fault(resource=self.id, problem=f"port {self.port} with GENEVE", remedy=f"make it {GENEVE_PORT}: GENEVE has no other")
        if self.is_gateway and len(set(failovers)) > 1:
            yield Fault(resource=self.id, problem="target failover differs on deregistration and on unhealthy", remedy="give both the same value: AWS takes no others")

    def _network_faults(self) -> Iterator[Fault]:
        if self.proxy_protocol_v2_enabled and self.protocol not in ("TCP", TLS):
            problem = f"PROXY protocol version 2 with {self.protocol}"
            yield Fault(resource=self.id, problem=problem, remedy="make the protocol TCP or TLS, or leave proxy_protocol_v2_enabled out")
        if "udp" in NETWORK_PROTOCOLS.get(self.protocol, ()) and self.preserve_client_ip_enabled is False:
            yield Fault(resource=self.id, problem=f"client IP preservation cannot be off with {self.protocol}", remedy="leave preserve_client_ip_enabled out")
        if self.target_type == ALB:
            if self.protocol != "TCP":
                yield Fault(resource=self.id, problem=f"an application load balancer as target with protocol {self.protocol}", remedy="make the protocol TCP")
            if self.preserve_client_ip_enabled is False:
                yield Fault(resource=self.id, problem="client IP preservation cannot be off with an application load balancer as target", remedy="leave preserve_client_ip_enabled out")
            if len(self.targets) > 1:
                yield Fault(resource=self.id, problem=f"{len(self.targets)} application load balancers as targets", remedy="register one")
        if self.target_health_state_unhealthy_draining_interval_seconds and self.target_health_state_unhealthy_connection_termination_enabled:
            yield Fault(resource=self.id, problem="an unhealthy draining interval with connection termination", remedy="set target_health_state_unhealthy_connection_termination_enabled=False")
        yield from bounds_faults(self.id, "target_health_state_unhealthy_draining_interval_seconds", self.target_health_state_unhealthy_draining_interval_seconds, 0, 360000)
