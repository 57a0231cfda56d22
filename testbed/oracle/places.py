"""Where packets can be: the interfaces of VPCs and the hosts of the internet, looked up by address.

Addresses are `resolve`'s; what serves an interface (groups, ACL, table) is followed here from the raw resources.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ConnectionTrackingSpecification
from testbed.model.db_instance import DBInstance
from testbed.model.instance import Instance, IpForwarding, SdWanAppliance, StatefulFirewall
from testbed.model.internet_gateway import InternetGateway
from testbed.model.load_balancer import GATEWAY, NETWORK, LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import NetworkAcl
from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import RouteTable
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.oracle.accelerator import Accelerators
from testbed.oracle.direct_connect import DirectConnectWays
from testbed.oracle.gateway_load_balancer import GatewayLoadBalancers
from testbed.oracle.network_firewall import Firewalls
from testbed.oracle.on_premises_site import SitePlace, Sites
from testbed.oracle.private_access import EndpointPlace, PrivateWays, with_gateway_routes
from testbed.oracle.route_selection import acl_of, edge_table_of, table_of
from testbed.oracle.shield_standard import ShieldStandard
from testbed.oracle.transit_gateway import TransitGateways
from testbed.oracle.vpn_connection import VpnWays, with_propagated_routes
from testbed.resolve.references import References, default_security_group
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfacePlace:
    """An interface and everything that judges its packets. A NAT gateway's has no groups. `address` is the primary one, `mapped` pairs private addresses with public ones.

    `forwards`: its guest forwards what is addressed to others; `masquerades`: as a NAT instance does. `always_tracked`: flows through it are tracked at the other end whatever the rules say.
    """

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
    addresses: tuple[IPv4Address, ...]
    mapped: tuple[tuple[IPv4Address, IPv4Address], ...]
    forwards: bool
    masquerades: bool
    always_tracked: bool
    timeouts: ConnectionTrackingSpecification
    firewall: StatefulFirewall | None = None
    """What its guest forwards is judged by."""
    is_network_firewall: bool = False
    is_transit_gateway: bool = False
    """A transit gateway's interface in an attachment's subnet: it has no groups, and no address of its own that anybody uses."""

    def public_of(self, private: IPv4Address) -> IPv4Address | None:
        """The public address of one of its private ones."""
        return next((public for own, public in self.mapped if own == private), None)

    def private_of(self, public: IPv4Address) -> IPv4Address:
        """The private address behind one of its public ones."""
        return next((private for private, own in self.mapped if own == public), self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetPlace:
    """A host with a public address of its own: a user, an edge location, a resolver, a name server, a services plane."""

    node: str
    address: IPv4Address


Place = InterfacePlace | InternetPlace | EndpointPlace | SitePlace
PRIMARY = "eth0"
ALWAYS_TRACKED = frozenset({OwnerKind.NAT_GATEWAY, OwnerKind.NETWORK_FIREWALL, OwnerKind.VPC_ENDPOINT})
"""EC2 user guide, "Amazon EC2 security group connection tracking", "Automatically tracked connections" (documented): of what exists here and has a kind of its own; network balancers, too."""


class Places:
    """All places of a lab, by node, by address on the internet, and by private address within each VPC."""

    def __init__(self, resolved: Resolved) -> None:
        references = References(resolved.topology)
        interfaces = tuple(_interface_place(interface, references) for interface in resolved.interfaces)
        self.by_vpc = {(place.vpc.id, address): place for place in interfaces for address in place.addresses}
        self.by_public_address = {public: place for place in interfaces for _, public in place.mapped}
        self.by_interface = {place.id: place for place in interfaces}
        self.by_node: dict[str, tuple[InterfacePlace, ...]] = {}
        for place in sorted(interfaces, key=lambda place: (place.node, place.device)):
            self.by_node[place.node] = (*self.by_node.get(place.node, ()), place)
        self.sites = Sites(resolved)
        self.vpn = VpnWays(resolved, lambda gateway_id, connection_id: self.transit_gateways.told_in_tunnels(gateway_id, connection_id))
        self.direct_connect = DirectConnectWays(resolved.topology)
        hosts = _internet_hosts(resolved)
        self.internet = {host.address: host for host in hosts}
        self.internet_by_node = {host.node: host for host in hosts}
        self.private_ways = PrivateWays(resolved)
        self.gateway_load_balancers = GatewayLoadBalancers(resolved)
        self.accelerators = Accelerators(resolved)
        self.internet |= {address: InternetPlace(node=node, address=address) for address, node in self.private_ways.service_addresses.items()}
        self.members = _members(interfaces)
        self.shield = ShieldStandard(resolved)
        self._vpc_of_group = {group.id: group.vpc_id for place in interfaces for group in place.groups}
        topology = resolved.topology
        self.nat_gateways = {gateway.id: gateway for gateway in topology.of(NatGateway)}
        self.prefix_lists = {prefix_list.id: prefix_list for prefix_list in topology.of(PrefixList)}
        self.named: dict[str, Container[IPv4Address]] = {**self.members, **self.prefix_lists}
        self.peerings = {peering.id: peering for peering in topology.of(VpcPeeringConnection)}
        self.transit_gateways = TransitGateways(topology)
        self.firewalls = Firewalls(topology)
        self.transit_gateway_ends = {
            (attachment.id, subnet.id): _transit_gateway_end(attachment, subnet, references)
            for attachment in self.transit_gateways.vpc_attachments.values()
            for subnet in self.transit_gateways.subnets_of(attachment)
        }
        """By attachment and subnet."""
        self.edge_tables = {gateway.id: table for gateway in topology.of(InternetGateway) if (table := edge_table_of(gateway.id, topology)) is not None}

    def sender(self, source: str | IPv4Address, destination: IPv4Address) -> Place:
        """Where a probe starts: the address's place, or the node's interface that its guest would use.

        A guest prefers an interface in the destination's own subnet, else its first (a connected route, then the default one; Linux).

        Raises:
            LookupError: nobody has this name or address, or several VPCs have the address.
        """
        if isinstance(source, str):
            if source in self.internet_by_node:
                return self.internet_by_node[source]
            if source in self.sites.by_node:
                return self.sites.by_node[source]
            if source not in self.by_node:
                raise LookupError(f"no node {source!r} in this topology")
            return self.of_node(source, destination)
        if source in self.internet:
            return self.internet[source]
        found = [place for (_, address), place in self.by_vpc.items() if address == source]
        if len(found) != 1:
            raise LookupError(f"{source} belongs to {len(found)} interfaces; name the node")
        return found[0]

    def transit_gateway_end(self, gateway_id: str, sender: InterfacePlace) -> InterfacePlace | None:
        """A transit gateway's interface in the zone of a sender; None if its VPC's attachment does not enable that."""
        attachment = self.transit_gateways.attachment_of(gateway_id, sender.vpc.id)
        subnet = None if attachment is None else self.transit_gateways.subnet_in(attachment, sender.subnet.availability_zone)
        return None if attachment is None or subnet is None else self.transit_gateway_ends[attachment.id, subnet.id]

    def named_across_transit_gateway(self, place: InterfacePlace, flow: Flow, entered: tuple[str, str] | None) -> dict[str, Container[IPv4Address]]:
        """What rules of `place` may name beside blocks where packets come from, or go to, a transit gateway: prefix lists, and inbound the groups of the VPC from which they have `entered` it."""
        known: dict[str, Container[IPv4Address]] = dict(self.prefix_lists)
        if flow is Flow.INGRESS and entered is not None and self.transit_gateways.refers(entered[0], place.vpc.id, entered[1]):
            known |= {group: members for group, members in self.members.items() if self._vpc_of_group[group] == entered[1]}
        return known

    def of_node(self, node: str, destination: IPv4Address) -> InterfacePlace:
        """The interface by which a guest sends to `destination` what is bound to no address. Raises KeyError."""
        interfaces = self.by_node[node]
        return next((place for place in interfaces if destination in place.subnet.cidr_block), interfaces[0])


def _interface_place(interface: ResolvedInterface, references: References) -> InterfacePlace:
    topology = references.topology
    guest = references.get(Instance, interface.owner)
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
        route_table=with_propagated_routes(with_gateway_routes(table_of(subnet, topology), topology), topology),
        groups=_groups(interface, vpc, references),
        addresses=interface.addresses,
        mapped=tuple((each.address, each.public_address) for each in interface.mapped if each.public_address is not None),
        forwards=_forwards(interface, references),
        masquerades=isinstance(guest, Instance) and isinstance(guest.user_data, IpForwarding) and guest.user_data.masquerade,
        always_tracked=interface.owner_kind in ALWAYS_TRACKED or _is_network_balancer(interface, references),
        timeouts=_timeouts(interface, references),
        firewall=guest.user_data if isinstance(guest, Instance) and isinstance(guest.user_data, StatefulFirewall) else None,
        is_network_firewall=interface.owner_kind is OwnerKind.NETWORK_FIREWALL,
    )


def _transit_gateway_end(attachment: TransitGatewayVpcAttachment, subnet: Subnet, references: References) -> InterfacePlace:
    topology, vpc = references.topology, references.get(Vpc, subnet.vpc_id)
    if vpc is None:
        raise LookupError(subnet.vpc_id)
    return InterfacePlace(
        id=attachment.id,
        node=attachment.transit_gateway_id,
        owner=attachment.transit_gateway_id,
        device="",
        address=IPv4Address(0),
        public_address=None,
        is_nat_gateway=False,
        source_dest_check=False,
        subnet=subnet,
        vpc=vpc,
        internet_gateway=None,
        network_acl=acl_of(subnet, topology),
        route_table=with_propagated_routes(with_gateway_routes(table_of(subnet, topology), topology), topology),
        groups=(),
        addresses=(),
        mapped=(),
        forwards=False,
        masquerades=False,
        always_tracked=False,
        timeouts=DEFAULT_TIMEOUTS,
        is_transit_gateway=True,
    )


def _forwards(interface: ResolvedInterface, references: References) -> bool:
    """A guest is told to, or takes it from an interface whose check is off (our convention: a bare host with its check off is a router)."""
    instance = references.get(Instance, interface.owner)
    if instance is None:
        return False
    own = (attached for attached in references.topology.of(NetworkInterface) if attached.instance_id == instance.id)
    return isinstance(instance.user_data, (IpForwarding, SdWanAppliance, StatefulFirewall)) or not instance.source_dest_check or any(not attached.source_dest_check for attached in own)


def _is_network_balancer(interface: ResolvedInterface, references: References) -> bool:
    balancer = references.get(LoadBalancer, interface.owner)
    return balancer is not None and balancer.type == NETWORK


def _timeouts(interface: ResolvedInterface, references: References) -> ConnectionTrackingSpecification:
    owner = references.get(NetworkInterface, interface.id) or references.get(Instance, interface.owner)
    return DEFAULT_TIMEOUTS if owner is None or owner.connection_tracking_specification is None else owner.connection_tracking_specification


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
            if owner.type == GATEWAY or (not named and owner.type == NETWORK):
                return ()
        case VpcEndpoint():
            if owner.is_gateway_load_balancer:
                return ()
            named = owner.security_group_ids
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
            members.setdefault(group.id, set()).update(place.addresses)
    return {group_id: frozenset(addresses) for group_id, addresses in members.items()}


def _internet_hosts(resolved: Resolved) -> tuple[InternetPlace, ...]:
    return (
        *(InternetPlace(node=user.node, address=user.address) for user in resolved.users),
        *(InternetPlace(node=site.node, address=site.public_address) for site in resolved.sites),
        *(InternetPlace(node=edge.node, address=edge.address) for edge in resolved.edges),
        *(InternetPlace(node=region.node, address=region.address) for region in resolved.regions),
        *(InternetPlace(node=city.node, address=city.router) for city in resolved.cities),
        *(InternetPlace(node=city.resolver_node, address=city.resolver) for city in resolved.cities),
        *(
            InternetPlace(node=server.host_name, address=server.address)
            for server in (*resolved.root_servers, *resolved.top_level_servers, *resolved.route53_servers)
        ),
    )
