"""The way of a packet through transit gateways, from the raw resources alone: which table is asked, which route is best, and in which zone the packet enters the next VPC.

    arrives by an attachment ─▶ the table with which that is associated ─▶ best route ─┬─ VPC attachment ─▶ zone ─▶ out, into the attachment's subnet there
                                                                                     ├─ peering ─▶ the peer: its table for the peering, and so on
                                                                                     └─ blackhole, or none: dropped

Sources: Transit Gateway guide, "How AWS Transit Gateway works", "Amazon VPC attachments in AWS Transit Gateway", "Transit gateway peering attachments in AWS Transit Gateway" (documented).
Of the zones that an attachment enables AWS takes a random one where the sender's is not among them; here it is the first by name. The flow hash of appliance mode is nobody's to know:
the walk takes the first enabled zone for it, in both directions. Of VPCs that overlap and propagate into one table, the first by attachment id is propagated (AWS: the one that was attached first).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.prefix_list import PrefixList
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.transit_gateway import TransitGateway, default_transit_gateway_route_table
from testbed.model.transit_gateway_attachment import PROPAGATED, AttachmentKind, TransitGatewayRoutePriority
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import Candidate, TransitGatewayRouteTable, evaluate
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Packet, Verdict
from testbed.model.vpc import Vpc
from testbed.model.vpn_connection import VpnConnection
from testbed.oracle.direct_connect import DirectConnectWays
from testbed.oracle.transit_gateway_connect import ConnectWays
from testbed.oracle.vpn_connection import prefixes_of_site
from testbed.oracle.walk import Hop, Stage

MISSING_MED = 100
"""Of a route over VPN or Connect ("Route evaluation order"; documented)."""
MOST_PEERINGS = 60
"""Peerings that a packet may cross before its TTL ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A packet's way through one or more transit gateways. `subnet` is the attachment's subnet at which it comes out, None if it is dropped."""

    hops: tuple[Hop, ...]
    attachment: TransitGatewayVpcAttachment | None = None
    subnet: Subnet | None = None
    association: str | None = None
    """Of a Direct Connect gateway, where that is what it comes out by."""
    connection: str | None = None
    """A VPN connection, likewise."""
    connect: str | None = None
    """A Connect attachment, likewise."""


class TransitGateways:
    """The transit gateways of a topology and what is attached to them."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._gateways = {gateway.id: gateway for gateway in topology.of(TransitGateway)}
        self._vpcs = {vpc.id: vpc for vpc in topology.of(Vpc)}
        self._subnets = {subnet.id: subnet for subnet in topology.of(Subnet)}
        self._prefix_lists = {prefix_list.id: prefix_list for prefix_list in topology.of(PrefixList)}
        self.vpc_attachments = {attachment.id: attachment for attachment in topology.of(TransitGatewayVpcAttachment)}
        self._peerings = {peering.id: peering for peering in topology.of(TransitGatewayPeeringAttachment)}
        self._tables = {table.id: table for table in topology.of(TransitGatewayRouteTable)}
        self._direct_connect = DirectConnectWays(topology)
        self._vpn = {connection.id: connection for connection in topology.of(VpnConnection) if connection.transit_gateway_id is not None}
        self.connects = ConnectWays(topology, self._direct_connect)
        self._candidates: dict[str, tuple[Candidate, ...]] = {}

    def attachment_of(self, gateway_id: str | None, vpc_id: str) -> TransitGatewayVpcAttachment | None:
        """The attachment of a VPC to a transit gateway."""
        return next((each for each in self.vpc_attachments.values() if each.transit_gateway_id == gateway_id and each.vpc_id == vpc_id), None)

    def subnet_in(self, attachment: TransitGatewayVpcAttachment, zone: str) -> Subnet | None:
        """The attachment's subnet in a zone, None if it does not enable that."""
        return next((subnet for subnet in self.subnets_of(attachment) if subnet.availability_zone == zone), None)

    def subnets_of(self, attachment: TransitGatewayVpcAttachment) -> tuple[Subnet, ...]:
        """The attachment's subnets, by zone."""
        return tuple(sorted((self._subnets[subnet_id] for subnet_id in attachment.subnet_ids), key=lambda subnet: subnet.availability_zone))

    def kind(self, attachment_id: str) -> AttachmentKind:
        """What is attached. Raises KeyError."""
        if attachment_id in self.vpc_attachments:
            return AttachmentKind.VPC
        if attachment_id in self._peerings:
            return AttachmentKind.PEERING
        if attachment_id in self._direct_connect.associations:
            return AttachmentKind.DIRECT_CONNECT_GATEWAY
        if attachment_id in self._vpn:
            return AttachmentKind.VPN
        if attachment_id in self.connects.attachments:
            return AttachmentKind.CONNECT
        raise KeyError(attachment_id)

    def attached_to(self, gateway_id: str) -> Iterator[str]:
        """The ids of everything that is attached to a transit gateway."""
        yield from (attachment.id for attachment in self.vpc_attachments.values() if attachment.transit_gateway_id == gateway_id)
        yield from (peering.id for peering in self._peerings.values() if gateway_id in peering.transit_gateways)
        yield from (association.id for association in self._direct_connect.associations.values() if association.associated_gateway_id == gateway_id)
        yield from (connection.id for connection in self._vpn.values() if connection.transit_gateway_id == gateway_id)
        yield from (connect for connect in self.connects.attachments if self.connects.gateway_of(connect) == gateway_id)

    def tables_of(self, gateway_id: str) -> tuple[str, ...]:
        """The ids of a transit gateway's tables: those that are written, and the one that AWS makes."""
        written = [table.id for table in self._tables.values() if table.transit_gateway_id == gateway_id]
        gateway = self._gateways[gateway_id]
        made = (
            gateway.default_route_table_association and gateway.association_default_route_table_id is None,
            gateway.default_route_table_propagation and gateway.propagation_default_route_table_id is None,
        )
        return tuple(sorted([*written, default_transit_gateway_route_table(gateway_id)] if any(made) else written))

    def gateway_of(self, name: str) -> str | None:
        """The transit gateway that is called `name`, or whose table is."""
        return next((gateway for gateway in self._gateways if name == gateway or name in self.tables_of(gateway)), None)

    def table_of(self, gateway_id: str, attachment_id: str) -> str | None:
        """The table with which an attachment is associated: the one that names it, else the default one; None if there is neither."""
        for table in self._tables.values():
            if table.transit_gateway_id == gateway_id and attachment_id in table.associations:
                return table.id
        gateway = self._gateways[gateway_id]
        if not gateway.default_route_table_association:
            return None
        return gateway.association_default_route_table_id or default_transit_gateway_route_table(gateway_id)

    def propagating(self, gateway_id: str, table_id: str) -> tuple[str, ...]:
        """The attachments that propagate into a table, by id."""
        table, gateway = self._tables.get(table_id), self._gateways[gateway_id]
        found = set() if table is None else set(table.propagations)
        if gateway.default_route_table_propagation and table_id == (gateway.propagation_default_route_table_id or default_transit_gateway_route_table(gateway_id)):
            found |= {attachment for attachment in self.attached_to(gateway_id) if self.kind(attachment) in PROPAGATED}
        return tuple(sorted(found))

    def unpropagated(self, gateway_id: str, table_id: str) -> dict[str, str]:
        """Attachments that propagate into a table in vain, since their VPC overlaps another's there, and whose."""
        found, taken = dict[str, str](), list[tuple[IPv4Network, str]]()
        for attachment_id in self.propagating(gateway_id, table_id):
            blocks = self._blocks(attachment_id)
            meets = next((other for block, other in taken if any(block.overlaps(own) for own in blocks)), None)
            if meets is not None:
                found[attachment_id] = meets
            else:
                taken += [(block, attachment_id) for block in blocks]
        return found

    def candidates(self, gateway_id: str, table_id: str) -> tuple[Candidate, ...]:
        """Every route of a table, whether it is ever taken or not."""
        if table_id not in self._candidates:
            self._candidates[table_id] = (*self._static(table_id), *self._propagated(gateway_id, table_id))
        return self._candidates[table_id]

    def told_in_tunnels(self, gateway_id: str, connection_id: str) -> tuple[IPv4Network, ...]:
        """What a transit gateway announces over a VPN connection: what its table leads to, apart from what the connection itself has told."""
        table = self.table_of(gateway_id, connection_id)
        return () if table is None else tuple(route.destination for route in self.candidates(gateway_id, table) if route.attachment not in (None, connection_id))

    def cross(self, gateway_id: str, attachment_id: str, zone: str | None, packet: Packet) -> Crossing:
        """The way of a packet that enters a transit gateway by an attachment, from a zone (None: from outside VPCs)."""
        hops: list[Hop] = []

        def dropped(origin: str) -> Crossing:
            return Crossing(hops=(*hops, Hop(where=gateway_id, stage=Stage.TRANSIT_GATEWAY, verdict=Verdict.DENY, origin=origin, packet=packet)))

        for _ in range(MOST_PEERINGS):
            table = self.table_of(gateway_id, attachment_id)
            if table is None:
                return dropped(f"{gateway_id}: {attachment_id} is associated with no route table")
            best = evaluate(self.candidates(gateway_id, table), packet.destination)
            if best is None:
                return dropped(f"{table}: no route to {packet.destination}")
            if best.attachment is None:
                return dropped(f"{best.origin}")
            hops.append(Hop(where=gateway_id, stage=Stage.TRANSIT_GATEWAY, verdict=Verdict.ALLOW, origin=best.origin, packet=packet))
            vpc_attachment = self.vpc_attachments.get(best.attachment)
            if vpc_attachment is not None:
                return Crossing(hops=tuple(hops), attachment=vpc_attachment, subnet=self._entry(vpc_attachment, zone, packet))
            if best.attachment in self._direct_connect.associations and best.attachment != attachment_id:
                return Crossing(hops=tuple(hops), association=best.attachment)
            if best.attachment in self._vpn and best.attachment != attachment_id:
                return Crossing(hops=tuple(hops), connection=best.attachment)
            if best.attachment in self.connects.attachments and best.attachment != attachment_id:
                return Crossing(hops=tuple(hops), connect=best.attachment)
            if best.attachment == attachment_id:
                return dropped(f"{gateway_id}: {best.origin} leads back over {attachment_id}")
            gateway_id, attachment_id, zone = self._peerings[best.attachment].other(gateway_id), best.attachment, None
        return dropped(f"{gateway_id}: static routes in a circle, the TTL has run out")

    def _entry(self, attachment: TransitGatewayVpcAttachment, zone: str | None, packet: Packet) -> Subnet:
        """The attachment's subnet in which a packet enters the VPC."""
        subnets = self.subnets_of(attachment)
        if attachment.appliance_mode_support:
            zone = self._zone_of_flow(attachment.transit_gateway_id, zone, packet)
        return next((subnet for subnet in subnets if subnet.availability_zone == zone), subnets[0])

    def _zone_of_flow(self, gateway_id: str, zone: str | None, packet: Packet) -> str | None:
        """Appliance mode: the zone of both ends, or of the one that has any; None leaves it to the hash."""
        source, destination = self._zones_holding(gateway_id, packet.source), self._zones_holding(gateway_id, packet.destination)
        if len(source) > 1 or len(destination) > 1:
            return None
        zones = {zone, *destination} - {None}
        return next(iter(zones)) if len(zones) == 1 else None

    def _zones_holding(self, gateway_id: str, address: IPv4Address) -> set[str]:
        """The zones of the subnets, in VPCs attached to a transit gateway, that hold an address."""
        vpcs = {attachment.vpc_id for attachment in self.vpc_attachments.values() if attachment.transit_gateway_id == gateway_id}
        return {subnet.availability_zone for subnet in self._subnets.values() if subnet.vpc_id in vpcs and address in subnet.cidr_block}

    def _static(self, table_id: str) -> Iterator[Candidate]:
        table = self._tables.get(table_id)
        for route in () if table is None else table.routes:
            leads = route.attachment_id or "blackhole"
            if route.destination_cidr_block is not None:
                origin = f"{table_id} {route.destination_cidr_block} -> {leads}"
                yield Candidate(destination=route.destination_cidr_block, attachment=route.attachment_id, priority=TransitGatewayRoutePriority.STATIC, origin=origin)
            elif (prefix_list := self._prefix_lists.get(route.destination_prefix_list_id or "")) is not None:
                for block in prefix_list.blocks:
                    origin = f"{table_id} {prefix_list.id} {block} -> {leads}"
                    yield Candidate(destination=block, attachment=route.attachment_id, priority=TransitGatewayRoutePriority.PREFIX_LIST, origin=origin)

    def _propagated(self, gateway_id: str, table_id: str) -> Iterator[Candidate]:
        in_vain = self.unpropagated(gateway_id, table_id)
        for attachment_id in self.propagating(gateway_id, table_id):
            for block in () if attachment_id in in_vain else self._blocks(attachment_id):
                yield Candidate(destination=block, attachment=attachment_id, priority=TransitGatewayRoutePriority.VPC, origin=f"{table_id} {block} -> {attachment_id}")

            yield from self._learned(gateway_id, table_id, attachment_id)

    def _learned(self, gateway_id: str, table_id: str, attachment_id: str) -> Iterator[Candidate]:
        """What sites announce over a Direct Connect gateway or in tunnels."""
        connection = self._vpn.get(attachment_id)
        for block in () if connection is None or connection.static_routes_only else prefixes_of_site(connection, self._topology):
            priority = TransitGatewayRoutePriority.PRIVATE_IP_VPN if connection is not None and connection.is_private else TransitGatewayRoutePriority.VPN
            yield Candidate(destination=block, attachment=attachment_id, priority=priority, origin=f"{table_id} {block} -> {attachment_id}")
        yield from self._learned_over_connect(table_id, attachment_id)
        for route in self._direct_connect.announced(gateway_id) if attachment_id in self._direct_connect.associations else ():
            yield Candidate(
                destination=route.destination, attachment=attachment_id, priority=TransitGatewayRoutePriority.DIRECT_CONNECT_GATEWAY,
                origin=f"{table_id} {route.destination} -> {attachment_id}", as_path_length=route.as_path_length, multi_exit_discriminator=route.med,
            )  # fmt: skip

    def _learned_over_connect(self, table_id: str, attachment_id: str) -> Iterator[Candidate]:
        """What appliances announce: of the peers of one attachment the best, which the others may share the load with."""
        if attachment_id not in self.connects.attachments:
            return
        shortest: dict[IPv4Network, int] = {}
        for branch in self.connects.announced(attachment_id):
            shortest[branch.destination] = min(branch.as_path_length, shortest.get(branch.destination, branch.as_path_length))
        for block, length in sorted(shortest.items()):
            yield Candidate(
                destination=block, attachment=attachment_id, priority=TransitGatewayRoutePriority.CONNECT, origin=f"{table_id} {block} -> {attachment_id}",
                as_path_length=length, multi_exit_discriminator=MISSING_MED,
            )  # fmt: skip

    def _blocks(self, attachment_id: str) -> tuple[IPv4Network, ...]:
        attachment = self.vpc_attachments.get(attachment_id)
        return () if attachment is None else self._vpcs[attachment.vpc_id].cidr_blocks

    def refers(self, gateway_id: str, vpc_id: str, other_id: str) -> bool:
        """Whether inbound rules in one VPC may name groups of another over a transit gateway: it and both attachments support that."""
        attachments = (self.attachment_of(gateway_id, vpc_id), self.attachment_of(gateway_id, other_id))
        return self._gateways[gateway_id].security_group_referencing_support and all(each is not None and each.security_group_referencing_support for each in attachments)
