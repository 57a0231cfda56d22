"""VPN connections with everything chosen that a topology leaves open: AWS's outside addresses, inside blocks, keys; and what each tunnel comes to.

An outside address is one of the Region's pool that nothing else has; an inside block is one of 169.254.0.0/16 that is neither reserved nor another tunnel's.
Both follow from the tunnel's name by hash (decision 0006). Source: Site-to-Site VPN user guide, "Tunnel options for your Site-to-Site VPN connection" (documented).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from testbed.model.customer_gateway import CustomerGateway
from testbed.model.elastic_ip import ElasticIp
from testbed.model.route_table import NEVER_FORWARDED
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_connect import TransitGatewayConnectPeer
from testbed.model.vpc import Vpc
from testbed.model.vpn_connection import VpnConnection, tunnel_name
from testbed.model.vpn_gateway import VpnGateway
from testbed.model.vpn_tunnel import INSIDE, INSIDE_PREFIX, RESERVED, negotiate
from testbed.resolve.connect_peers import transit_gateway_addresses
from testbed.resolve.interfaces import hashed
from testbed.resolve.public_addresses import FIRST_ASSIGNED_HOST
from testbed.resolve.references import References
from testbed.resolve.resolved import ResolvedRegion, ResolvedSite, ResolvedVpnConnection, ResolvedVpnTunnel
from testbed.resolve.virtual_interfaces import CHOSEN

KEY_LENGTH = 32
NO_DEVICE = "the peer does not answer"


def vpn_connections(references: References, regions: tuple[ResolvedRegion, ...], sites: tuple[ResolvedSite, ...], taken: Iterable[IPv4Address]) -> tuple[ResolvedVpnConnection, ...]:
    """All connections, by id; `taken` are the public addresses that something else has."""
    pools = {region.id: region.public_pool for region in regions}
    used = {*taken, *(elastic_ip.public_ip for elastic_ip in references.topology.of(ElasticIp) if elastic_ip.public_ip is not None)}
    used |= set(transit_gateway_addresses(references).values())
    blocks = {options.tunnel_inside_cidr for connection in references.topology.of(VpnConnection) for options in connection.vpn_tunnel_options}
    inside = {block for block in blocks if isinstance(block, IPv4Network)}
    inside |= {block for peer in references.topology.of(TransitGatewayConnectPeer) for block in peer.inside_cidr_block.subnets(new_prefix=INSIDE_PREFIX)}
    return tuple(_connection(connection, references, pools, sites, used, inside) for connection in references.topology.of(VpnConnection))


def gateway_region(connection: VpnConnection, references: References) -> str:
    """The Region of the gateway at AWS's end; empty if there is none."""
    gateway = references.get(VpnGateway, connection.vpn_gateway_id)
    vpc = None if gateway is None else references.get(Vpc, gateway.vpc_id)
    transit = references.get(TransitGateway, connection.transit_gateway_id)
    return vpc.region if vpc is not None else transit.region if transit is not None else ""


def endpoint_node(connection_id: str, number: int) -> str:
    """The node of AWS's endpoint of a tunnel."""
    return f"{connection_id}-tunnel-{number}"


def default_key(name: str) -> str:
    """The key that AWS makes up for a tunnel; here always the same for the same name."""
    return f"k{hashlib.blake2s(name.encode(), digest_size=16).hexdigest()}"[:KEY_LENGTH]


def _connection(
    connection: VpnConnection, references: References, pools: dict[str, IPv4Network], sites: tuple[ResolvedSite, ...], used: set[IPv4Address], inside: set[IPv4Network]
) -> ResolvedVpnConnection:
    customer = references.get(CustomerGateway, connection.customer_gateway_id)
    gateway = references.get(VpnGateway, connection.vpn_gateway_id) or references.get(TransitGateway, connection.transit_gateway_id)
    if customer is None or gateway is None:
        raise LookupError(connection.id)
    outside_of = {site.id: site.gateway if connection.is_private else site.public_address for site in sites}
    site = next((site for site in sites if site.id == customer.site_id or outside_of[site.id] == customer.ip_address), None)
    address = outside_of[site.id] if site is not None else customer.ip_address
    if address is None:
        raise LookupError(connection.customer_gateway_id)
    region = gateway_region(connection, references)
    return ResolvedVpnConnection(
        id=connection.id,
        customer_gateway=customer.id,
        customer_asn=customer.bgp_asn,
        gateway=gateway.id,
        is_transit=isinstance(gateway, TransitGateway),
        amazon_asn=gateway.amazon_side_asn,
        region=region,
        site=None if site is None else site.id,
        device_address=address,
        static=connection.static_routes_only,
        static_routes=connection.static_routes,
        customer_routes=connection.customer_routes or (_vpc_blocks(gateway, references) if connection.static_routes_only else ()),
        transport=connection.transport_transit_gateway_attachment_id,
        tunnels=tuple(_tunnel(connection, number, site is not None, _pool(gateway, connection, pools[region], used), used, inside) for number in range(1, len(connection.vpn_tunnel_options) + 1)),
    )


def _vpc_blocks(gateway: VpnGateway | TransitGateway, references: References) -> tuple[IPv4Network, ...]:
    vpc = references.get(Vpc, gateway.vpc_id) if isinstance(gateway, VpnGateway) else None
    return () if vpc is None else vpc.cidr_blocks


def _tunnel(connection: VpnConnection, number: int, has_device: bool, pool: IPv4Network, used: set[IPv4Address], inside: set[IPv4Network]) -> ResolvedVpnTunnel:
    name = tunnel_name(connection.id, number)
    options, device = connection.vpn_tunnel_options[number - 1], connection.customer_device[number - 1]
    key = options.pre_shared_key or default_key(name)
    agreement = negotiate(options, device, key)
    return ResolvedVpnTunnel(
        number=number,
        node=endpoint_node(connection.id, number),
        outside_address=_free_address(name, pool, used),
        inside=options.tunnel_inside_cidr or _free_block(name, inside),
        pre_shared_key=key,
        device_pre_shared_key=device.pre_shared_key or key,
        mtu_bytes=agreement.mtu_bytes,
        cause=agreement.cause if has_device else NO_DEVICE,
    )


def _pool(gateway: VpnGateway | TransitGateway, connection: VpnConnection, public: IPv4Network, used: set[IPv4Address]) -> IPv4Network:
    """Where an outside address is taken from: the Region's, or for private-IP VPN the first of the transit gateway's blocks that has room."""
    if not isinstance(gateway, TransitGateway) or not connection.is_private:
        return public
    return next(block for block in gateway.transit_gateway_cidr_blocks if any(address not in used for address in block.hosts()))


def _free_address(name: str, pool: IPv4Network, used: set[IPv4Address]) -> IPv4Address:
    room = pool.num_addresses - FIRST_ASSIGNED_HOST - 1
    start = hashed(name) % room
    found = next(address for step in range(room) if (address := pool[FIRST_ASSIGNED_HOST + (start + step) % room]) not in used)
    used.add(found)
    return found


def _free_block(name: str, inside: set[IPv4Network]) -> IPv4Network:
    """Not of the blocks that AWS keeps, nor of those in which its link-local services or virtual interfaces are."""
    blocks = 2 ** (INSIDE_PREFIX - INSIDE.prefixlen)
    start = hashed(name) % blocks
    candidates = (IPv4Network((INSIDE[4 * ((start + step) % blocks)], INSIDE_PREFIX)) for step in range(blocks))
    found = next(block for block in candidates if block not in inside and block not in RESERVED and not block.overlaps(NEVER_FORWARDED) and not block.overlaps(CHOSEN))
    inside.add(found)
    return found
