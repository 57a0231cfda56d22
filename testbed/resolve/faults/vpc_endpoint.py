"""Faults of VPC endpoints and endpoint services with what they are put into.

Source: PrivateLink guide, "Gateway endpoints" (tables of the VPC, one route for a service in a table, same Region), "Access an AWS service using an
interface VPC endpoint" (one subnet for each Availability Zone, private DNS), "Create a service powered by AWS PrivateLink" (Availability Zones in common; documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.model.bucket import Bucket
from testbed.model.load_balancer import GATEWAY, NETWORK, LoadBalancer
from testbed.model.route_table import RouteTable
from testbed.model.security_group import SecurityGroup
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References, default_security_group


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each endpoint, of those that meet, and of each service."""
    endpoints = references.topology.of(VpcEndpoint)
    for endpoint in endpoints:
        vpc = references.get(Vpc, endpoint.vpc_id)
        if vpc is not None:
            yield from _place_faults(endpoint, vpc, references)
    yield from _meeting_faults(endpoints)
    yield from _service_faults(references)
    for name, count in Counter(bucket.bucket_name for bucket in references.topology.of(Bucket)).items():
        if count > 1:
            yield Fault(resource=name, problem=f"{count} buckets have this name", remedy="give each bucket a name of its own, in whatever Region")


def _place_faults(endpoint: VpcEndpoint, vpc: Vpc, references: References) -> Iterator[Fault]:
    if endpoint.region is not None and endpoint.region != vpc.region:
        yield Fault(resource=endpoint.id, problem=f"{endpoint.service_name} is a service of {endpoint.region}, but {vpc.id} is in {vpc.region}", remedy=f"name the service of {vpc.region}")
    for table_id in endpoint.route_table_ids:
        table = references.get(RouteTable, table_id)
        if table is not None and table.vpc_id != vpc.id:
            yield Fault(resource=endpoint.id, problem=f"route table {table_id} is of {table.vpc_id}", remedy=f"name route tables of {vpc.id}")
    subnets = [subnet for subnet_id in endpoint.subnet_ids if (subnet := references.get(Subnet, subnet_id)) is not None]
    for subnet in subnets:
        if subnet.vpc_id != vpc.id:
            yield Fault(resource=endpoint.id, problem=f"subnet {subnet.id} is in {subnet.vpc_id}", remedy=f"name subnets of {vpc.id}")
    for zone, count in Counter(subnet.availability_zone for subnet in subnets).items():
        if count > 1:
            yield Fault(resource=endpoint.id, problem=f"{count} subnets in {zone}", remedy="an endpoint has one subnet in each Availability Zone: keep one")
    for group_id in endpoint.security_group_ids:
        group = references.get(SecurityGroup, group_id)
        if group is not None and group.vpc_id != vpc.id and group_id != default_security_group(vpc.id):
            yield Fault(resource=endpoint.id, problem=f"security group {group_id} is of {group.vpc_id}", remedy=f"name groups of {vpc.id}")
    if endpoint.private_dns_enabled and not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        yield Fault(resource=endpoint.id, problem=f"private DNS, but {vpc.id} lacks enable_dns_support or enable_dns_hostnames", remedy=f"set both on {vpc.id}, or private_dns_enabled=False")
    yield from _provider_faults(endpoint, subnets, references)


def _provider_faults(endpoint: VpcEndpoint, subnets: list[Subnet], references: References) -> Iterator[Fault]:
    if endpoint.provider_service is None:
        return
    service = references.get(VpcEndpointService, endpoint.provider_service)
    if service is None:
        yield Fault(resource=endpoint.id, problem=f"service_name names {endpoint.provider_service!r}, which does not exist", remedy="add a VpcEndpointService with this id")
        return
    if endpoint.is_gateway_load_balancer != bool(service.gateway_load_balancer_arns):
        kind = "GatewayLoadBalancer" if service.gateway_load_balancer_arns else "Interface"
        yield Fault(resource=endpoint.id, problem=f"a {endpoint.vpc_endpoint_type} endpoint for {service.id}", remedy=f'use vpc_endpoint_type="{kind}"')
    if endpoint.private_dns_enabled and service.private_dns_name is None:
        yield Fault(resource=endpoint.id, problem=f"private DNS, but {service.id} has no private_dns_name", remedy=f"give {service.id} one, or set private_dns_enabled=False")
    offered = {subnet.availability_zone for balancer in _balancers(service, references) for subnet in _subnets(balancer, references)}
    for subnet in subnets:
        if offered and subnet.availability_zone not in offered:
            problem = f"{service.id} is not in {subnet.availability_zone}, where {subnet.id} is"
            yield Fault(resource=endpoint.id, problem=problem, remedy=f"use subnets in {' or '.join(sorted(offered))}")


def _meeting_faults(endpoints: tuple[VpcEndpoint, ...]) -> Iterator[Fault]:
    routes: dict[tuple[str, str], str] = {}
    names: dict[tuple[str, str], str] = {}
    for endpoint in endpoints:
        for table_id in endpoint.route_table_ids:
            first = routes.setdefault((table_id, endpoint.service_name), endpoint.id)
            if first != endpoint.id:
                yield Fault(resource=endpoint.id, problem=f"{table_id} leads to {endpoint.service_name} by {first} already", remedy="a route table has one route for a service: remove it from one of them")
        if endpoint.private_dns_enabled:
            first = names.setdefault((endpoint.vpc_id, endpoint.service_name), endpoint.id)
            if first != endpoint.id:
                yield Fault(resource=endpoint.id, problem=f"{first} has private DNS for {endpoint.service_name} in {endpoint.vpc_id} already", remedy="set private_dns_enabled=False on one of them")


def _service_faults(references: References) -> Iterator[Fault]:
    users: dict[str, str] = {}
    for service in references.topology.of(VpcEndpointService):
        for balancer in _balancers(service, references):
            wanted, noun = (GATEWAY, "Gateway") if balancer.id in service.gateway_load_balancer_arns else (NETWORK, "Network")
            if balancer.type != wanted:
                yield Fault(resource=service.id, problem=f"{balancer.id} is no {noun} Load Balancer", remedy=f'name a LoadBalancer with type="{wanted}"')
            first = users.setdefault(balancer.id, service.id)
            if first != service.id:
                yield Fault(resource=service.id, problem=f"{balancer.id} serves {first} already", remedy="a load balancer belongs to one endpoint service: make another")


def _balancers(service: VpcEndpointService, references: References) -> list[LoadBalancer]:
    return [balancer for balancer_id in (*service.network_load_balancer_arns, *service.gateway_load_balancer_arns) if (balancer := references.get(LoadBalancer, balancer_id)) is not None]


def _subnets(balancer: LoadBalancer, references: References) -> list[Subnet]:
    return [subnet for subnet_id in balancer.enabled_subnets if (subnet := references.get(Subnet, subnet_id)) is not None]
