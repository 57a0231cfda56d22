"""A topology: everything a lab is, in AWS's words. What a function in `topologies/` returns.

The order of `resources` carries no meaning. Ids are unique across all kinds, since a route, a rule or a command names things by id alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar, cast

from testbed.model.accelerator import Accelerator, AcceleratorListener
from testbed.model.auto_scaling_group import AutoScalingGroup, ScalingPolicy
from testbed.model.bucket import Bucket
from testbed.model.customer_gateway import CustomerGateway
from testbed.model.db_instance import DBInstance
from testbed.model.dhcp_options import DhcpOptions
from testbed.model.direct_connect_connection import DirectConnectConnection, DirectConnectLag
from testbed.model.direct_connect_gateway import DirectConnectGateway, DirectConnectGatewayAssociation
from testbed.model.distribution import Distribution
from testbed.model.dns_server import DnsServer
from testbed.model.ecs_service import EcsService, TaskDefinition
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointGroup
from testbed.model.firewall_policy import FirewallPolicy
from testbed.model.flow_log import FlowLog
from testbed.model.hosted_zone import HostedZone
from testbed.model.instance import Instance
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.launch_template import LaunchTemplate
from testbed.model.listener import Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_firewall import NetworkFirewall
from testbed.model.network_interface import NetworkInterface
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.prefix_list import PrefixList
from testbed.model.public_virtual_interface import PublicVirtualInterface
from testbed.model.quotas import DEFAULT_QUOTAS, Quotas
from testbed.model.resolver_endpoint import ResolverEndpoint
from testbed.model.resolver_rule import ResolverRule
from testbed.model.route_table import RouteTable
from testbed.model.rule_group import RuleGroup
from testbed.model.security_group import SecurityGroup
from testbed.model.shield_protection import ShieldProtection
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.traffic_mirror import TrafficMirrorFilter, TrafficMirrorSession, TrafficMirrorTarget
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_connect import TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import TransitGatewayRouteTable
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Fault
from testbed.model.virtual_interface import PrivateVirtualInterface, TransitVirtualInterface
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_connection import VpnConnection
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation

Resource = (
    Accelerator
    | AcceleratorListener
    | AutoScalingGroup
    | Bucket
    | CustomerGateway
    | DBInstance
    | DhcpOptions
    | DirectConnectConnection
    | DirectConnectGateway
    | DirectConnectGatewayAssociation
    | DirectConnectLag
    | Distribution
    | DnsServer
    | EcsService
    | ElasticIp
    | EndpointGroup
    | FirewallPolicy
    | FlowLog
    | HostedZone
    | Instance
    | Internet
    | InternetGateway
    | LaunchTemplate
    | Listener
    | LoadBalancer
    | NatGateway
    | NetworkAcl
    | NetworkFirewall
    | NetworkInterface
    | OnPremisesSite
    | PrefixList
    | PrivateVirtualInterface
    | PublicVirtualInterface
    | ResolverEndpoint
    | ResolverRule
    | RouteTable
    | RuleGroup
    | ScalingPolicy
    | SecurityGroup
    | ShieldProtection
    | Subnet
    | TargetGroup
    | TaskDefinition
    | TrafficMirrorFilter
    | TrafficMirrorSession
    | TrafficMirrorTarget
    | TransitVirtualInterface
    | TransitGateway
    | TransitGatewayConnect
    | TransitGatewayConnectPeer
    | TransitGatewayPeeringAttachment
    | TransitGatewayRouteTable
    | TransitGatewayVpcAttachment
    | User
    | Vpc
    | VpcEndpoint
    | VpcEndpointService
    | VpcPeeringConnection
    | VpnConnection
    | VpnGateway
    | VpnGatewayRoutePropagation
)

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
ACCOUNT = re.compile(r"[0-9]{12}")

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A named set of resources. `time_scale` divides AWS's timers: 10 makes a 30-second health check take 3."""

    name: str
    account: str = "111122223333"
    time_scale: float = 1.0
    quotas: Quotas = DEFAULT_QUOTAS
    resources: tuple[Resource, ...] = ()
    _of: dict[type[object], tuple[Resource, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `of` has answered: it is asked thousands of times of a topology with thousands of resources."""

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the topology apart from its resources."""
        if not NAME.fullmatch(self.name):
            yield Fault(resource=self.name, problem="the topology's name cannot be the name of a lab", remedy="use lower-case letters, digits, hyphens and underscores, a letter first, at most 40 in all")
        if not ACCOUNT.fullmatch(self.account):
            yield Fault(resource=self.name, problem=f"account {self.account!r} is not an AWS account id", remedy="use twelve digits")
        if not self.time_scale > 0:
            yield Fault(resource=self.name, problem=f"time_scale {self.time_scale} is not positive", remedy="use 1 for AWS's own timers, 10 for timers ten times as fast")
        yield from self.quotas.faults()

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """All resources of one kind, sorted by id."""
        if kind not in self._of:
            self._of[kind] = tuple(sorted((r for r in self.resources if isinstance(r, kind)), key=lambda r: r.id))
        return cast("tuple[R, ...]", self._of[kind])
