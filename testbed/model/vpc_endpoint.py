"""VPC endpoints: private ways from a VPC to a service, without an internet gateway.

    Gateway     S3 and DynamoDB: a route ``prefix list -> endpoint`` in the named route tables; the destination stays public, nothing has an address
    Interface   any service: a network interface in each subnet, with security groups; private DNS puts it in place of the service's public name
    GatewayLoadBalancer   inspection: a network interface in one subnet, without groups, to which routes lead; what an appliance sends back leaves it again unchanged

Source: PrivateLink guide, "Gateway endpoints", "Access an AWS service using an interface VPC endpoint", "Access an inspection system using a GWLB endpoint", "Control access to VPC endpoints using endpoint
policies", "PrivateLink quotas"; CloudFormation, "AWS::EC2::VPCEndpoint" (documented).
NOT MODELLED: cross-Region access, IPv6, UDP through an endpoint (the listener is TCP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.policy_document import LONGEST_ENDPOINT_POLICY, policy_faults, policy_text
from testbed.model.values import Fault, choice_faults, id_faults

GATEWAY, INTERFACE, GATEWAY_LOAD_BALANCER = "Gateway", "Interface", "GatewayLoadBalancer"
AWS_SERVICES = ("dynamodb", "kms", "s3", "sqs")
GATEWAY_SERVICES = ("dynamodb", "s3")
UNWANTED = {
    GATEWAY: ("subnet_ids", "security_group_ids", "private_dns_enabled"),
    INTERFACE: ("route_table_ids",),
    GATEWAY_LOAD_BALANCER: ("route_table_ids", "security_group_ids", "private_dns_enabled"),
}
MTU_BYTES = 8500
"""Larger packets are dropped, without path-MTU discovery (PrivateLink guide, "PrivateLink quotas"; documented)."""
HTTP, HTTPS = 80, 443
AWS_SERVICE_NAME = re.compile(r"com\.amazonaws\.([a-z]+(?:-[a-z]+)+-[0-9])\.([a-z0-9]+)")
PROVIDER_SERVICE_NAME = re.compile(r"com\.amazonaws\.vpce\.([a-z]+(?:-[a-z]+)+-[0-9])\.([a-z][a-z0-9-]*)")


def ports(service: str) -> tuple[int, ...]:
    """The TCP ports on which an AWS service answers: KMS takes TLS only (KMS developer guide, "Infrastructure security"; documented)."""
    return (HTTPS,) if service == "kms" else (HTTP, HTTPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcEndpoint:
    """An endpoint. `service_name` is ``com.amazonaws.eu-west-1.s3``, or ``com.amazonaws.vpce.eu-west-1.<id of a VpcEndpointService>``.

    `policy_document` (JSON or a dictionary; None: everything is allowed) governs what may be asked through it; only AWS's own services look at it.
    Without `security_group_ids` an interface endpoint has the VPC's default group. A Gateway Load Balancer endpoint has one subnet, no groups and no policy: routes lead to it.
    """

    id: str
    vpc_id: str
    service_name: str
    vpc_endpoint_type: str = GATEWAY
    route_table_ids: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    private_dns_enabled: bool = False
    policy_document: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy_document", policy_text(self.policy_document))

    @property
    def aws_service(self) -> str | None:
        """``s3`` and so on; None if it leads to a provider's service."""
        found = AWS_SERVICE_NAME.fullmatch(self.service_name)
        return found.group(2) if found else None

    @property
    def provider_service(self) -> str | None:
        """The id of the VpcEndpointService that it leads to, None if that is AWS's."""
        found = PROVIDER_SERVICE_NAME.fullmatch(self.service_name)
        return found.group(2) if found else None

    @property
    def region(self) -> str | None:
        """The Region in the service's name."""
        found = AWS_SERVICE_NAME.fullmatch(self.service_name) or PROVIDER_SERVICE_NAME.fullmatch(self.service_name)
        return found.group(1) if found else None

    @property
    def is_gateway(self) -> bool:
        return self.vpc_endpoint_type == GATEWAY

    @property
    def is_interface(self) -> bool:
        return self.vpc_endpoint_type == INTERFACE

    @property
    def is_gateway_load_balancer(self) -> bool:
        return self.vpc_endpoint_type == GATEWAY_LOAD_BALANCER

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the endpoint by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "vpc_endpoint_type", self.vpc_endpoint_type, (GATEWAY, INTERFACE, GATEWAY_LOAD_BALANCER)),
            *policy_faults(self.id, "policy_document", self.policy_document, LONGEST_ENDPOINT_POLICY),
            *self._service_faults(),
            *self._type_faults(),
        )

    def _service_faults(self) -> Iterator[Fault]:
        service, offered = self.aws_service, GATEWAY_SERVICES if self.is_gateway else AWS_SERVICES
        if self.region is None:
            yield Fault(resource=self.id, problem=f"service_name {self.service_name!r} names no service", remedy="write com.amazonaws.eu-west-1.s3, or com.amazonaws.vpce.eu-west-1.<id of a VpcEndpointService>")
        elif service is not None and self.is_gateway_load_balancer:
            yield Fault(resource=self.id, problem=f"{self.service_name} has no Gateway Load Balancer endpoints", remedy="name a VpcEndpointService with gateway_load_balancer_arns")
        elif service is not None and service not in AWS_SERVICES:
            yield Fault(resource=self.id, problem=f"the service {service!r} is not modelled", remedy=f"use one of {', '.join(AWS_SERVICES)}")
        elif service not in offered and (self.is_gateway or service is not None):
            yield Fault(resource=self.id, problem=f"{self.service_name} has no gateway endpoints", remedy=f'use vpc_endpoint_type="{INTERFACE}"; gateway endpoints are for S3 and DynamoDB')
        if service is None and self.policy_document is not None and self.region is not None:
            yield Fault(resource=self.id, problem="a provider's service does not support endpoint policies", remedy="leave policy_document out")

    def _type_faults(self) -> Iterator[Fault]:
        unwanted = UNWANTED.get(self.vpc_endpoint_type, ())
        for name in unwanted:
            if getattr(self, name):
                yield Fault(resource=self.id, problem=f"{self.vpc_endpoint_type} endpoints have no {name}", remedy="leave it out")
        if not self.is_gateway and not self.subnet_ids:
            yield Fault(resource=self.id, problem=f"{'an interface' if self.is_interface else 'a Gateway Load Balancer'} endpoint without a subnet", remedy="name a subnet in each Availability Zone in which it shall be in subnet_ids")
        if self.is_gateway_load_balancer and len(self.subnet_ids) > 1:
            yield Fault(resource=self.id, problem=f"a Gateway Load Balancer endpoint with {len(self.subnet_ids)} subnets", remedy="an endpoint is in one Availability Zone: make one for each")
