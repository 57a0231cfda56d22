"""Endpoint groups of Global Accelerator: what serves a listener in one Region, how much of its traffic, and how health is asked for.

    traffic dial   the share of what would come to this Region that it takes; the rest goes to the next nearest group
    weights        how a group's traffic is split among its endpoints; 0 takes none

Source: Global Accelerator developer guide, "Endpoint groups for standard accelerators", "Adjusting traffic flow with traffic dials", "Endpoint weights", "Changing health check options",
"Requirements for endpoints with client IP preservation"; API reference, "EndpointGroup", "EndpointConfiguration" (documented).
NOT MODELLED: port overrides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults, unknown_faults

DEFAULT_WEIGHT, HIGHEST_WEIGHT = 128, 255
INTERVALS_S = (10, 30)
TCP, HTTP, HTTPS = "TCP", "HTTP", "HTTPS"
TCP_TIMEOUT_S, HTTP_TIMEOUT_S = 10, 6
"""Route 53's checkers do the asking: a connection within 10 s; by HTTP within 4 s, and an answer within 2 s more (Route 53 developer guide, "How Route 53 determines whether a health check is healthy"; documented
there, that it holds for accelerators is assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfiguration:
    """An endpoint: the id of a load balancer (application or network), an instance or an Elastic IP address.

    `client_ip_preservation_enabled` None is AWS's default: on, wherever the kind of endpoint has it (`resolve.accelerators`).
    """

    endpoint_id: str
    weight: int = DEFAULT_WEIGHT
    client_ip_preservation_enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointGroup:
    """The endpoints of a listener in one Region. Health checks as configured here ask instances and Elastic IP addresses; load balancers answer by the health of their targets.

    `health_check_port` None is the listener's first port. `threshold_count` checks in a row change an endpoint's state, either way.
    """

    id: str
    listener_arn: str
    endpoint_group_region: str
    endpoint_configurations: tuple[EndpointConfiguration, ...] = ()
    traffic_dial_percentage: float = 100.0
    health_check_port: int | None = None
    health_check_protocol: str = TCP
    health_check_path: str = "/"
    health_check_interval_seconds: int = 30
    threshold_count: int = 3

    @property
    def checks_for_s(self) -> int:
        """How long a check may take."""
        return TCP_TIMEOUT_S if self.health_check_protocol == TCP else HTTP_TIMEOUT_S

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the group by itself."""
        return (
            *id_faults(self.id),
            *unknown_faults(self.id, "endpoint_group_region", self.endpoint_group_region, REGIONS),
            *bounds_faults(self.id, "traffic_dial_percentage", self.traffic_dial_percentage, 0, 100),
            *choice_faults(self.id, "health_check_protocol", self.health_check_protocol, (TCP, HTTP, HTTPS)),
            *bounds_faults(self.id, "threshold_count", self.threshold_count, 1, 10),
            *(() if self.health_check_port is None else bounds_faults(self.id, "health_check_port", self.health_check_port, 1, 65535)),
            *self._check_faults(),
            *self._endpoint_faults(),
        )

    def _check_faults(self) -> Iterator[Fault]:
        if self.health_check_interval_seconds not in INTERVALS_S:
            yield Fault(resource=self.id, problem=f"health_check_interval_seconds {self.health_check_interval_seconds}", remedy="use 10 or 30")
        if not self.health_check_path.startswith("/"):
            yield Fault(resource=self.id, problem=f"health_check_path {self.health_check_path!r} does not begin with a slash", remedy=f"write /{self.health_check_path}")

    def _endpoint_faults(self) -> Iterator[Fault]:
        seen: set[str] = set()
        for endpoint in self.endpoint_configurations:
            yield from bounds_faults(f"{self.id} {endpoint.endpoint_id}", "weight", endpoint.weight, 0, HIGHEST_WEIGHT)
            if endpoint.endpoint_id in seen:
                yield Fault(resource=self.id, problem=f"endpoint {endpoint.endpoint_id} is given twice", remedy="name each endpoint once, with the weight that it shall have")
            seen.add(endpoint.endpoint_id)
