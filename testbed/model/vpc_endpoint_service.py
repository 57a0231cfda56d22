"""Endpoint services: what a provider offers through PrivateLink, behind Network Load Balancers or Gateway Load Balancers of its own VPC.

Source: PrivateLink guide, "Create a service powered by AWS PrivateLink", "Share your services through AWS PrivateLink";
CloudFormation, "AWS::EC2::VPCEndpointService" (documented).
NOT MODELLED: acceptance and permissions (a lab is one account, and every connection is accepted), the proof of owning `private_dns_name`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcEndpointService:
    """A service named ``com.amazonaws.vpce.<region>.<id>``, behind balancers of one of the two kinds. `private_dns_name` is what consumers' private DNS answers with their endpoints."""

    id: str
    network_load_balancer_arns: tuple[str, ...] = ()
    gateway_load_balancer_arns: tuple[str, ...] = ()
    private_dns_name: str | None = None

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the service by itself."""
        return (*id_faults(self.id), *self._balancer_faults())

    def _balancer_faults(self) -> Iterator[Fault]:
        if not self.network_load_balancer_arns and not self.gateway_load_balancer_arns:
            yield Fault(resource=self.id, problem="an endpoint service without a load balancer", remedy="name one in network_load_balancer_arns or gateway_load_balancer_arns")
        if self.network_load_balancer_arns and self.gateway_load_balancer_arns:
            yield Fault(resource=self.id, problem="an endpoint service with load balancers of both kinds", remedy="make two services")
        if self.gateway_load_balancer_arns and self.private_dns_name is not None:
            yield Fault(resource=self.id, problem="private_dns_name with Gateway Load Balancers", remedy="leave it out: their endpoints are reached by routes, not by names")
