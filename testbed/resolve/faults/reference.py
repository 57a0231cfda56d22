"""Dangling references: every field that names another resource, and the kind that it must name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from testbed.model.accelerator import Accelerator, AcceleratorListener
from testbed.model.auto_scaling_group import AutoScalingGroup, ScalingPolicy
from testbed.model.customer_gateway import CustomerGateway
from testbed.model.db_instance import DBInstance
from testbed.model.dhcp_options import DhcpOptions
from testbed.model.direct_connect_connection import DirectConnectConnection, DirectConnectLag
from testbed.model.direct_connect_gateway import DirectConnectGateway, DirectConnectGatewayAssociation
from testbed.model.ecs_service import EcsService, TaskDefinition
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointGroup
from testbed.model.firewall_policy import FirewallPolicy
from testbed.model.hosted_zone import HostedZone
from testbed.model.instance import Instance, WebApplication
from testbed.model.internet_gateway import InternetGateway
from testbed.model.launch_template import LaunchTemplate
from testbed.model.listener import Action, Listener, target_groups_of
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_firewall import NetworkFirewall
from testbed.model.network_interface import NetworkInterface
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.prefix_list import PrefixList
from testbed.model.resolver_endpoint import ResolverEndpoint
from testbed.model.resolver_rule import ResolverRule
from testbed.model.route_table import BLACKHOLE, RouteTable
from testbed.model.rule_group import RuleGroup
from testbed.model.security_group import Flow, SecurityGroup, rule_name
from testbed.model.subnet import Subnet
from testbed.model.target_group import ALB, IP, TargetGroup
from testbed.model.topology import Resource, Topology
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_connect import TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import TransitGatewayRouteTable
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Fault, did_you_mean
from testbed.model.virtual_interface import PrivateVirtualInterface, TransitVirtualInterface
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_connection import VpnConnection
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References, default_route_table

Kind = type[Resource]

NOUNS: dict[Kind, str] = {
    Accelerator: "accelerator",
    AcceleratorListener: "listener of an accelerator",
    AutoScalingGroup: "Auto Scaling group",
    CustomerGateway: "customer gateway",
    DBInstance: "DB instance",
    DhcpOptions: "DHCP option set",
    DirectConnectGateway: "Direct Connect gateway",
    DirectConnectLag: "LAG",
    ElasticIp: "Elastic IP address",
    FirewallPolicy: "firewall policy",
    Instance: "instance",
    InternetGateway: "internet gateway",
    LaunchTemplate: "launch template",
    LoadBalancer: "load balancer",
    NatGateway: "NAT gateway",
    NetworkInterface: "network interface",
    OnPremisesSite: "on-premises site",
    PrefixList: "prefix list",
    ResolverEndpoint: "Resolver endpoint",
    RouteTable: "route table",
    RuleGroup: "rule group",
    SecurityGroup: "security group",
    Subnet: "subnet",
    TargetGroup: "target group",
    TaskDefinition: "task definition",
    TransitGateway: "transit gateway",
    TransitGatewayConnect: "Connect attachment",
    TransitGatewayRouteTable: "transit gateway route table",
    Vpc: "VPC",
    VpcPeeringConnection: "VPC peering connection",
    VpnGateway: "virtual private gateway",
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
    yield from _of_transit_gateways(topology)
    yield from _of_direct_connect(topology)
    yield from _of_vpn(topology)
    yield from _of_firewalls(topology)
    yield from _of_endpoints(topology)
    yield from _of_filters(topology)
    yield from _of_compute(topology)
    yield from _of_scaling(topology)
    yield from _of_names(topology)
    yield from _of_balancing(topology)
    yield from _of_accelerators(topology)


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
    private_gateways = {gateway.id for gateway in topology.of(VpnGateway)}
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
            yield Reference(name, "transit_gateway_id", route.transit_gateway_id, TransitGateway)
            yield Reference(name, "gateway_id", route.gateway_id, VpnGateway if route.gateway_id in private_gateways else InternetGateway)
            yield Reference(name, "nat_gateway_id", route.nat_gateway_id, NatGateway)
            yield Reference(name, "network_interface_id", route.network_interface_id, NetworkInterface)
            yield Reference(name, "instance_id", route.instance_id, Instance)


def _of_vpn(topology: Topology) -> Iterator[Reference]:
    for customer in topology.of(CustomerGateway):
        yield Reference(customer.id, "site_id", customer.site_id, OnPremisesSite)
    for gateway in topology.of(VpnGateway):
        yield Reference(gateway.id, "vpc_id", gateway.vpc_id, Vpc)
    for connection in topology.of(VpnConnection):
        yield Reference(connection.id, "customer_gateway_id", connection.customer_gateway_id, CustomerGateway)
        yield Reference(connection.id, "vpn_gateway_id", connection.vpn_gateway_id, VpnGateway)
        yield Reference(connection.id, "transit_gateway_id", connection.transit_gateway_id, TransitGateway)
    for propagation in topology.of(VpnGatewayRoutePropagation):
        yield Reference(propagation.id, "vpn_gateway_id", propagation.vpn_gateway_id, VpnGateway)
        yield from _each(propagation.id, "route_table_ids", propagation.route_table_ids, RouteTable)


def _of_direct_connect(topology: Topology) -> Iterator[Reference]:
    for connection in topology.of(DirectConnectConnection):
        yield Reference(connection.id, "site_id", connection.site_id, OnPremisesSite)
        yield Reference(connection.id, "lag_id", connection.lag_id, DirectConnectLag)
    for association in topology.of(DirectConnectGatewayAssociation):
        yield Reference(association.id, "direct_connect_gateway_id", association.direct_connect_gateway_id, DirectConnectGateway)
    for private in topology.of(PrivateVirtualInterface):
        yield Reference(private.id, "vpn_gateway_id", private.vpn_gateway_id, VpnGateway)
        yield Reference(private.id, "direct_connect_gateway_id", private.direct_connect_gateway_id, DirectConnectGateway)
    for transit in topology.of(TransitVirtualInterface):
        yield Reference(transit.id, "direct_connect_gateway_id", transit.direct_connect_gateway_id, DirectConnectGateway)


def _of_transit_gateways(topology: Topology) -> Iterator[Reference]:
    for gateway in topology.of(TransitGateway):
        yield Reference(gateway.id, "association_default_route_table_id", gateway.association_default_route_table_id, TransitGatewayRouteTable)
        yield Reference(gateway.id, "propagation_default_route_table_id", gateway.propagation_default_route_table_id, TransitGatewayRouteTable)
    for attachment in topology.of(TransitGatewayVpcAttachment):
        yield Reference(attachment.id, "transit_gateway_id", attachment.transit_gateway_id, TransitGateway)
        yield Reference(attachment.id, "vpc_id", attachment.vpc_id, Vpc)
        yield from _each(attachment.id, "subnet_ids", attachment.subnet_ids, Subnet)
    for peering in topology.of(TransitGatewayPeeringAttachment):
        yield Reference(peering.id, "transit_gateway_id", peering.transit_gateway_id, TransitGateway)
        yield Reference(peering.id, "peer_transit_gateway_id", peering.peer_transit_gateway_id, TransitGateway)
    for peer in topology.of(TransitGatewayConnectPeer):
        yield Reference(peer.id, "transit_gateway_attachment_id", peer.transit_gateway_attachment_id, TransitGatewayConnect)
    for table in topology.of(TransitGatewayRouteTable):
        yield Reference(table.id, "transit_gateway_id", table.transit_gateway_id, TransitGateway)
        for route in table.routes:
            yield Reference(f"{table.id} {route.destination}", "destination_prefix_list_id", route.destination_prefix_list_id, PrefixList)


def _of_endpoints(topology: Topology) -> Iterator[Reference]:
    for endpoint in topology.of(VpcEndpoint):
        yield Reference(endpoint.id, "vpc_id", endpoint.vpc_id, Vpc)
        yield from _each(endpoint.id, "route_table_ids", (table for table in endpoint.route_table_ids if table != default_route_table(endpoint.vpc_id)), RouteTable)
        yield from _each(endpoint.id, "subnet_ids", endpoint.subnet_ids, Subnet)
        yield from _each(endpoint.id, "security_group_ids", endpoint.security_group_ids, SecurityGroup)
    for service in topology.of(VpcEndpointService):
        yield from _each(service.id, "network_load_balancer_arns", service.network_load_balancer_arns, LoadBalancer)
        yield from _each(service.id, "gateway_load_balancer_arns", service.gateway_load_balancer_arns, LoadBalancer)


def _of_firewalls(topology: Topology) -> Iterator[Reference]:
    for firewall in topology.of(NetworkFirewall):
        yield Reference(firewall.id, "vpc_id", firewall.vpc_id, Vpc)
        yield Reference(firewall.id, "firewall_policy_arn", firewall.firewall_policy_arn, FirewallPolicy)
        yield from _each(firewall.id, "subnet_mappings", firewall.subnet_mappings, Subnet)
    for policy in topology.of(FirewallPolicy):
        references = (*policy.stateless_rule_group_references, *policy.stateful_rule_group_references)
        yield from _each(policy.id, "resource_arn", (reference.resource_arn for reference in references), RuleGroup)


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


def _of_names(topology: Topology) -> Iterator[Reference]:
    for zone in topology.of(HostedZone):
        yield from _each(zone.id, "vpcs", zone.vpcs, Vpc)
    for endpoint in topology.of(ResolverEndpoint):
        yield from _each(endpoint.id, "subnet_id", (request.subnet_id for request in endpoint.ip_addresses), Subnet)
        yield from _each(endpoint.id, "security_group_ids", endpoint.security_group_ids, SecurityGroup)
    for rule in topology.of(ResolverRule):
        yield Reference(rule.id, "resolver_endpoint_id", rule.resolver_endpoint_id, ResolverEndpoint)
        yield from _each(rule.id, "association", rule.associations, Vpc)


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


def _of_scaling(topology: Topology) -> Iterator[Reference]:
    for template in topology.of(LaunchTemplate):
        yield from _each(template.id, "security_group_ids", template.security_group_ids, SecurityGroup)
        if isinstance(template.user_data, WebApplication):
            yield Reference(template.id, "user_data database_id", template.user_data.database_id, DBInstance)
    for group in topology.of(AutoScalingGroup):
        yield Reference(group.id, "launch_template_id", group.launch_template_id, LaunchTemplate)
        yield from _each(group.id, "vpc_zone_identifier", group.vpc_zone_identifier, Subnet)
        yield from _each(group.id, "target_group_arns", group.target_group_arns, TargetGroup)
    for policy in topology.of(ScalingPolicy):
        yield Reference(policy.id, "auto_scaling_group_name", policy.auto_scaling_group_name, AutoScalingGroup)
        yield Reference(policy.id, "resource_label", policy.resource_label, TargetGroup)
    for definition in topology.of(TaskDefinition):
        yield Reference(definition.id, "container database_id", definition.container.database_id, DBInstance)
    for service in topology.of(EcsService):
        yield Reference(service.id, "task_definition", service.task_definition, TaskDefinition)
        yield from _each(service.id, "subnets", service.subnets, Subnet)
        yield from _each(service.id, "security_groups", service.security_groups, SecurityGroup)
        yield Reference(service.id, "target_group_arn", service.target_group_arn, TargetGroup)


def _of_balancing(topology: Topology) -> Iterator[Reference]:
    for balancer in topology.of(LoadBalancer):
        yield from _each(balancer.id, "subnets", balancer.enabled_subnets, Subnet)
        yield from _each(balancer.id, "allocation_id", (mapping.allocation_id for mapping in balancer.subnet_mappings if mapping.allocation_id is not None), ElasticIp)
        yield from _each(balancer.id, "security_groups", balancer.security_groups, SecurityGroup)
    for listener in topology.of(Listener):
        yield Reference(listener.id, "load_balancer_arn", listener.load_balancer_arn, LoadBalancer)
        yield from _each(listener.id, "target_group_arn", _forwards(listener.default_actions), TargetGroup)
        for rule in listener.rules:
            yield from _each(f"{listener.id}#{rule.priority}", "target_group_arn", _forwards(rule.actions), TargetGroup)
    for group in topology.of(TargetGroup):
        yield Reference(group.id, "vpc_id", group.vpc_id, Vpc)
        if group.target_type != IP:
            yield from _each(group.id, "targets", group.targets, LoadBalancer if group.target_type == ALB else Instance)


def _of_accelerators(topology: Topology) -> Iterator[Reference]:
    for listener in topology.of(AcceleratorListener):
        yield Reference(listener.id, "accelerator_arn", listener.accelerator_arn, Accelerator)
    for group in topology.of(EndpointGroup):
        yield Reference(group.id, "listener_arn", group.listener_arn, AcceleratorListener)


def _forwards(actions: tuple[Action, ...]) -> Iterator[str]:
    return (each.target_group_arn for action in actions for each in target_groups_of(action))
