"""Dangling references: every field that names another resource, and the kind that it must name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from testbed.model.db_instance import DBInstance
from testbed.model.dhcp_options import DhcpOptions
from testbed.model.elastic_ip import ElasticIp
from testbed.model.instance import Instance, WebApplication
from testbed.model.internet_gateway import InternetGateway
from testbed.model.listener import Action, Listener, target_groups_of
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import BLACKHOLE, RouteTable
from testbed.model.security_group import Flow, SecurityGroup, rule_name
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Resource, Topology
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References, default_route_table

Kind = type[Resource]

NOUNS: dict[Kind, str] = {
    DBInstance: "DB instance",
    DhcpOptions: "DHCP option set",
    ElasticIp: "Elastic IP address",
    Instance: "instance",
    InternetGateway: "internet gateway",
    LoadBalancer: "load balancer",
    NatGateway: "NAT gateway",
    NetworkInterface: "network interface",
    PrefixList: "prefix list",
    RouteTable: "route table",
    SecurityGroup: "security group",
    Subnet: "subnet",
    TargetGroup: "target group",
    Vpc: "VPC",
    VpcPeeringConnection: "VPC peering connection",
}


class Reference(NamedTuple):
    """A field of a resource that names another."""

    resource: str
    field: str
    value: str | None
    kind: Kind


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Every reference that names nothing, or a resource of another kind."""
    for reference in _references(references.topology):
        if reference.value is None or references.get(reference.kind, reference.value) is not None:
            continue
        found = references.named(reference.value)
        noun = NOUNS[reference.kind]
        known = [resource.id for resource in references.topology.of(reference.kind)]
        problem = f"{reference.field} {reference.value!r} does not exist" if found is None else f"{reference.field} {reference.value!r} is not {_article(noun)} {noun}"
        yield Fault(resource=reference.resource, problem=problem, remedy=did_you_mean(reference.value, known) if known else f"add {_article(noun)} {noun} with this id")


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiouE" else "a"


def _references(topology: Topology) -> Iterator[Reference]:
    yield from _of_network(topology)
    yield from _of_endpoints(topology)
    yield from _of_filters(topology)
    yield from _of_compute(topology)
    yield from _of_balancing(topology)


def _each(resource: str, field: str, values: Iterable[str], kind: Kind) -> Iterator[Reference]:
    return (Reference(resource, field, value, kind) for value in values)


def _of_network(topology: Topology) -> Iterator[Reference]:
    for vpc in topology.of(Vpc):
        yield Reference(vpc.id, "dhcp_options_id", vpc.dhcp_options_id, DhcpOptions)
    for subnet in topology.of(Subnet):
        yield Reference(subnet.id, "vpc_id", subnet.vpc_id, Vpc)
    for gateway in topology.of(InternetGateway):
        yield Reference(gateway.id, "vpc_id", gateway.vpc_id, Vpc)
    for nat in topology.of(NatGateway):
        yield Reference(nat.id, "subnet_id", nat.subnet_id, Subnet)
        yield Reference(nat.id, "allocation_id", nat.allocation_id, ElasticIp)
        yield from _each(nat.id, "secondary_allocation_id", nat.secondary_allocation_ids, ElasticIp)
    for elastic_ip in topology.of(ElasticIp):
        yield Reference(elastic_ip.id, "instance_id", elastic_ip.instance_id, Instance)
        yield Reference(elastic_ip.id, "network_interface_id", elastic_ip.network_interface_id, NetworkInterface)
    for peering in topology.of(VpcPeeringConnection):
        yield Reference(peering.id, "vpc_id", peering.vpc_id, Vpc)
        yield Reference(peering.id, "peer_vpc_id", peering.peer_vpc_id, Vpc)
    for table in topology.of(RouteTable):
        yield Reference(table.id, "vpc_id", table.vpc_id, Vpc)
        yield from _each(table.id, "association", table.associations, Subnet)
        yield from _each(table.id, "gateway_association", table.gateway_associations, InternetGateway)
        for route in table.routes:
            name = f"{table.id} {route.destination}"
            yield Reference(name, "destination_prefix_list_id", route.destination_prefix_list_id, PrefixList)
            if route.state == BLACKHOLE:  # its target has been deleted
                continue
            yield Reference(name, "vpc_peering_connection_id", route.vpc_peering_connection_id, VpcPeeringConnection)
            yield Reference(name, "gateway_id", route.gateway_id, InternetGateway)
            yield Reference(name, "nat_gateway_id", route.nat_gateway_id, NatGateway)
            yield Reference(name, "network_interface_id", route.network_interface_id, NetworkInterface)
            yield Reference(name, "instance_id", route.instance_id, Instance)


def _of_endpoints(topology: Topology) -> Iterator[Reference]:
    for endpoint in topology.of(VpcEndpoint):
        yield Reference(endpoint.id, "vpc_id", endpoint.vpc_id, Vpc)
        yield from _each(endpoint.id, "route_table_ids", (table for table in endpoint.route_table_ids if table != default_route_table(endpoint.vpc_id)), RouteTable)
        yield from _each(endpoint.id, "subnet_ids", endpoint.subnet_ids, Subnet)
        yield from _each(endpoint.id, "security_group_ids", endpoint.security_group_ids, SecurityGroup)
    for service in topology.of(VpcEndpointService):
        yield from _each(service.id, "network_load_balancer_arns", service.network_load_balancer_arns, LoadBalancer)


def _of_filters(topology: Topology) -> Iterator[Reference]:
    for acl in topology.of(NetworkAcl):
        yield Reference(acl.id, "vpc_id", acl.vpc_id, Vpc)
        yield from _each(acl.id, "association", acl.associations, Subnet)
    for group in topology.of(SecurityGroup):
        yield Reference(group.id, "vpc_id", group.vpc_id, Vpc)
        for flow in Flow:
            for index, rule in enumerate(group.rules(flow)):
                yield Reference(rule_name(group.id, flow, index), "security_group_id", rule.security_group_id, SecurityGroup)
                yield Reference(rule_name(group.id, flow, index), "prefix_list_id", rule.prefix_list_id, PrefixList)


def _of_compute(topology: Topology) -> Iterator[Reference]:
    for instance in topology.of(Instance):
        yield Reference(instance.id, "subnet_id", instance.subnet_id, Subnet)
        yield from _each(instance.id, "security_group_ids", instance.security_group_ids, SecurityGroup)
        if isinstance(instance.user_data, WebApplication):
            yield Reference(instance.id, "user_data database_id", instance.user_data.database_id, DBInstance)
    for interface in topology.of(NetworkInterface):
        yield Reference(interface.id, "subnet_id", interface.subnet_id, Subnet)
        yield Reference(interface.id, "instance_id", interface.instance_id, Instance)
        yield from _each(interface.id, "group_set", interface.group_set, SecurityGroup)
    for database in topology.of(DBInstance):
        yield from _each(database.id, "db_subnet_group", database.db_subnet_group, Subnet)
        yield from _each(database.id, "vpc_security_groups", database.vpc_security_groups, SecurityGroup)


def _of_balancing(topology: Topology) -> Iterator[Reference]:
    for balancer in topology.of(LoadBalancer):
        yield from _each(balancer.id, "subnets", balancer.subnets, Subnet)
        yield from _each(balancer.id, "security_groups", balancer.security_groups, SecurityGroup)
    for listener in topology.of(Listener):
        yield Reference(listener.id, "load_balancer_arn", listener.load_balancer_arn, LoadBalancer)
        yield from _each(listener.id, "target_group_arn", _forwards(listener.default_actions), TargetGroup)
        for rule in listener.rules:
            yield from _each(f"{listener.id}#{rule.priority}", "target_group_arn", _forwards(rule.actions), TargetGroup)
    for group in topology.of(TargetGroup):
        yield Reference(group.id, "vpc_id", group.vpc_id, Vpc)
        yield from _each(group.id, "targets", group.targets, Instance)


def _forwards(actions: tuple[Action, ...]) -> Iterator[str]:
    return (each.target_group_arn for action in actions for each in target_groups_of(action))
