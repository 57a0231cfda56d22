"""What AWS does with a packet, in AWS's words: the vocabulary of a topology file.

``from testbed.model import *`` is how a topology begins.
"""

from testbed.model.accelerator import Accelerator, AcceleratorListener
from testbed.model.auto_scaling_group import AutoScalingGroup, ScalingPolicy
from testbed.model.bucket import Bucket
from testbed.model.connection_tracking import ConnectionTrackingSpecification
from testbed.model.customer_gateway import CustomerGateway
from testbed.model.db_instance import DBInstance
from testbed.model.default_vpc import default_vpc
from testbed.model.dhcp_options import DhcpOptions
from testbed.model.direct_connect_connection import DirectConnectConnection, DirectConnectLag
from testbed.model.direct_connect_gateway import DirectConnectGateway, DirectConnectGatewayAssociation
from testbed.model.distribution import ALL_METHODS, CACHING_DISABLED, CACHING_OPTIMIZED, CacheBehavior, CachePolicy, Distribution, Origin
from testbed.model.dns_server import ConditionalForwarder, DnsServer
from testbed.model.ecs_service import EcsService, TaskDefinition
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointConfiguration, EndpointGroup
from testbed.model.errors import ModelError
from testbed.model.firewall_policy import FirewallPolicy, RuleGroupReference
from testbed.model.flow_log import FlowLog
from testbed.model.hosted_zone import HostedZone, RecordSet
from testbed.model.identity_provider import IdentityProvider, IdentityUser
from testbed.model.instance import GeneveAppliance, Instance, IpForwarding, SdWanAppliance, StatefulFirewall, WebApplication, WebServer
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.launch_template import LaunchTemplate
from testbed.model.listener import AuthenticateOidc, FixedResponse, Forward, ForwardConfig, JwtValidation, Listener, ListenerRule, Redirect, RewriteConfig, TargetGroupTuple
from testbed.model.load_balancer import LoadBalancer, SubnetMapping
from testbed.model.metadata_options import MetadataOptions
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.network_firewall import NetworkFirewall
from testbed.model.network_interface import NetworkInterface
from testbed.model.on_premises_site import OnPremisesHost, OnPremisesSite
from testbed.model.prefix_list import PrefixList, PrefixListEntry
from testbed.model.public_virtual_interface import PublicVirtualInterface
from testbed.model.quotas import Quotas
from testbed.model.resolver_endpoint import IpAddressRequest, ResolverEndpoint
from testbed.model.resolver_rule import ResolverRule
from testbed.model.route_table import Route, RouteTable
from testbed.model.rule_group import RuleGroup, RulesSourceList
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.shield_protection import ShieldProtection
from testbed.model.stateful_rule import StatefulRule
from testbed.model.stateless_rule import StatelessRule
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Resource, Topology
from testbed.model.traffic_mirror import TrafficMirrorFilter, TrafficMirrorFilterRule, TrafficMirrorSession, TrafficMirrorTarget
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_connect import TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import TransitGatewayRoute, TransitGatewayRouteTable
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Decision, Fault, Packet, PortRange, Protocol, Verdict
from testbed.model.virtual_interface import CustomerDeviceSession, PrivateVirtualInterface, TransitVirtualInterface
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_connection import VpnConnection
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation
from testbed.model.vpn_tunnel import CustomerDeviceTunnel, VpnTunnelOptions

__all__ = [
    "ALL_METHODS", "CACHING_DISABLED", "CACHING_OPTIMIZED", "Accelerator", "AcceleratorListener", "AuthenticateOidc", "AutoScalingGroup", "Bucket", "CacheBehavior", "CachePolicy", "ConditionalForwarder",
    "ConnectionTrackingSpecification", "CustomerDeviceSession", "CustomerDeviceTunnel", "CustomerGateway", "DBInstance", "Decision", "DhcpOptions",
    "DirectConnectConnection", "DirectConnectGateway", "DirectConnectGatewayAssociation", "DirectConnectLag", "Direction", "Distribution",
    "DnsServer", "EcsService", "ElasticIp", "EndpointConfiguration", "EndpointGroup", "Fault", "FirewallPolicy", "FixedResponse", "Flow", "FlowLog", "Forward", "ForwardConfig", "GeneveAppliance",
    "HostedZone", "IdentityProvider", "IdentityUser", "Instance", "Internet", "InternetGateway", "IpAddressRequest", "IpForwarding", "JwtValidation",
    "LaunchTemplate", "Listener", "ListenerRule", "LoadBalancer", "MetadataOptions", "ModelError", "NatGateway", "NetworkAcl", "NetworkAclEntry", "NetworkFirewall",
    "NetworkInterface", "OnPremisesHost", "OnPremisesSite", "Origin", "Packet", "PortRange", "PrefixList", "PrefixListEntry",
    "PrivateVirtualInterface", "Protocol", "PublicVirtualInterface", "Quotas", "RecordSet", "Redirect", "ResolverEndpoint", "ResolverRule",
    "Resource", "RewriteConfig", "Route", "RouteTable", "RuleGroup", "RuleGroupReference", "RulesSourceList", "ScalingPolicy", "SdWanAppliance", "SecurityGroup", "SecurityGroupRule", "ShieldProtection",
    "StatefulFirewall", "StatefulRule", "StatelessRule", "Subnet", "SubnetMapping", "TargetGroup", "TargetGroupTuple", "TaskDefinition", "Topology",
    "TrafficMirrorFilter", "TrafficMirrorFilterRule", "TrafficMirrorSession", "TrafficMirrorTarget", "TransitGateway",
    "TransitGatewayConnect", "TransitGatewayConnectPeer", "TransitGatewayPeeringAttachment", "TransitGatewayRoute", "TransitGatewayRouteTable", "TransitGatewayVpcAttachment", "TransitVirtualInterface",
    "User", "Verdict", "Vpc", "VpcEndpoint", "VpcEndpointService", "VpcPeeringConnection", "VpnConnection", "VpnGateway",
    "VpnGatewayRoutePropagation", "VpnTunnelOptions", "WebApplication", "WebServer", "default_vpc",
]
