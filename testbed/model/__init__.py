"""What AWS does with a packet, in AWS's words: the vocabulary of a topology file.

``from testbed.model import *`` is how a topology begins.
"""

from testbed.model.db_instance import DBInstance
from testbed.model.distribution import ALL_METHODS, CACHING_DISABLED, CACHING_OPTIMIZED, CacheBehavior, CachePolicy, Distribution, Origin
from testbed.model.elastic_ip import ElasticIp
from testbed.model.errors import ModelError
from testbed.model.hosted_zone import HostedZone, RecordSet
from testbed.model.instance import Instance, WebApplication
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.listener import FixedResponse, Forward, Listener, ListenerRule, Redirect
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.network_interface import NetworkInterface
from testbed.model.quotas import Quotas
from testbed.model.route_table import Route, RouteTable
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Resource, Topology
from testbed.model.values import Decision, Fault, Packet, PortRange, Protocol, Verdict
from testbed.model.vpc import Vpc

__all__ = [
    "ALL_METHODS", "CACHING_DISABLED", "CACHING_OPTIMIZED", "CacheBehavior", "CachePolicy", "DBInstance", "Decision", "Direction",
    "Distribution", "ElasticIp", "Fault", "FixedResponse", "Flow", "Forward", "HostedZone", "Instance", "Internet", "InternetGateway",
    "Listener", "ListenerRule", "LoadBalancer", "ModelError", "NatGateway", "NetworkAcl", "NetworkAclEntry", "NetworkInterface", "Origin",
    "Packet", "PortRange", "Protocol", "Quotas", "RecordSet", "Redirect", "Resource", "Route", "RouteTable", "SecurityGroup", "SecurityGroupRule",
    "Subnet", "TargetGroup", "Topology", "User", "Verdict", "Vpc", "WebApplication",
]
