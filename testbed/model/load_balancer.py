"""Load balancers, application and network: one node, with an address of its own, in each enabled Availability Zone.

How a target is chosen is `services/alb`'s, or for a network balancer `compile/network_load_balancer.py`'s. Source: ELB user guide, "Application Load Balancers", "How Elastic Load Balancing works" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults

APPLICATION, NETWORK = "application", "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A load balancer with one node per subnet of `subnets`. `scheme` is ``internet-facing`` or ``internal``.

    A network balancer without `security_groups` has none, not the default one; `load_balancing_cross_zone_enabled` is its own (an application balancer always does).
    """

    id: str
    type: str = "application"
    scheme: str = "internet-facing"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    idle_timeout_seconds: int = 60
    load_balancing_cross_zone_enabled: bool = False

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the balancer by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "type", self.type, (APPLICATION, NETWORK)),
            *choice_faults(self.id, "scheme", self.scheme, ("internet-facing", "internal")),
            *bounds_faults(self.id, "idle_timeout_seconds", self.idle_timeout_seconds, 1, 4000),
        )
