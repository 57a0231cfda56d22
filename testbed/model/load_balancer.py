"""Application Load Balancers: one node, with an address of its own, in each enabled Availability Zone.

How a target is chosen is the daemon's: `services/alb`. Source: ELB user guide, "Application Load Balancers", "How Elastic Load Balancing works" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A load balancer with one node per subnet of `subnets`. `scheme` is ``internet-facing`` or ``internal``."""

    id: str
    type: str = "application"
    scheme: str = "internet-facing"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    idle_timeout_seconds: int = 60

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the balancer by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "type", self.type, ("application",)),
            *choice_faults(self.id, "scheme", self.scheme, ("internet-facing", "internal")),
            *bounds_faults(self.id, "idle_timeout_seconds", self.idle_timeout_seconds, 1, 4000),
        )
