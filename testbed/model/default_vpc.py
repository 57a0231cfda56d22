"""The default VPC that every Region of an account begins with.

Source: VPC user guide, "Default VPCs" (documented): 172.31.0.0/16, a /20 in each zone whose instances get public addresses, an internet gateway, a main
route table with a route to it; its default security group and network ACL are made with every VPC.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.model.internet_gateway import InternetGateway
from testbed.model.route_table import Route, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.values import ANYWHERE
from testbed.model.vpc import Vpc

CIDR_BLOCK = IPv4Network("172.31.0.0/16")
SUBNET_PREFIX = 20
ZONES = "abc"


def default_vpc(region: str, zones: str = ZONES, *, id: str = "vpc-default") -> tuple[Vpc | InternetGateway | Subnet | RouteTable, ...]:
    """The resources of a Region's default VPC: ``vpc-default``, ``subnet-default-a`` and so on, ``igw-default``, ``rtb-default``. `zones` are letters."""
    suffix = id.removeprefix("vpc-")
    blocks = CIDR_BLOCK.subnets(new_prefix=SUBNET_PREFIX)
    return (
        Vpc(id=id, region=region, cidr_block=CIDR_BLOCK, enable_dns_hostnames=True),
        InternetGateway(id=f"igw-{suffix}", vpc_id=id),
        *(
            Subnet(id=f"subnet-{suffix}-{zone}", vpc_id=id, cidr_block=block, availability_zone=f"{region}{zone}", map_public_ip_on_launch=True)
            for zone, block in zip(zones, blocks, strict=False)
        ),
        RouteTable(id=f"rtb-{suffix}", vpc_id=id, main=True, routes=(Route(destination_cidr_block=ANYWHERE, gateway_id=f"igw-{suffix}"),)),
    )
