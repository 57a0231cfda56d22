"""A Connect peer becomes a GRE tunnel between the transit gateway's namespace and the appliance's: a TUN device and a daemon at each end, two BGP sessions inside.

    appliance  gre-<peer> ─ daemon ─ eth0 ═ GRE over the transport attachment ═ a-<transport> ─ daemon ─ c-<peer>  transit gateway
               inside .1                                                        outer address on lo       inside .2 and .3

What comes out of c-<peer> has arrived by the Connect attachment, and is routed by the table with which that is associated. GRE is let in by (device, outer source, outer destination) and by nothing less, so what has
other addresses is dropped as anything else of the transport's that is meant for the gateway. What the daemon sends is led by its source address, in a kernel table of that address's own, over the transport:
to a VPC's attachment in the zone of the appliance's subnet, to sites as BGP has learned the way.
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers" (documented). BGP timers of 10 and 30 s, and that the gateway answers pings on its BGP addresses, are assumed.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from services.bgp.config import Accept, Advertise, Neighbour, Table
from services.common.config import encode
from services.gre.config import Config
from testbed.compile import direct_connect_gateway, fabric, transit_gateway
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.transit_gateway_vpc_attachment import zone_in, zone_letter
from testbed.compile.vpn_connection import HOLD_S, KEEPALIVE_S
from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.model.transit_gateway_connect import INSIDE_PREFIX, MOST_ROUTES_FROM_PEER, amazon_addresses, appliance_address
from testbed.plan import NftMap, NftRule, NftTable, PlanError, PolicyRule, Route, RouteType, ServiceSpec, Tun
from testbed.plan.names import interface_name
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_connect_peer import ResolvedConnectPeer
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment

KIND = "gre"
OUTER_PRIORITY = 30000
"""Of the rules by source address: after those by mark, which everything has that arrives."""
MISSING_MED = 100
MOST_PATHS = 16
BY_FIVE_TUPLE = ("ipv4/fib_multipath_hash_policy", "1")


def lower(peer: ResolvedConnectPeer, resolved: Resolved) -> Fragment:
    """Both ends of a tunnel; without an appliance in this lab, AWS's alone."""
    device = appliance_device(peer)
    ours = Config(name=peer.id, tun=transit_gateway.connect_device(peer.id), local_address=peer.transit_gateway_address, remote_address=peer.peer_address)
    services = [ServiceSpec(name=f"{peer.id}.{KIND}", kind=KIND, node=peer.transit_gateway, config=encode(ours), origin=peer.id)]
    parts = [*_at_gateway(peer, resolved)]
    if peer.node is not None:
        theirs = Config(name=peer.id, tun=device, local_address=peer.peer_address, remote_address=peer.transit_gateway_address)
        services.append(ServiceSpec(name=f"{peer.node}.{peer.id}.{KIND}", kind=KIND, node=peer.node, config=encode(theirs), origin=peer.id))
        address = IPv4Interface((appliance_address(peer.inside), INSIDE_PREFIX))
        parts.append(NodePart(name=peer.node, tuns=(Tun(name=device, mtu_bytes=peer.mtu_bytes, addresses=(address,), origin=peer.id),), sysctls=(BY_FIVE_TUPLE,)))
    return Fragment(nodes=tuple(parts), services=tuple(services))


def appliance_device(peer: ResolvedConnectPeer) -> str:
    """The appliance's device of the tunnel."""
    return interface_name("gre-", peer.id)


def gateway_neighbours(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved, *, propagates_to: tuple[str, ...], associated: str | None, metric: int) -> tuple[Neighbour, ...]:
    """The transit gateway's end of the sessions in all tunnels of a Connect attachment, two for each.

    BIRD refuses to run two sessions with one neighbour that name the same device, so the second names none: the inside block is on no other.
    """
    return tuple(
        Neighbour(
            name=session_name(peer, number),
            address=appliance_address(peer.inside),
            local_address=own,
            asn=peer.peer_asn,
            device=transit_gateway.connect_device(peer.id) if number == 1 else None,
            propagates_to=propagates_to,
            associated=associated,
            metric=metric,
            hold_s=HOLD_S,
            keepalive_s=KEEPALIVE_S,
            accept=Accept(limit=MOST_ROUTES_FROM_PEER, missing_med=MISSING_MED, needs_as_path=peer.peer_asn == peer.amazon_asn),
            origin=attachment.id,
        )
        for peer in resolved.connect_peers
        if (peer.connect, peer.transit_gateway) == (attachment.id, attachment.transit_gateway)
        for number, own in enumerate(amazon_addresses(peer.inside), start=1)
    )


def appliance_neighbours(node: str, resolved: Resolved, *, table: str, metric: int, prepend: int = 0) -> tuple[Neighbour, ...]:
    """The appliance's end of the same sessions; it announces what it originates."""
    return tuple(
        Neighbour(
            name=session_name(peer, number),
            address=theirs,
            local_address=appliance_address(peer.inside),
            asn=peer.amazon_asn,
            local_asn=peer.device_asn,
            device=appliance_device(peer),
            propagates_to=(table,),
            associated=table,
            metric=metric,
            hold_s=HOLD_S,
            keepalive_s=KEEPALIVE_S,
            advertise=Advertise(learned=False, prepend=prepend),
            origin=peer.id,
        )
        for peer in resolved.connect_peers
        if peer.node == node
        for number, theirs in enumerate(amazon_addresses(peer.inside), start=1)
    )


def session_name(peer: ResolvedConnectPeer, number: int) -> str:
    """A BGP session of a peer, `number` 1 or 2."""
    return f"{peer.id}-{number}"


def outer_tables(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> tuple[Table, ...]:
    """The speaker's tables into which a Direct Connect gateway's routes go because tunnels over it need them (Connect peers', private-IP VPN's), by name."""
    if attachment.kind is not AttachmentKind.DIRECT_CONNECT_GATEWAY:
        return ()
    addresses = {peer.transit_gateway_address for peer in resolved.connect_peers if (peer.transport, peer.transit_gateway) == (attachment.id, attachment.transit_gateway)}
    addresses |= {tunnel.outside_address for connection in resolved.vpn_connections if (connection.transport, connection.gateway) == (attachment.id, attachment.transit_gateway) for tunnel in connection.tunnels}
    return tuple(Table(name=f"outer-{address}", kernel=_outer_table(address), paths=MOST_PATHS) for address in sorted(addresses))


def _outer_table(address: IPv4Address) -> int:
    """The kernel table of what an outer address sends: the address as a number, which is above all other tables'."""
    return int(address)


def _at_gateway(peer: ResolvedConnectPeer, resolved: Resolved) -> tuple[NodePart, ...]:
    hub, device, own = peer.transit_gateway, transit_gateway.connect_device(peer.id), peer.transit_gateway_address
    attachment = _attachment(peer.connect, hub, resolved)
    heard = tuple(NftRule(statement=f"{what} accept", origin=peer.id) for what in ("icmp type echo-request", "tcp dport 179", "tcp sport 179"))
    inside = tuple(IPv4Interface((address, INSIDE_PREFIX)) for address in amazon_addresses(peer.inside))
    elements = tuple((f"{fabric.quoted(arriving)} . {peer.peer_address} . {own}", "accept") for arriving in _transport_devices(peer, resolved))
    peers = NftMap(name=transit_gateway.CONNECT_PEERS, type=transit_gateway.CONNECT_PEERS_TYPE, value_type="verdict", elements=elements)
    nobody = Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, table=_outer_table(own), metric=transit_gateway.NO_ROUTE_METRIC, origin=f"{own} no way to a Connect peer")
    return (
        transit_gateway.arrivals(attachment, device, resolved),
        transit_gateway.received(hub, device, heard),
        NodePart(
            name=hub,
            loopback=(IPv4Interface(own),),
            tuns=(Tun(name=device, mtu_bytes=peer.mtu_bytes, addresses=inside, origin=peer.connect),),
            sysctls=(BY_FIVE_TUPLE,),
            routes=(nobody, *_outer_route(peer, resolved)),
            rules=(PolicyRule(priority=OUTER_PRIORITY, source=IPv4Network(own), table=_outer_table(own), origin=f"{hub} {own}"),),
            tables=(NftTable(name=transit_gateway.TABLE, maps=(peers,)),),
        ),
    )


def _outer_route(peer: ResolvedConnectPeer, resolved: Resolved) -> tuple[Route, ...]:
    """Over a VPC's attachment, in the zone of the appliance's subnet; over Direct Connect BGP knows the way (`outer_tables`)."""
    transport = _attachment(peer.transport, peer.transit_gateway, resolved)
    if transport.kind is not AttachmentKind.VPC:
        return ()
    subnet = next((each.subnet for each in resolved.subnets_in(transport.resource) if peer.peer_address in each.subnet.cidr_block), None)
    number = transport.subnets[0][0] if subnet is None else zone_in(transport, dict(resolved.vpc(transport.resource).zone_numbers)[subnet.availability_zone])
    device = transit_gateway.device(transport.id, zone_letter(number))
    return (Route(destination=IPv4Network(peer.peer_address), device=device, via=fabric.FABRIC_END, onlink=True, table=_outer_table(peer.transit_gateway_address), origin=peer.id),)


def _transport_devices(peer: ResolvedConnectPeer, resolved: Resolved) -> tuple[str, ...]:
    transport = _attachment(peer.transport, peer.transit_gateway, resolved)
    if transport.kind is AttachmentKind.VPC:
        return tuple(transit_gateway.device(transport.id, zone_letter(number)) for number, _ in transport.subnets)
    return tuple(each.device for each in direct_connect_gateway.behind_gateway(peer.transit_gateway, resolved) if each.association is not None and each.association.id == transport.id)


def _attachment(attachment_id: str, transit_gateway_id: str, resolved: Resolved) -> ResolvedTransitGatewayAttachment:
    attachment = resolved.attachment(attachment_id, transit_gateway_id)
    if attachment is None:
        raise PlanError(f"{attachment_id} is not attached to {transit_gateway_id}")
    return attachment
