"""Connect peers with everything chosen that a topology leaves open: the transit gateway's outer address, the ASN, and who is at the other end.

The transit gateway's address is the first of its CIDR blocks that no other peer has (documented: the first available one; that the network's own address is not taken is assumed).
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.instance import Instance, SdWanAppliance
from testbed.model.transit_gateway import MTU_BYTES, TransitGateway
from testbed.model.transit_gateway_connect import OVERHEAD_BYTES, TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.virtual_interface import TransitVirtualInterface
from testbed.resolve.references import References
from testbed.resolve.resolved import ResolvedInterface, ResolvedSite
from testbed.resolve.resolved_connect_peer import ResolvedConnectPeer
from testbed.resolve.transit_gateways import transport_gateway


def connect_peers(references: References, interfaces: tuple[ResolvedInterface, ...], sites: tuple[ResolvedSite, ...]) -> tuple[ResolvedConnectPeer, ...]:
    """All peers, by id."""
    if not references.topology.of(TransitGatewayConnectPeer):
        return ()
    addresses = transit_gateway_addresses(references)
    return tuple(_peer(peer, addresses[peer.id], references, interfaces, sites) for peer in references.topology.of(TransitGatewayConnectPeer))


def transit_gateway_addresses(references: References) -> dict[str, IPv4Address]:
    """Each peer's outer address on its transit gateway, by the peer's id; none where that has no room."""
    found = {peer.id: peer.transit_gateway_address for peer in references.topology.of(TransitGatewayConnectPeer) if isinstance(peer.transit_gateway_address, IPv4Address)}
    used = {(gateway_of(peer, references), found[peer.id]) for peer in references.topology.of(TransitGatewayConnectPeer) if peer.id in found}
    for peer in references.topology.of(TransitGatewayConnectPeer):
        gateway = references.get(TransitGateway, gateway_of(peer, references))
        if peer.id in found or gateway is None or peer.transit_gateway_address is not None:
            continue
        free = next((address for block in gateway.transit_gateway_cidr_blocks for address in block.hosts() if (gateway.id, address) not in used), None)
        if free is not None:
            found[peer.id] = free
            used.add((gateway.id, free))
    return found


def gateway_of(peer: TransitGatewayConnectPeer, references: References) -> str | None:
    """The transit gateway of a peer."""
    connect = references.get(TransitGatewayConnect, peer.transit_gateway_attachment_id)
    return None if connect is None else transport_gateway(connect, references)


def _peer(peer: TransitGatewayConnectPeer, address: IPv4Address, references: References, interfaces: tuple[ResolvedInterface, ...], sites: tuple[ResolvedSite, ...]) -> ResolvedConnectPeer:
    connect, gateway = references.get(TransitGatewayConnect, peer.transit_gateway_attachment_id), references.get(TransitGateway, gateway_of(peer, references))
    if connect is None or gateway is None:
        raise LookupError(peer.id)
    transport = connect.transport_transit_gateway_attachment_id
    instance = _instance(peer, references.get(TransitGatewayVpcAttachment, transport), references, interfaces)
    site = next((site for site in sites if site.gateway == peer.peer_address), None) if references.get(DirectConnectGatewayAssociation, transport) is not None else None
    asn = gateway.amazon_side_asn if peer.bgp_asn is None else peer.bgp_asn
    program = None if instance is None else instance.user_data
    return ResolvedConnectPeer(
        id=peer.id,
        connect=connect.id,
        transit_gateway=gateway.id,
        transport=transport,
        node=instance.id if instance is not None else site.node if site is not None else None,
        instance=None if instance is None else instance.id,
        site=None if site is None else site.id,
        peer_address=peer.peer_address,
        transit_gateway_address=address,
        inside=peer.inside_cidr_block,
        amazon_asn=gateway.amazon_side_asn,
        peer_asn=asn,
        mtu_bytes=_transport_mtu(references.get(DirectConnectGatewayAssociation, transport), references) - OVERHEAD_BYTES,
        device_asn=program.bgp_asn if isinstance(program, SdWanAppliance) and program.bgp_asn is not None else asn,
    )


def _transport_mtu(association: DirectConnectGatewayAssociation | None, references: References) -> int:
    """The least that any way of the transport takes."""
    fibres = (each.mtu for each in references.topology.of(TransitVirtualInterface) if association is not None and each.direct_connect_gateway_id == association.direct_connect_gateway_id)
    return min((MTU_BYTES, *fibres))


def _instance(peer: TransitGatewayConnectPeer, transport: TransitGatewayVpcAttachment | None, references: References, interfaces: tuple[ResolvedInterface, ...]) -> Instance | None:
    """The appliance in the transport's VPC that has the peer's address."""
    found = (references.get(Instance, each.owner) for each in interfaces if transport is not None and each.vpc == transport.vpc_id and peer.peer_address in each.addresses)
    return next((instance for instance in found if instance is not None and isinstance(instance.user_data, SdWanAppliance)), None)
