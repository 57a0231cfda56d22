"""Topologies of transit gateways for scenarios: spokes that only differ in their letter, an inspection VPC, and the same four VPCs over a hub or over peerings."""

from __future__ import annotations

from testbed.model import (
    Instance,
    IpForwarding,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    TransitGateway,
    TransitGatewayPeeringAttachment,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
    Vpc,
    VpcPeeringConnection,
)

FRANKFURT, STOCKHOLM = "eu-central-1", "eu-north-1"
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)
HUB = TransitGateway(id="tgw-hub", region=FRANKFURT)


def spoke(letter: str, number: int, *routes: Route, zone: str = "a", region: str = FRANKFURT) -> tuple[Resource, ...]:
    """A VPC 10.<number>.0.0/16 with one host, called by the letter."""
    return (
        Vpc(id=f"vpc-{letter}", region=region, cidr_block=f"10.{number}.0.0/16"),
        Subnet(id=f"subnet-{letter}", vpc_id=f"vpc-{letter}", cidr_block=f"10.{number}.1.0/24", availability_zone=f"{region}{zone}"),
        RouteTable(id=f"rtb-{letter}", vpc_id=f"vpc-{letter}", associations=(f"subnet-{letter}",), routes=routes),
        SecurityGroup(id=f"sg-{letter}", vpc_id=f"vpc-{letter}", security_group_ingress=OPEN),
        Instance(id=letter, subnet_id=f"subnet-{letter}", private_ip_address=f"10.{number}.1.10", security_group_ids=(f"sg-{letter}",)),
    )


def attached(letter: str, gateway: str = "tgw-hub", *subnets: str, appliance_mode_support: bool = False) -> TransitGatewayVpcAttachment:
    """The VPC's attachment, in its host's subnet unless others are named."""
    return TransitGatewayVpcAttachment(
        id=f"attach-{letter}", transit_gateway_id=gateway, vpc_id=f"vpc-{letter}", subnet_ids=subnets or (f"subnet-{letter}",), appliance_mode_support=appliance_mode_support
    )


def by_hub(gateway: str = "tgw-hub", destination: str = "10.0.0.0/8") -> Route:
    return Route(destination_cidr_block=destination, transit_gateway_id=gateway)


def four_by_hub() -> Topology:
    """Four VPCs, one transit gateway with AWS's default route table."""
    spokes = tuple(resource for number, letter in enumerate("wxyz") for resource in (*spoke(letter, number, by_hub()), attached(letter)))
    return Topology(name="four_by_hub", resources=(HUB, *spokes))


def four_by_peering() -> Topology:
    """The same four VPCs, each peered with the next."""
    numbers = {letter: number for number, letter in enumerate("wxyz")}
    chain = ("wx", "xy", "yz")

    def towards(letter: str, other: str) -> Route:
        step = chr(ord(letter) + (1 if other > letter else -1))
        return Route(destination_cidr_block=f"10.{numbers[other]}.0.0/16", vpc_peering_connection_id=f"pcx-{min(letter, step)}{max(letter, step)}")

    spokes = tuple(resource for letter, number in numbers.items() for resource in spoke(letter, number, *(towards(letter, other) for other in numbers if other != letter)))
    peerings = tuple(VpcPeeringConnection(id=f"pcx-{pair}", vpc_id=f"vpc-{pair[0]}", peer_vpc_id=f"vpc-{pair[1]}") for pair in chain)
    return Topology(name="four_by_peering", resources=(*spokes, *peerings))


def inspection(*, appliance_mode: bool = False) -> Topology:
    """A client in zone a and a server in zone b; between them a VPC with a firewall in each zone."""
    firewalls = tuple(
        resource
        for zone in "ab"
        for resource in (
            Subnet(id=f"in-{zone}", vpc_id="vpc-inspect", cidr_block=f"10.9.{ord(zone) - 96}.0/24", availability_zone=f"{FRANKFURT}{zone}"),
            Subnet(id=f"fw-subnet-{zone}", vpc_id="vpc-inspect", cidr_block=f"10.9.{ord(zone) - 86}.0/24", availability_zone=f"{FRANKFURT}{zone}"),
            RouteTable(id=f"rtb-in-{zone}", vpc_id="vpc-inspect", associations=(f"in-{zone}",), routes=(Route(destination_cidr_block="0.0.0.0/0", instance_id=f"fw-{zone}"),)),
            RouteTable(id=f"rtb-fw-{zone}", vpc_id="vpc-inspect", associations=(f"fw-subnet-{zone}",), routes=(by_hub(destination="0.0.0.0/0"),)),
            Instance(id=f"fw-{zone}", subnet_id=f"fw-subnet-{zone}", security_group_ids=("sg-fw",), source_dest_check=False, user_data=IpForwarding()),
        )
    )
    return Topology(
        name="inspection",
        resources=(
            TransitGateway(id="tgw-hub", region=FRANKFURT, default_route_table_association=False, default_route_table_propagation=False, security_group_referencing_support=True),
            TransitGatewayRouteTable(
                id="tgw-rtb-spokes",
                transit_gateway_id="tgw-hub",
                associations=("attach-client", "attach-server"),
                routes=(TransitGatewayRoute(destination_cidr_block="0.0.0.0/0", attachment_id="attach-inspect"),),
            ),
            TransitGatewayRouteTable(id="tgw-rtb-inspected", transit_gateway_id="tgw-hub", associations=("attach-inspect",), propagations=("attach-client", "attach-server")),
            *spoke("client", 1, by_hub()), attached("client"),
            *spoke("server", 2, by_hub(), zone="b"), attached("server"),
            Vpc(id="vpc-inspect", region=FRANKFURT, cidr_block="10.9.0.0/16"),
            SecurityGroup(id="sg-fw", vpc_id="vpc-inspect", security_group_ingress=OPEN),
            *firewalls,
            attached("inspect", "tgw-hub", "in-a", "in-b", appliance_mode_support=appliance_mode),
        ),
    )  # fmt: skip


def two_regions() -> Topology:
    """Frankfurt and Stockholm, peered, with static routes both ways."""
    peering = TransitGatewayPeeringAttachment(id="attach-peer", transit_gateway_id="tgw-hub", peer_transit_gateway_id="tgw-north")
    tables = (
        TransitGatewayRouteTable(
            id="tgw-rtb-hub", transit_gateway_id="tgw-hub", associations=("attach-near", "attach-peer"), propagations=("attach-near",),
            routes=(TransitGatewayRoute(destination_cidr_block="10.2.0.0/15", attachment_id="attach-peer"),),
        ),
        TransitGatewayRouteTable(
            id="tgw-rtb-north", transit_gateway_id="tgw-north", associations=("attach-far", "attach-peer"), propagations=("attach-far",),
            routes=(TransitGatewayRoute(destination_cidr_block="0.0.0.0/0", attachment_id="attach-peer"),),
        ),
    )  # fmt: skip
    gateways = (TransitGateway(id="tgw-hub", region=FRANKFURT), TransitGateway(id="tgw-north", region=STOCKHOLM, amazon_side_asn=64513))
    spokes = (*spoke("near", 1, by_hub()), attached("near"), *spoke("far", 2, by_hub("tgw-north"), region=STOCKHOLM), attached("far", "tgw-north"))
    return Topology(name="two_regions", resources=(*gateways, peering, *tables, *spokes))


def overlapping() -> Topology:
    """Two VPCs with one range on one table: both are attached, one is propagated; a third has a table of its own with the second."""
    own = TransitGatewayRouteTable(id="tgw-rtb-own", transit_gateway_id="tgw-hub", associations=("attach-other", "attach-twin"), propagations=("attach-other", "attach-twin"))
    return Topology(
        name="overlapping",
        resources=(HUB, own, *spoke("asker", 1, by_hub()), attached("asker"), *spoke("first", 2, by_hub()), attached("first"), *spoke("twin", 2, by_hub()), attached("twin"), *spoke("other", 3, by_hub()), attached("other")),
    )
