"""Where packets can be: the interfaces of VPCs and the hosts of the internet, looked up by address.

Addresses are `resolve`'s; what serves an interface (groups, ACL, table) is followed here from the raw resources.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.db_instance import DBInstance
from testbed.model.instance import Instance
from testbed.model.internet_gateway import InternetGateway
from testbed.model.load_balancer import LoadBalancer
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_interface import NetworkInterface
from testbed.model.route_table import RouteTable
from testbed.model.security_group import SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.vpc import Vpc
from testbed.oracle.route_selection import acl_of, table_of
from testbed.resolve.references import References, default_security_group
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfacePlace:
    """An interface and everything that judges its packets. A NAT gateway's has no groups."""

    id: str
    node: str
    owner: str
    device: str
    address: IPv4Address
    public_address: IPv4Address | None
    is_nat_gateway: bool
    source_dest_check: bool
    subnet: Subnet
    vpc: Vpc
    internet_gateway: str | None
    network_acl: NetworkAcl
    route_table: RouteTable
    groups: tuple[SecurityGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetPlace:
    """A host with a public address of its own: a user, an edge location, a resolver, a name server, a services plane."""

    node: str
    address: IPv4Address


Place = InterfacePlace | InternetPlace


class Places:
    """All places of a lab, by node, by address on the internet, and by private address within each VPC."""

    def __init__(self, resolved: Resolved) -> None:
        references = References(resolved.topology)
        interfaces = tuple(_interface_place(interface, references) for interface in resolved.interfaces)
        self.by_vpc = {(place.vpc.id, place.address): place for place in interfaces}
        self.by_public_address = {place.public_address: place for place in interfaces if place.public_address is not None}
        self.by_interface = {place.id: place for place in interfaces}
        self.by_node: dict[str, tuple[InterfacePlace, ...]] = {}
        for place in sorted(interfaces, key=lambda place: (place.node, place.device)):
            self.by_node[place.node] = (*self.by_node.get(place.node, ()), place)
        hosts = _internet_hosts(resolved)
        self.internet = {host.address: host for host in hosts}
        self.internet_by_node = {host.node: host for host in hosts}
        self.members = _members(interfaces)

    def sender(self, source: str | IPv4Address, destination: IPv4Address) -> Place:
        """Where a probe starts: the address's place, or the node's interface that its guest would use.

        A guest prefers an interface in the destination's own subnet, else its first (a connected route, then the default one; Linux).

        Raises:
            LookupError: nobody has this name or address, or several VPCs have the address.
        """
        if isinstance(source, str):
            if source in self.internet_by_node:
                return self.internet_by_node[source]
            if source not in self.by_node:
                raise LookupError(f"no node {source!r} in this topology")
            interfaces = self.by_node[source]
            return next((place for place in interfaces if destination in place.subnet.cidr_block), interfaces[0])
        if source in self.internet:
            return self.internet[source]
        found = [place for (_, address), place in self.by_vpc.items() if address == source]
        if len(found) != 1:
            raise LookupError(f"{source} belongs to {len(found)} interfaces; name the node")
        return found[0]


def _interface_place(interface: ResolvedInterface, references: References) -> InterfacePlace:
    topology = references.topology
    subnet, vpc = references.get(Subnet, interface.subnet), references.vpc_of_subnet(interface.subnet)
    if subnet is None or vpc is None:
        raise LookupError(interface.subnet)
    return InterfacePlace(
        id=interface.id,
        node=interface.node,
        owner=interface.owner,
        device=interface.device,
        address=interface.address,
        public_address=interface.public_address,
        is_nat_gateway=interface.owner_kind is OwnerKind.NAT_GATEWAY,
        source_dest_check=_source_dest_check(interface, references),
        subnet=subnet,
        vpc=vpc,
        internet_gateway=next((gateway.id for gateway in topology.of(InternetGateway) if gateway.vpc_id == vpc.id), None),
        network_acl=acl_of(subnet, topology),
        route_table=table_of(subnet, topology),
        groups=_groups(interface, vpc, references),
    )


def _source_dest_check(interface: ResolvedInterface, references: References) -> bool:
    owner = references.get(NetworkInterface, interface.id) or references.get(Instance, interface.owner)
    return True if owner is None else owner.source_dest_check


def _groups(interface: ResolvedInterface, vpc: Vpc, references: References) -> tuple[SecurityGroup, ...]:
    """The groups that the owner names, or the VPC's default group; sorted by id."""
    owner = references.get(NetworkInterface, interface.id) or references.named(interface.owner)
    match owner:
        case NetworkInterface():
            named = owner.group_set
        case Instance():
            named = owner.security_group_ids
        case LoadBalancer():
            named = owner.security_groups
        case DBInstance():
            named = owner.vpc_security_groups
        case _:
            return ()
    if not named:
        group_id = default_security_group(vpc.id)
        among_themselves = (SecurityGroupRule(ip_protocol="-1", security_group_id=group_id),)
        return (SecurityGroup(id=group_id, vpc_id=vpc.id, security_group_ingress=among_themselves),)
    found = (references.get(SecurityGroup, group_id) for group_id in sorted(set(named)))
    return tuple(group for group in found if group is not None)


def _members(interfaces: tuple[InterfacePlace, ...]) -> dict[str, frozenset[IPv4Address]]:
    """Private addresses by group (VPC user guide, "Security group rules": a reference means the private addresses of the group's interfaces; documented)."""
    members: dict[str, set[IPv4Address]] = {}
    for place in interfaces:
        for group in place.groups:
            members.setdefault(group.id, set()).add(place.address)
    return {group_id: frozenset(addresses) for group_id, addresses in members.items()}


def _internet_hosts(resolved: Resolved) -> tuple[InternetPlace, ...]:
    return (
        *(InternetPlace(node=user.node, address=user.address) for user in resolved.users),
        *(InternetPlace(node=edge.node, address=edge.address) for edge in resolved.edges),
        *(InternetPlace(node=region.node, address=region.address) for region in resolved.regions),
        *(InternetPlace(node=city.node, address=city.router) for city in resolved.cities),
        *(InternetPlace(node=city.resolver_node, address=city.resolver) for city in resolved.cities),
        *(
            InternetPlace(node=server.host_name, address=server.address)
            for server in (*resolved.root_servers, *resolved.top_level_servers, *resolved.route53_servers)
        ),
    )
