"""Endpoint services: what a provider offers through PrivateLink, behind Network Load Balancers of its own VPC.

Source: PrivateLink guide, "Create a service powered by AWS PrivateLink", "Share your services through AWS PrivateLink";
CloudFormation, "AWS::EC2::VPCEndpointService" (documented).
NOT MODELLED: acceptance and permissions (a lab is one account, and every connection is accepted), the proof of owning `private_dns_name`, Gateway Load Balancers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcEndpointService:
    """A service named ``com.amazonaws.vpce.<region>.<id>``. `private_dns_name` is what consumers' private DNS answers with their endpoints."""

    id: str
    network_load_balancer_arns: tuple[str, ...]
    private_dns_name: str | None = None

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the service by itself."""
        return (*id_faults(self.id), *self._balancer_faults())

    def _balancer_faults(self) -> Iterator[Fault]:
        if not self.network_load_balancer_arns:
            yield Fault(resource=self.id, problem="an endpoint service without a Network Load Balancer", remedy="name one in network_load_balancer_arns")
