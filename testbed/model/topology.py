"""A topology: everything a lab is, in AWS's words. What a function in `topologies/` returns.

The order of `resources` carries no meaning. Ids are unique across all kinds, since a route, a rule or a command names things by id alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from testbed.model.db_instance import DBInstance
from testbed.model.distribution import Distribution
from testbed.model.elastic_ip import ElasticIp
from testbed.model.hosted_zone import HostedZone
from testbed.model.instance import Instance
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.listener import Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_interface import NetworkInterface
from testbed.model.route_table import RouteTable
from testbed.model.security_group import SecurityGroup
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.vpc import Vpc

Resource = (
    DBInstance
    | Distribution
    | ElasticIp
    | HostedZone
    | Instance
    | Internet
    | InternetGateway
    | Listener
    | LoadBalancer
    | NatGateway
    | NetworkAcl
    | NetworkInterface
    | RouteTable
    | SecurityGroup
    | Subnet
    | TargetGroup
    | User
    | Vpc
)

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A named set of resources. `time_scale` divides AWS's timers: 10 makes a 30-second health check take 3."""

    name: str
    account: str = "111122223333"
    time_scale: float = 1.0
    resources: tuple[Resource, ...] = ()

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """All resources of one kind, sorted by id."""
        return tuple(sorted((r for r in self.resources if isinstance(r, kind)), key=lambda r: r.id))
