"""`resolve`: from what a person wrote to what is in force, or to everything that is wrong with it.

Order: all faults first (each resource's own, then those across resources); only a topology without any is assembled, so nothing below looks for mistakes.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.model.db_instance import DBInstance
from testbed.model.distribution import Distribution
from testbed.model.errors import ModelError
from testbed.model.internet_gateway import InternetGateway
from testbed.model.launching import launched
from testbed.model.load_balancer import LoadBalancer
from testbed.model.public_virtual_interface import PublicVirtualInterface
from testbed.model.security_group import SecurityGroup
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.vpc import Vpc
from testbed.resolve import accelerators, names, on_premises_sites, routes, transit_gateways, vpn_connections, world
from testbed.resolve.aws_prefix_lists import with_aws_prefix_lists
from testbed.resolve.connect_peers import connect_peers
from testbed.resolve.faults import all_faults
from testbed.resolve.interfaces import Wanted, assign_addresses, mac, wanted
from testbed.resolve.public_addresses import assign_public_addresses
from testbed.resolve.references import References
from testbed.resolve.resolved import Resolved, ResolvedDatabase, ResolvedInterface, ResolvedRegion, ResolvedVpc, SecondaryAddress
from testbed.resolve.virtual_interfaces import virtual_interfaces

RESOLVER_HOST = 2


def resolve(topology: Topology) -> Resolved:
    """The topology with nothing left to look up.

    Raises:
        ModelError: with all faults of the topology, sorted by resource.
    """
    topology = with_aws_prefix_lists(launched(topology))
    references = References(topology)
    wanted_interfaces = wanted(references)
    found = all_faults(references, wanted_interfaces)
    if found:
        raise ModelError(found)
    regions, zones = world.regions(topology), _zones(topology)
    cities = world.cities(topology)
    interfaces = _interfaces(wanted_interfaces, regions, references)
    subnets = routes.subnets(references)
    groups = routes.security_groups(references)
    sites = on_premises_sites.sites(topology, cities)
    sessions = virtual_interfaces(references)
    return Resolved(
        topology=topology,
        vpcs=tuple(_vpc(vpc, zones[vpc.region], references) for vpc in topology.of(Vpc)),
        subnets=subnets,
        route_tables=routes.route_tables(references, {interface.id for interface in interfaces if interface.public_address is not None}),
        network_acls=routes.network_acls(references, subnets),
        security_groups=groups,
        members=_members(groups, interfaces),
        interfaces=interfaces,
        databases=tuple(_database(database, interfaces, references) for database in topology.of(DBInstance)),
        cities=cities,
        users=world.users(topology, cities),
        edges=world.edges(topology),
        regions=regions,
        root_servers=world.ROOT_SERVERS,
        top_level_servers=world.TOP_LEVEL_SERVERS,
        route53_servers=world.ROUTE53_SERVERS,
        load_balancer_names=tuple(
            (balancer.id, names.load_balancer_name(topology.account, _region_of(balancer.enabled_subnets[0], references), balancer)) for balancer in topology.of(LoadBalancer)
        ),
        sites=sites,
        vpn_connections=vpn_connections.vpn_connections(references, regions, sites, (each.public_address for interface in interfaces for each in interface.mapped if each.public_address is not None)),
        connect_peers=connect_peers(references, interfaces, sites),
        virtual_interfaces=tuple(each for each in sessions if not isinstance(each.interface, PublicVirtualInterface)),
        public_virtual_interfaces=tuple(each for each in sessions if isinstance(each.interface, PublicVirtualInterface)),
        distribution_names=tuple((distribution.id, names.distribution_name(topology.account, distribution.id)) for distribution in topology.of(Distribution)),
        transit_gateway_attachments=transit_gateways.attachments(references),
        transit_gateway_route_tables=transit_gateways.route_tables(references),
        accelerators=accelerators.accelerators(topology),
        accelerator_edges=accelerators.edges(topology),
        accelerator_exits=accelerators.exits(references, regions, interfaces),
        accelerated_ways=accelerators.ways(references, interfaces),
    )


def _members(groups: tuple[SecurityGroup, ...], interfaces: tuple[ResolvedInterface, ...]) -> tuple[tuple[str, tuple[IPv4Address, ...]], ...]:
    held: dict[str, list[IPv4Address]] = {group.id: [] for group in groups}
    for interface in interfaces:
        for group_id in interface.security_groups:
            held[group_id] += interface.addresses
    return tuple((group.id, tuple(sorted(held[group.id]))) for group in groups)


def _region_of(subnet_id: str, references: References) -> str:
    vpc = references.vpc_of_subnet(subnet_id)
    if vpc is None:
        raise LookupError(subnet_id)
    return vpc.region


def _zones(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The Availability Zones in use, by Region, each sorted."""
    used = sorted({subnet.availability_zone for subnet in topology.of(Subnet)})
    return {region: tuple(zone for zone in used if zone.startswith(region)) for region in {vpc.region for vpc in topology.of(Vpc)}}


def _vpc(vpc: Vpc, zones: tuple[str, ...], references: References) -> ResolvedVpc:
    gateway = next((gateway.id for gateway in references.inside(InternetGateway, vpc.id)), None)
    return ResolvedVpc(
        vpc=vpc,
        resolver=vpc.cidr_block.network_address + RESOLVER_HOST,
        internet_gateway=gateway,
        zone_numbers=tuple((zone, ord(zone[-1]) - ord("a") + 1) for zone in zones),
    )


def _interfaces(wanted_interfaces: tuple[Wanted, ...], regions: tuple[ResolvedRegion, ...], references: References) -> tuple[ResolvedInterface, ...]:
    """Interfaces with an owner; one that is attached to nothing has only taken its address."""
    addresses = assign_addresses(wanted_interfaces)
    public = assign_public_addresses(wanted_interfaces, regions, references)
    vpc_index = {vpc.id: index for index, vpc in enumerate(references.topology.of(Vpc), start=1)}
    return tuple(
        ResolvedInterface(
            id=interface.id,
            owner=interface.owner,
            owner_kind=interface.owner_kind,
            node=interface.node,
            device=interface.device,
            vpc=interface.subnet.vpc_id,
            subnet=interface.subnet.id,
            availability_zone=interface.subnet.availability_zone,
            address=addresses[interface.id],
            mac=mac(vpc_index[interface.subnet.vpc_id], addresses[interface.id]),
            public_address=public[interface.id].address if interface.id in public else None,
            public_origin=public[interface.id].origin if interface.id in public else "",
            security_groups=interface.security_groups,
            source_dest_check=interface.source_dest_check,
            secondary=tuple(
                SecondaryAddress(address=addresses[key], public_address=public[key].address if key in public else None, public_origin=public[key].origin if key in public else "")
                for key, _ in interface.slots[1:]
            ),
            connection_tracking=interface.connection_tracking,
        )
        for interface in wanted_interfaces
        if interface.owner is not None
    )


def _database(database: DBInstance, interfaces: tuple[ResolvedInterface, ...], references: References) -> ResolvedDatabase:
    interface = next(interface for interface in interfaces if interface.owner == database.id)
    endpoint = names.database_endpoint(references.topology.account, _region_of(interface.subnet, references), database.id)
    return ResolvedDatabase(id=database.id, endpoint=endpoint, interface=interface.id)
