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
    ``routing_http_…``, `client_keep_alive_seconds` and `access_logs_s3_enabled` are an application balancer's; names are AWS's keys with underscores for dots.
    """

    id: str
    type: str = "application"
    scheme: str = "internet-facing"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    idle_timeout_seconds: int = 60
    load_balancing_cross_zone_enabled: bool = False
    client_keep_alive_seconds: int = 3600
    routing_http_xff_header_processing_mode: str = "append"
    routing_http_xff_client_port_enabled: bool = False
    routing_http_preserve_host_header_enabled: bool = False
    routing_http_drop_invalid_header_fields_enabled: bool = False
    routing_http_x_amzn_tls_version_and_cipher_suite_enabled: bool = False
    routing_http_desync_mitigation_mode: str = "defensive"
    access_logs_s3_enabled: bool = False

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the balancer by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "type", self.type, (APPLICATION, NETWORK)),
            *choice_faults(self.id, "scheme", self.scheme, ("internet-facing", "internal")),
            *bounds_faults(self.id, "idle_timeout_seconds", self.idle_timeout_seconds, 1, 4000),
            *bounds_faults(self.id, "client_keep_alive_seconds", self.client_keep_alive_seconds, 60, 604800),
            *choice_faults(self.id, "routing_http_xff_header_processing_mode", self.routing_http_xff_header_processing_mode, ("append", "preserve", "remove")),
            *choice_faults(self.id, "routing_http_desync_mitigation_mode", self.routing_http_desync_mitigation_mode, ("monitor", "defensive", "strictest")),
        )
