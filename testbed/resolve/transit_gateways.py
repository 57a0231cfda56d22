"""Attachments and route tables of transit gateways in force: who is associated with what, what is propagated where, and the one best known route for each destination.

Routes that BGP will learn are not known here: they come to the kernel's tables by a daemon, with the metric that their kind has (`compile.transit_gateway`).
Source: Transit Gateway guide, "How AWS Transit Gateway works", "Amazon VPC attachments in AWS Transit Gateway" (overlapping blocks are not propagated; documented).
Of attached VPCs that overlap AWS propagates the one that came first; here, of those that propagate into one table, the first by attachment id. A VPC of which one block overlaps
propagates none (assumed).
The oracle does not use what is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.prefix_list import PrefixList
from testbed.model.subnet import Subnet
from testbed.model.transit_gateway import TransitGateway, default_transit_gateway_route_table
from testbed.model.transit_gateway_attachment import PROPAGATED, AttachmentKind, TransitGatewayRoutePriority
from testbed.model.transit_gateway_connect import TransitGatewayConnect
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import Candidate, TransitGatewayRouteTable, rank
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.vpc import Vpc
from testbed.model.vpn_connection import VpnConnection
from testbed.resolve.references import References
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment, ResolvedTransitGatewayRouteTable


def attachments(references: References) -> tuple[ResolvedTransitGatewayAttachment, ...]:
    """Every attachment at every transit gateway, by id, then transit gateway: a peering is there twice."""
    return tuple(sorted(_attachments(references), key=lambda attachment: (attachment.id, attachment.transit_gateway)))


def _attachments(references: References) -> Iterator[ResolvedTransitGatewayAttachment]:
    gateways = {gateway.id: gateway for gateway in references.topology.of(TransitGateway)}
    tables = association_table(references)
    for attachment in references.topology.of(TransitGatewayVpcAttachment):
        subnets = (references.get(Subnet, subnet_id) for subnet_id in attachment.subnet_ids)
        yield ResolvedTransitGatewayAttachment(
            id=attachment.id,
            kind=AttachmentKind.VPC,
            transit_gateway=attachment.transit_gateway_id,
            resource=attachment.vpc_id,
            table=tables.get((attachment.transit_gateway_id, attachment.id)),
            subnets=tuple(sorted((zone_number(subnet), subnet.id) for subnet in subnets if subnet is not None)),
            appliance_mode=attachment.appliance_mode_support,
            security_group_referencing=attachment.security_group_referencing_support and gateways[attachment.transit_gateway_id].security_group_referencing_support,
        )
    for kind, attachment_id, gateway_id, resource in others(references):
        table = tables.get((gateway_id, attachment_id))
        yield ResolvedTransitGatewayAttachment(id=attachment_id, kind=kind, transit_gateway=gateway_id, resource=resource, table=table)


def others(references: References) -> Iterator[tuple[AttachmentKind, str, str, str]]:
    """Attachments of anything but VPCs: kind, id, transit gateway, and what is attached."""
    for peering in references.topology.of(TransitGatewayPeeringAttachment):
        for gateway_id in peering.transit_gateways:
            yield AttachmentKind.PEERING, peering.id, gateway_id, peering.other(gateway_id)
    for connection in references.topology.of(VpnConnection):
        if references.get(TransitGateway, connection.transit_gateway_id) is not None:
            yield AttachmentKind.VPN, connection.id, connection.transit_gateway_id or "", connection.customer_gateway_id
    for association in references.topology.of(DirectConnectGatewayAssociation):
        if references.get(TransitGateway, association.associated_gateway_id) is not None:
            yield AttachmentKind.DIRECT_CONNECT_GATEWAY, association.id, association.associated_gateway_id, association.direct_connect_gateway_id
    for connect in references.topology.of(TransitGatewayConnect):
        gateway = transport_gateway(connect, references)
        if gateway is not None:
            yield AttachmentKind.CONNECT, connect.id, gateway, connect.transport_transit_gateway_attachment_id


def transport_gateway(connect: TransitGatewayConnect, references: References) -> str | None:
    """The transit gateway of a Connect attachment: that of its transport. None where that is no VPC's attachment and no Direct Connect gateway's."""
    vpc = references.get(TransitGatewayVpcAttachment, connect.transport_transit_gateway_attachment_id)
    fibre = references.get(DirectConnectGatewayAssociation, connect.transport_transit_gateway_attachment_id)
    named = vpc.transit_gateway_id if vpc is not None else None if fibre is None else fibre.associated_gateway_id
    return None if references.get(TransitGateway, named) is None else named


def attached(references: References) -> Iterator[tuple[AttachmentKind, str, str]]:
    """Kind, id and transit gateway of every attachment."""
    for attachment in references.topology.of(TransitGatewayVpcAttachment):
        yield AttachmentKind.VPC, attachment.id, attachment.transit_gateway_id
    for kind, attachment_id, gateway_id, _ in others(references):
        yield kind, attachment_id, gateway_id


def zone_number(subnet: Subnet) -> int:
    """The number of a subnet's Availability Zone in its Region: a is 1."""
    return ord(subnet.availability_zone[-1]) - ord("a") + 1


def written_tables(references: References) -> tuple[TransitGatewayRouteTable, ...]:
    """The tables as written, and those that AWS makes, by id."""
    written = references.topology.of(TransitGatewayRouteTable)
    return tuple(sorted((*written, *_made_by_aws(references)), key=lambda table: table.id))


def association_table(references: References) -> dict[tuple[str, str], str]:
    """(transit gateway, attachment) → the table with which it is associated: one that names it, else the default one if there is one."""
    found = {(table.transit_gateway_id, attachment): table.id for table in references.topology.of(TransitGatewayRouteTable) for attachment in table.associations}
    for gateway in references.topology.of(TransitGateway):
        if gateway.default_route_table_association:
            default = gateway.association_default_route_table_id or default_transit_gateway_route_table(gateway.id)
            for _, attachment, gateway_id in attached(references):
                if gateway_id == gateway.id:
                    found.setdefault((gateway.id, attachment), default)
    return found


def route_tables(references: References) -> tuple[ResolvedTransitGatewayRouteTable, ...]:
    """All tables, by id, numbered within their transit gateway by id."""
    numbers: dict[str, int] = {}
    kinds = {(gateway_id, attachment): kind for kind, attachment, gateway_id in attached(references)}
    resolved = []
    for table in written_tables(references):
        number = numbers[table.transit_gateway_id] = numbers.get(table.transit_gateway_id, 0) + 1
        propagating = _propagating(table, kinds, references)
        best: dict[IPv4Network, Candidate] = {}
        for candidate in sorted(_candidates(table, propagating, references), key=rank):
            best.setdefault(candidate.destination, candidate)
        routes = tuple(best[destination] for destination in sorted(best))
        resolved.append(ResolvedTransitGatewayRouteTable(id=table.id, transit_gateway=table.transit_gateway_id, number=number, routes=routes, propagations=propagating))
    return tuple(resolved)


def _made_by_aws(references: References) -> Iterator[TransitGatewayRouteTable]:
    for gateway in references.topology.of(TransitGateway):
        association = gateway.default_route_table_association and gateway.association_default_route_table_id is None
        propagation = gateway.default_route_table_propagation and gateway.propagation_default_route_table_id is None
        if association or propagation:
            yield TransitGatewayRouteTable(id=default_transit_gateway_route_table(gateway.id), transit_gateway_id=gateway.id)


def _propagating(table: TransitGatewayRouteTable, kinds: dict[tuple[str, str], AttachmentKind], references: References) -> tuple[str, ...]:
    """The attachments that propagate into a table, by id."""
    found = set(table.propagations)
    gateway = references.get(TransitGateway, table.transit_gateway_id)
    if gateway is not None and gateway.default_route_table_propagation and table.id == (gateway.propagation_default_route_table_id or default_transit_gateway_route_table(gateway.id)):
        found |= {attachment for (gateway_id, attachment), kind in kinds.items() if gateway_id == gateway.id and kind in PROPAGATED}
    return tuple(sorted(found))


def _candidates(table: TransitGatewayRouteTable, propagating: Iterable[str], references: References) -> Iterator[Candidate]:
    for route in table.routes:
        leads = "blackhole" if route.attachment_id is None else route.attachment_id
        if route.destination_cidr_block is not None:
            origin = f"{table.id} {route.destination_cidr_block} -> {leads}"
            yield Candidate(destination=route.destination_cidr_block, attachment=route.attachment_id, priority=TransitGatewayRoutePriority.STATIC, origin=origin)
        named = references.get(PrefixList, route.destination_prefix_list_id)
        for block in () if named is None else named.blocks:
            origin = f"{table.id} {route.destination_prefix_list_id} {block} -> {leads}"
            yield Candidate(destination=block, attachment=route.attachment_id, priority=TransitGatewayRoutePriority.PREFIX_LIST, origin=origin)
    taken = _Blocks()
    for attachment_id in propagating:
        attachment = references.get(TransitGatewayVpcAttachment, attachment_id)
        vpc = None if attachment is None else references.get(Vpc, attachment.vpc_id)
        if vpc is None or any(taken.overlap(block) for block in vpc.cidr_blocks):
            continue
        taken.add(vpc.cidr_blocks)
        for block in vpc.cidr_blocks:
            yield Candidate(destination=block, attachment=attachment_id, priority=TransitGatewayRoutePriority.VPC, origin=f"{table.id} {block} -> {attachment_id}")


class _Blocks:
    """Blocks, and whether another one overlaps any, in a time that does not grow with their number."""

    def __init__(self) -> None:
        self._blocks: set[tuple[int, int]] = set()
        self._around: set[tuple[int, int]] = set()

    def add(self, blocks: Iterable[IPv4Network]) -> None:
        for block in blocks:
            around = self._prefixes(block)
            self._blocks.add(around[-1])
            self._around.update(around)

    def overlap(self, block: IPv4Network) -> bool:
        around = self._prefixes(block)
        return around[-1] in self._around or not self._blocks.isdisjoint(around)

    @staticmethod
    def _prefixes(block: IPv4Network) -> list[tuple[int, int]]:
        """The block as (length, first bits), after every block that holds it."""
        address = int(block.network_address)
        return [(length, address >> 32 - length) for length in range(block.prefixlen + 1)]
