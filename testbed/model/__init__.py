"""What AWS does with a packet, in AWS's words: the vocabulary of a topology file.

``from testbed.model import *`` is how a topology begins.
"""

from testbed.model.bucket import Bucket
from testbed.model.connection_tracking import ConnectionTrackingSpecification
from testbed.model.db_instance import DBInstance
from testbed.model.default_vpc import default_vpc
from testbed.model.dhcp_options import DhcpOptions
from testbed.model.distribution import ALL_METHODS, CACHING_DISABLED, CACHING_OPTIMIZED, CacheBehavior, CachePolicy, Distribution, Origin
from testbed.model.elastic_ip import ElasticIp
from testbed.model.errors import ModelError
from testbed.model.flow_log import FlowLog
from testbed.model.hosted_zone import HostedZone, RecordSet
from testbed.model.instance import Instance, IpForwarding, WebApplication
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.listener import FixedResponse, Forward, ForwardConfig, Listener, ListenerRule, Redirect, TargetGroupTuple
from testbed.model.load_balancer import LoadBalancer
from testbed.model.metadata_options import MetadataOptions
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList, PrefixListEntry
from testbed.model.quotas import Quotas
from testbed.model.route_table import Route, RouteTable
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Resource, Topology
from testbed.model.traffic_mirror import TrafficMirrorFilter, TrafficMirrorFilterRule, TrafficMirrorSession, TrafficMirrorTarget
from testbed.model.values import Decision, Fault, Packet, PortRange, Protocol, Verdict
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.model.vpc_peering_connection import VpcPeeringConnection

__all__ = [
    "ALL_METHODS", "Bucket", "CACHING_DISABLED", "CACHING_OPTIMIZED", "CacheBehavior", "CachePolicy", "ConnectionTrackingSpecification", "DBInstance", "Decision", "Direction",
    "DhcpOptions", "Distribution", "ElasticIp", "Fault", "FixedResponse", "Flow", "FlowLog", "Forward", "ForwardConfig", "HostedZone", "Instance", "Internet", "InternetGateway", "IpForwarding",
    "Listener", "ListenerRule", "LoadBalancer", "MetadataOptions", "ModelError", "NatGateway", "NetworkAcl", "NetworkAclEntry", "NetworkInterface", "Origin",
    "Packet", "PortRange", "PrefixList", "PrefixListEntry", "Protocol", "Quotas", "RecordSet", "Redirect", "Resource", "Route", "RouteTable", "SecurityGroup", "SecurityGroupRule",
    "Subnet", "TargetGroup", "TargetGroupTuple", "Topology", "TrafficMirrorFilter", "TrafficMirrorFilterRule", "TrafficMirrorSession", "TrafficMirrorTarget", "User", "Verdict", "Vpc", "VpcEndpoint", "VpcEndpointService", "VpcPeeringConnection", "WebApplication", "default_vpc",
]
