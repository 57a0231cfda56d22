"""Load balancers, application, network and gateway: one node, with an address of its own, in each enabled Availability Zone.

How a target is chosen is `services/alb`'s, for a network balancer `compile/network_load_balancer.py`'s, for a gateway balancer `services/gwlb`'s. Source: ELB user guide, "Application Load
Balancers", "How Elastic Load Balancing works", "Gateway Load Balancers" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, bounds_faults, choice_faults, id_faults

APPLICATION, NETWORK, GATEWAY = "application", "network", "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetMapping:
    """A subnet of a network balancer, with the Elastic IP (internet-facing) or the private address (internal) of its node there, for the balancer's life."""

    subnet_id: str
    allocation_id: str | None = None
    private_ipv4_address: IPv4Address | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ipv4_address", address(self.private_ipv4_address))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A load balancer with one node per subnet of `subnets`, or of a network balancer's `subnet_mappings`. `scheme` is ``internet-facing`` or ``internal``.

    A network balancer without `security_groups` has none, not the default one; `load_balancing_cross_zone_enabled` is its own (an application balancer always does).
    `scalings` is no property of AWS's: how often the service has scaled an application balancer, which gives its nodes other addresses each time (it has no static ones).
    `workers_per_node` is none either: with how many processes an application balancer's node serves (1 to 16; each can use a processor).
    ``routing_http_…``, `client_keep_alive_seconds` and `access_logs_s3_enabled` are an application balancer's; names are AWS's keys with underscores for dots.
    """

    id: str
    type: str = "application"
    scheme: str = "internet-facing"
    subnets: tuple[str, ...] = ()
    subnet_mappings: tuple[SubnetMapping, ...] = ()
    security_groups: tuple[str, ...] = ()
    enforce_security_group_inbound_rules_on_private_link_traffic: str = "on"
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
    scalings: int = 0
    workers_per_node: int = 1

    @property
    def is_internet_facing(self) -> bool:
        """Whether its nodes have public addresses; a gateway balancer has neither these nor a name: its endpoints are the way to it."""
        return self.scheme == "internet-facing" and self.type != GATEWAY

    @property
    def enabled_subnets(self) -> tuple[str, ...]:
        """The subnets in which it has nodes."""
        return self.subnets or tuple(mapping.subnet_id for mapping in self.subnet_mappings)

    def mapping(self, subnet_id: str) -> SubnetMapping:
        """What is said of its node in a subnet."""
        return next((mapping for mapping in self.subnet_mappings if mapping.subnet_id == subnet_id), SubnetMapping(subnet_id=subnet_id))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the balancer by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "type", self.type, (APPLICATION, NETWORK, GATEWAY)),
            *choice_faults(self.id, "scheme", self.scheme, ("internet-facing", "internal")),
            *choice_faults(self.id, "enforce_security_group_inbound_rules_on_private_link_traffic", self.enforce_security_group_inbound_rules_on_private_link_traffic, ("on", "off")),
            *self._mapping_faults(),
            *self._gateway_faults(),
            *bounds_faults(self.id, "idle_timeout_seconds", self.idle_timeout_seconds, 1, 4000),
            *bounds_faults(self.id, "scalings", self.scalings, 0, 1000 if self.type == APPLICATION else 0),
            *bounds_faults(self.id, "workers_per_node", self.workers_per_node, 1, 16 if self.type == APPLICATION else 1),
            *bounds_faults(self.id, "client_keep_alive_seconds", self.client_keep_alive_seconds, 60, 604800),
            *choice_faults(self.id, "routing_http_xff_header_processing_mode", self.routing_http_xff_header_processing_mode, ("append", "preserve", "remove")),
            *choice_faults(self.id, "routing_http_desync_mitigation_mode", self.routing_http_desync_mitigation_mode, ("monitor", "defensive", "strictest")),
        )

    def _gateway_faults(self) -> Iterator[Fault]:
        """A gateway balancer is reached by its endpoints alone: it has no public addresses and no groups."""
        if self.type == GATEWAY and self.security_groups:
            yield Fault(resource=self.id, problem="a gateway load balancer has no security groups", remedy="leave security_groups out; its appliances' groups admit UDP 6081 from its addresses")

    def _mapping_faults(self) -> Iterator[Fault]:
        if not self.subnet_mappings:
            return
        if self.subnets:
            yield Fault(resource=self.id, problem="subnets and subnet_mappings", remedy="give one of the two")
        if self.type != NETWORK:
            yield Fault(resource=self.id, problem=f"an {self.type} load balancer has no static addresses" if self.type == APPLICATION else "a gateway load balancer has subnets only", remedy="use a network load balancer, with this one as its target if need be (a target group of type alb)")
        for mapping in self.subnet_mappings:
            yield from address_faults(self.id, "private_ipv4_address", mapping.private_ipv4_address)
            if mapping.allocation_id is not None and self.scheme == "internal":
                yield Fault(resource=self.id, problem=f"the Elastic IP address {mapping.allocation_id} on an internal load balancer", remedy="make the scheme internet-facing, or leave allocation_id out")
            if mapping.private_ipv4_address is not None and self.scheme != "internal":
                yield Fault(resource=self.id, problem="private_ipv4_address on an internet-facing load balancer", remedy="make the scheme internal, or leave private_ipv4_address out")
