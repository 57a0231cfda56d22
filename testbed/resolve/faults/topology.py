"""Faults of the whole: the topology's own, ids that meet, names of nodes that meet, and more of something than the address plan holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.model.elastic_ip import ElasticIp
from testbed.model.geography import CITIES, REGIONS
from testbed.model.internet import Internet, User
from testbed.model.internet_gateway import InternetGateway
from testbed.model.load_balancer import LoadBalancer
from testbed.model.network_interface import NetworkInterface
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpn_connection import VpnConnection
from testbed.resolve import world
from testbed.resolve.interfaces import Wanted
from testbed.resolve.public_addresses import FIRST_ASSIGNED_HOST, automatic_addresses_wanted
from testbed.resolve.references import References, default_network_acl, default_route_table, default_security_group
from testbed.resolve.vpn_connections import gateway_region

LARGEST_VPC_COUNT = 16383
"""Fourteen bits of a MAC address."""
USERS_PER_CITY = 255 - world.FIRST_USER_HOST


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of the topology as a whole."""
    topology = references.topology
    yield from topology.faults()
    yield from _id_faults(references)
    yield from _node_faults(references, interfaces)
    if len(topology.of(Vpc)) > LARGEST_VPC_COUNT:
        yield Fault(resource=topology.name, problem=f"{len(topology.of(Vpc))} VPCs", remedy=f"a lab holds at most {LARGEST_VPC_COUNT}: split it")
    for internet in topology.of(Internet)[1:]:
        yield Fault(resource=internet.id, problem="a second internet", remedy="name all edge locations in one Internet")
    for city, count in Counter(user.city for user in topology.of(User)).items():
        if count > USERS_PER_CITY and city in CITIES:
            yield Fault(resource=topology.name, problem=f"{count} users in {city}", remedy=f"a city holds at most {USERS_PER_CITY}: move some to another")
    yield from _pool_faults(references, interfaces)


def _id_faults(references: References) -> Iterator[Fault]:
    topology = references.topology
    for resource_id, count in Counter(resource.id for resource in topology.resources).items():
        if count > 1:
            kinds = sorted({type(resource).__name__ for resource in topology.resources if resource.id == resource_id})
            yield Fault(resource=resource_id, problem=f"{count} resources have this id ({', '.join(kinds)})", remedy="give each resource an id of its own, whatever its kind")
    for vpc in topology.of(Vpc):
        for made in (default_route_table(vpc.id), default_network_acl(vpc.id), default_security_group(vpc.id)):
            if references.named(made) is not None:
                yield Fault(resource=made, problem=f"the id belongs to what AWS makes with {vpc.id}", remedy="choose another id")


def _node_faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Every node is a host name of its own: a balancer's nodes and the internet's must not meet those that a person named."""
    topology = references.topology
    made = {interface.node: interface.named_by for interface in interfaces if interface.owner not in (None, interface.node) and isinstance(references.named(interface.owner), (LoadBalancer, VpcEndpoint))}
    made |= {f"edge-{code.lower()}": "internet" for code in world.edge_locations(topology)}
    made |= {f"{kind}-{world.slug(city)}": "internet" for city in CITIES for kind in ("city", "resolver")}
    made |= {f"services-{region}": "internet" for region in REGIONS}
    for node, maker in sorted(made.items()):
        if references.named(node) is not None:
            yield Fault(resource=node, problem=f"the id is the name of a node that {maker} brings", remedy="choose another id")
    for interface in interfaces:
        named = references.named(interface.id)
        if named is not None and not isinstance(named, NetworkInterface):
            yield Fault(resource=interface.id, problem=f"the id is the name of {interface.named_by}'s network interface", remedy="choose another id")
        if isinstance(named, NetworkInterface) and interface.named_by != interface.id:
            yield Fault(resource=interface.id, problem=f"the id is the name of {interface.named_by}'s own network interface", remedy="choose another id")


def _pool_faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    topology = references.topology
    for region in world.regions(topology):
        needed = sum(1 for elastic_ip in topology.of(ElasticIp) if elastic_ip.region == region.id) + automatic_addresses_wanted(interfaces, region.id, references)
        needed += sum(len(connection.vpn_tunnel_options) for connection in topology.of(VpnConnection) if gateway_region(connection, references) == region.id)
        room = region.public_pool.num_addresses - FIRST_ASSIGNED_HOST - 1
        if needed > room:
            yield Fault(resource=topology.name, problem=f"{needed} public addresses in {region.id}", remedy=f"a Region of a lab has {room}: use private subnets, or another Region")


def has_internet_gateway(vpc_id: str, references: References) -> bool:
    """Whether an internet gateway is attached to the VPC."""
    return any(gateway.vpc_id == vpc_id for gateway in references.topology.of(InternetGateway))

