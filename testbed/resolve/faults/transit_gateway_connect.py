"""Faults of Connect attachments and Connect peers across resources: the transport, outer and inside addresses, routes, the number of peers.

That nobody has a peer's address, or has it with another ASN, is no fault: AWS knows nothing of the appliance, and shows the sessions as down (`testbed bgp`).
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers", "Transit gateway quotas" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_connect import MOST_PEERS, TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_route_table import TransitGatewayRouteTable
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpn_connection import VpnConnection, tunnel_name
from testbed.resolve.connect_peers import gateway_of, transit_gateway_addresses
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References
from testbed.resolve.transit_gateways import transport_gateway

OTHER_BLOCK = "BGP addresses are unique on a transit gateway: choose another /29 of 169.254.0.0/16"


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Each attachment's transport, each peer's addresses, then what two of them have in common."""
    for connect in references.topology.of(TransitGatewayConnect):
        yield from _transport_faults(connect, references)
    peers = references.topology.of(TransitGatewayConnectPeer)
    for name, count in sorted(Counter(peer.transit_gateway_attachment_id for peer in peers).items()):
        if count > MOST_PEERS:
            yield Fault(resource=name, problem=f"{count} Connect peers, over the limit of {MOST_PEERS}", remedy="add another Connect attachment over the same transport for the others")
    yield from _address_faults(peers, references)
    yield from _inside_faults(peers, references)
    yield from _route_faults(references)


def _transport_faults(connect: TransitGatewayConnect, references: References) -> Iterator[Fault]:
    named = connect.transport_transit_gateway_attachment_id
    if transport_gateway(connect, references) is not None:
        return
    known = [attachment.id for attachment in references.topology.of(TransitGatewayVpcAttachment)]
    known += [each.id for each in references.topology.of(DirectConnectGatewayAssociation) if references.get(TransitGateway, each.associated_gateway_id) is not None]
    found = references.named(named)
    if isinstance(found, TransitGatewayVpcAttachment):
        return  # its transit gateway is missing, which is told by itself
    wrong = "does not exist" if found is None else "is no VPC attachment and no Direct Connect gateway's, which alone can carry GRE"
    yield Fault(resource=connect.id, problem=f"transport_transit_gateway_attachment_id {named!r} {wrong}", remedy=did_you_mean(named, known))


def _address_faults(peers: tuple[TransitGatewayConnectPeer, ...], references: References) -> Iterator[Fault]:
    addresses = transit_gateway_addresses(references)
    pairs, owners = dict[tuple[str, IPv4Address, IPv4Address], str](), dict[tuple[str, IPv4Address], str]()
    for peer in peers:
        gateway = references.get(TransitGateway, gateway_of(peer, references))
        if gateway is None:
            continue
        blocks = [block for block in gateway.transit_gateway_cidr_blocks if isinstance(block, IPv4Network)]
        own = addresses.get(peer.id)
        if own is None:
            missing = "has no CIDR block for its outer address" if not blocks else "has no outer address left"
            yield Fault(resource=peer.id, problem=f"{gateway.id} {missing}", remedy=f"give {gateway.id} transit_gateway_cidr_blocks, such as 172.31.255.0/24")
            continue
        if not any(own in block for block in blocks):
            yield Fault(resource=peer.id, problem=f"transit_gateway_address {own} is in no CIDR block of {gateway.id}", remedy=f"use an address of {', '.join(map(str, blocks)) or 'one: there is none'}, or leave it out")
        first = owners.setdefault((gateway.id, own), peer.transit_gateway_attachment_id)
        if first != peer.transit_gateway_attachment_id:
            yield Fault(resource=peer.id, problem=f"transit_gateway_address {own} belongs to {first}", remedy="an address serves one Connect attachment: use another one, or leave it out")
        if isinstance(peer.peer_address, IPv4Address):
            known = pairs.setdefault((gateway.id, own, peer.peer_address), peer.id)
            if known != peer.id:
                yield Fault(resource=peer.id, problem=f"the tunnel from {own} to {peer.peer_address} is {known}'s already", remedy="change one of the two outer addresses: together they tell tunnels apart")


def _inside_faults(peers: tuple[TransitGatewayConnectPeer, ...], references: References) -> Iterator[Fault]:
    first: dict[tuple[str | None, IPv4Network], str] = {}
    for peer in peers:
        if isinstance(peer.inside_cidr_block, IPv4Network):
            known = first.setdefault((gateway_of(peer, references), peer.inside_cidr_block), peer.id)
            if known != peer.id:
                yield Fault(resource=peer.id, problem=f"inside_cidr_block {peer.inside_cidr_block} overlaps that of {known}", remedy=OTHER_BLOCK)
    for connection in references.topology.of(VpnConnection):
        for number, options in enumerate(connection.vpn_tunnel_options, start=1):
            block = options.tunnel_inside_cidr
            met = next((name for (gateway, own), name in first.items() if gateway == connection.transit_gateway_id and isinstance(block, IPv4Network) and own.overlaps(block)), None)
            if met is not None:
                yield Fault(resource=met, problem=f"inside_cidr_block overlaps {block} of {tunnel_name(connection.id, number)}", remedy=OTHER_BLOCK)


def _route_faults(references: References) -> Iterator[Fault]:
    connects = {connect.id for connect in references.topology.of(TransitGatewayConnect)}
    for table in references.topology.of(TransitGatewayRouteTable):
        for route in table.routes:
            if route.attachment_id in connects:
                yield Fault(resource=f"{table.id} {route.destination}", problem=f"a static route to the Connect attachment {route.attachment_id}", remedy="Connect takes BGP only: have the appliance announce the prefix")
