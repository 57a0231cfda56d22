"""Faults of Global Accelerator across resources: edge locations, ports of listeners, and what an endpoint may be.

Source: Global Accelerator developer guide, "Listeners for standard accelerators" (ports do not overlap), "Endpoints for standard accelerators", "Requirements for endpoints with client IP preservation"
(an internet gateway; a network balancer with security groups), "Endpoint groups for standard accelerators" (one for each Region); documented.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.accelerator import STATIC_ADDRESSES, UDP, Accelerator, AcceleratorListener
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointConfiguration, EndpointGroup
from testbed.model.instance import Instance
from testbed.model.load_balancer import APPLICATION, GATEWAY, LoadBalancer
from testbed.model.subnet import Subnet
from testbed.model.values import Fault, PortRange, did_you_mean
from testbed.resolve.accelerators import NETWORK_ZONES, preserves_client
from testbed.resolve.faults.topology import has_internet_gateway
from testbed.resolve.interfaces import Wanted
from testbed.resolve.public_addresses import interface_of_allocation
from testbed.resolve.references import References
from testbed.resolve.world import edge_locations

ROOM = NETWORK_ZONES[0].num_addresses


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of accelerators, then of their listeners, then of endpoint groups."""
    accelerators = references.topology.of(Accelerator)
    for accelerator in accelerators:
        if not edge_locations(references.topology):
            yield Fault(resource=accelerator.id, problem="no edge location announces its addresses", remedy='give the Internet edge_locations, such as ("LHR", "IAD")')
        if len(accelerators) > ROOM:
            yield Fault(resource=accelerator.id, problem=f"{len(accelerators)} accelerators need {STATIC_ADDRESSES} addresses each", remedy=f"keep {ROOM} at most")
    yield from _listener_faults(references)
    for group in references.topology.of(EndpointGroup):
        for endpoint in group.endpoint_configurations:
            yield from _endpoint_faults(group, endpoint, references)


def _listener_faults(references: References) -> Iterator[Fault]:
    taken: dict[tuple[str, str], list[tuple[PortRange, str]]] = {}
    for listener in references.topology.of(AcceleratorListener):
        own = taken.setdefault((listener.accelerator_arn, listener.protocol), [])
        for ports in listener.port_ranges:
            for other, name in own:
                if ports.first <= other.last and other.first <= ports.last:
                    problem = f"{listener.protocol} ports {ports.first}-{ports.last} overlap with {other.first}-{other.last} of {name}"
                    yield Fault(resource=listener.id, problem=problem, remedy="choose other ports, or merge the two")
            own.append((ports, listener.id))
    groups: dict[tuple[str, str], str] = {}
    for group in references.topology.of(EndpointGroup):
        first = groups.setdefault((group.listener_arn, group.endpoint_group_region), group.id)
        if first != group.id:
            problem = f"{group.listener_arn} already has the endpoint group {first} in {group.endpoint_group_region}"
            yield Fault(resource=group.id, problem=problem, remedy="a listener has one endpoint group in each Region: merge the two")


def _endpoint_faults(group: EndpointGroup, endpoint: EndpointConfiguration, references: References) -> Iterator[Fault]:
    name = f"{group.id} {endpoint.endpoint_id}"
    target = references.named(endpoint.endpoint_id)
    if not isinstance(target, (ElasticIp, Instance, LoadBalancer)):
        known = {each.id for kind in (ElasticIp, Instance, LoadBalancer) for each in references.topology.of(kind)}
        problem = f"endpoint_id {endpoint.endpoint_id!r} is neither a load balancer, nor an instance, nor an Elastic IP address"
        yield Fault(resource=group.id, problem=problem, remedy=did_you_mean(endpoint.endpoint_id, known))
        return
    region = target.region if isinstance(target, ElasticIp) else _region(target, references)
    if region is not None and region != group.endpoint_group_region:
        yield Fault(resource=name, problem=f"the endpoint is in {region}, its group in {group.endpoint_group_region}", remedy=f"put it into an endpoint group of {region}")
    yield from _kind_faults(name, group, endpoint, target, references)
    vpc = _vpc(target, references)
    if vpc is not None and preserves_client(endpoint, references) and not has_internet_gateway(vpc, references):
        problem = f"client IP preservation, but {vpc} has no internet gateway"
        yield Fault(resource=name, problem=problem, remedy="add an InternetGateway for the VPC; its route tables need not lead to it")


def _kind_faults(name: str, group: EndpointGroup, endpoint: EndpointConfiguration, target: ElasticIp | Instance | LoadBalancer, references: References) -> Iterator[Fault]:
    asked = endpoint.client_ip_preservation_enabled
    listener = references.get(AcceleratorListener, group.listener_arn)
    match target:
        case ElasticIp():
            if asked:
                yield Fault(resource=name, problem="an Elastic IP address cannot have client IP preservation", remedy="leave client_ip_preservation_enabled out, or name the instance itself")
            if interface_of_allocation(target, references) is None:
                yield Fault(resource=name, problem="the Elastic IP address is associated with nothing", remedy="associate it with an instance or a network interface")
        case Instance():
            if asked is False:
                yield Fault(resource=name, problem="client IP preservation cannot be off with an instance", remedy="leave client_ip_preservation_enabled out, or name an Elastic IP address of the instance")
        case LoadBalancer():
            if target.type == GATEWAY:
                yield Fault(resource=name, problem="a gateway load balancer cannot be an endpoint", remedy="name an application or network load balancer, an instance or an Elastic IP address")
                return
            if target.type == APPLICATION and listener is not None and listener.protocol == UDP:
                yield Fault(resource=name, problem="an application load balancer behind a UDP listener", remedy="use a network load balancer, an instance or an Elastic IP address")
            if asked and target.type != APPLICATION and not target.security_groups:
                yield Fault(resource=name, problem="client IP preservation with a network load balancer without security groups", remedy="give the balancer security_groups, or leave client_ip_preservation_enabled out")
            if not preserves_client(endpoint, references) and not target.is_internet_facing:
                yield Fault(resource=name, problem="an internal load balancer without client IP preservation cannot be reached", remedy="make the scheme internet-facing, or give the balancer security_groups and preserve the address")


def _vpc(target: ElasticIp | Instance | LoadBalancer, references: References) -> str | None:
    subnet_id = None if isinstance(target, ElasticIp) else target.subnet_id if isinstance(target, Instance) else next(iter(target.enabled_subnets), None)
    subnet = references.get(Subnet, subnet_id)
    return None if subnet is None else subnet.vpc_id


def _region(target: Instance | LoadBalancer, references: References) -> str | None:
    subnet_id = target.subnet_id if isinstance(target, Instance) else next(iter(target.enabled_subnets), None)
    vpc = references.vpc_of_subnet(subnet_id)
    return None if vpc is None else vpc.region
