"""Which way packets take over VPN connections, from the connections as written: the propagated routes of a table, a gateway's way to a site, a site's way to a gateway.

    gateway ─▶ site   longest prefix ─▶ static routes before BGP's ─▶ the first connection's first tunnel that is up
    site ─▶ gateway   longest prefix ─▶ the router's metric, of tunnels that are up

Which tunnels are up follows from keys and proposals alone (`model.vpn_tunnel.negotiate`); by BGP a gateway learns the site's LAN, the site the VPC's blocks.
Source: Site-to-Site VPN user guide, "Site-to-Site VPN routing options", "Route priority"; VPC user guide, "How route priority works" (documented).
NOT MODELLED: several sites that announce one prefix with different AS paths; endpoints that are out of order (a live test's affair).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from testbed.model.customer_gateway import CustomerGateway
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.route_table import Route, RoutePriority, RouteTable
from testbed.model.topology import Topology
from testbed.model.transit_gateway import TransitGateway
from testbed.model.vpc import Vpc
from testbed.model.vpn_connection import VpnConnection, tunnel_name
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation
from testbed.model.vpn_tunnel import negotiate
from testbed.oracle.direct_connect import DirectConnectWays
from testbed.resolve.resolved import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class PropagatedRoute(Route):
    """A route that a gateway has propagated into a table. `source` says from which connection it has it."""

    priority: RoutePriority
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A tunnel that takes a packet. `site` None: its device is not in the lab."""

    connection: VpnConnection
    number: int
    destination: IPv4Network
    site: str | None
    mtu_bytes: int

    @property
    def name(self) -> str:
        return tunnel_name(self.connection.id, self.number)


def with_propagated_routes(table: RouteTable, topology: Topology) -> RouteTable:
    """The table with what virtual private gateways propagate into it; within the VPC's own blocks the local route always wins, so nothing is there to show."""
    vpc = next((vpc for vpc in topology.of(Vpc) if vpc.id == table.vpc_id), None)
    found: dict[tuple[IPv4Network, RoutePriority], PropagatedRoute] = {}
    for propagation in topology.of(VpnGatewayRoutePropagation):
        for fibre in DirectConnectWays(topology).announced(propagation.vpn_gateway_id) if table.id in propagation.route_table_ids else ():
            if vpc is not None and not any(fibre.destination.subnet_of(own) for own in vpc.cidr_blocks):
                priority = RoutePriority.PROPAGATED_DIRECT_CONNECT
                route = PropagatedRoute(destination_cidr_block=fibre.destination, gateway_id=propagation.vpn_gateway_id, priority=priority, source=f"{fibre.interface} BGP")
                found.setdefault((fibre.destination, priority), route)
        for connection in topology.of(VpnConnection) if table.id in propagation.route_table_ids else ():
            if connection.vpn_gateway_id != propagation.vpn_gateway_id:
                continue
            for block in prefixes_of_site(connection, topology):
                priority = RoutePriority.PROPAGATED_VPN_STATIC if connection.static_routes_only else RoutePriority.PROPAGATED_VPN_BGP
                source = f"{connection.id} {'static' if connection.static_routes_only else 'BGP'}"
                if vpc is not None and not any(block.subnet_of(own) for own in vpc.cidr_blocks):
                    route = PropagatedRoute(destination_cidr_block=block, gateway_id=propagation.vpn_gateway_id, priority=priority, source=source)
                    found.setdefault((block, priority), route)
    return replace(table, routes=(*table.routes, *(found[key] for key in sorted(found)))) if found else table


class VpnWays:
    """The tunnels of a topology, and who has which prefix behind them. `told_by_transit_gateway` (its id, the connection's) gives what it announces in a connection's tunnels."""

    def __init__(self, resolved: Resolved, told_by_transit_gateway: Callable[[str, str], Iterable[IPv4Network]]) -> None:
        self._told = told_by_transit_gateway
        self._topology = resolved.topology
        self.gateways = {gateway.id: gateway for gateway in self._topology.of(VpnGateway)}
        self._private = {site.cidr_block[1]: site.id for site in self._topology.of(OnPremisesSite)}
        self._public = {site.public_address: site.id for site in resolved.sites}

    def to_site(self, gateway_id: str, destination: IPv4Address) -> Way | str:
        """The tunnel by which a virtual private gateway sends to an address, or why it does not."""
        best: tuple[int, bool, str] | None = None
        ways: dict[tuple[int, bool, str], tuple[VpnConnection, IPv4Network]] = {}
        for connection in self._topology.of(VpnConnection):
            for block in prefixes_of_site(connection, self._topology) if connection.vpn_gateway_id == gateway_id else ():
                if destination in block:
                    ways[-block.prefixlen, not connection.static_routes_only, connection.id] = connection, block
        for rank in sorted(ways):
            best = rank if best is None else best
            connection, block = ways[rank]
            if rank[0] != best[0] and connection.static_routes_only:  # a static route stays, up or not, and hides shorter ones
                continue
            up = next(self._up(connection, block), None)
            if up is not None:
                return up
        return f"{gateway_id}: no tunnel to {destination} is up" if ways else f"{gateway_id}: knows no way to {destination}"

    def is_in_vpc(self, gateway: VpnGateway, destination: IPv4Address) -> bool:
        """Whether an address is in the blocks of the gateway's VPC; what is not goes to another site, if at all."""
        return any(destination in block for vpc in self._topology.of(Vpc) if vpc.id == gateway.vpc_id for block in vpc.cidr_blocks)

    def over(self, connection_id: str, destination: IPv4Address) -> Way | str:
        """The tunnel by which a transit gateway sends over a connection; of several that share the load the first speaks for all."""
        connection = next(each for each in self._topology.of(VpnConnection) if each.id == connection_id)
        return next(self._up(connection, IPv4Network(destination)), f"{connection_id}: no tunnel to {destination} is up")

    def from_site(self, site_id: str, destination: IPv4Address) -> Way | str | None:
        """The tunnel by which a site's router sends to an address, why it loses what goes there, or None if it knows no way but the internet."""
        ranked: list[tuple[int, int, str, int, Way]] = []
        known = False
        for connection in self._topology.of(VpnConnection):
            if self._site_of(connection) != site_id:
                continue
            for block in self._prefixes_of_gateway(connection):
                if destination in block:
                    known |= connection.static_routes_only
                    for way in self._up(connection, block):
                        ranked.append((-block.prefixlen, connection.customer_device[way.number - 1].metric, connection.id, way.number, way))
        if ranked:
            return min(ranked, key=lambda each: each[:4])[4]
        return f"{site_id}: no tunnel to {destination} is up" if known else None

    def _up(self, connection: VpnConnection, block: IPv4Network) -> Iterator[Way]:
        site = self._site_of(connection)
        for number, (options, device) in enumerate(zip(connection.vpn_tunnel_options, connection.customer_device, strict=True), start=1):
            agreement = negotiate(options, device, options.pre_shared_key or "")
            if site is not None and agreement.cause is None and has_transport(connection, self._topology):
                yield Way(connection=connection, number=number, destination=block, site=site, mtu_bytes=agreement.mtu_bytes)

    def _site_of(self, connection: VpnConnection) -> str | None:
        customer = _customer(connection, self._topology)
        if customer is None:
            return None
        outside = self._private if connection.is_private else self._public
        return customer.site_id if customer.site_id is not None else None if customer.ip_address is None else outside.get(customer.ip_address)

    def _prefixes_of_gateway(self, connection: VpnConnection) -> tuple[IPv4Network, ...]:
        if connection.static_routes_only and connection.customer_routes:
            return connection.customer_routes
        if connection.transit_gateway_id is not None:
            return () if connection.static_routes_only else tuple(self._told(connection.transit_gateway_id, connection.id))
        gateway = self.gateways.get(connection.vpn_gateway_id or "")
        vpc = next((vpc for vpc in self._topology.of(Vpc) if gateway is not None and vpc.id == gateway.vpc_id), None)
        blocks = () if vpc is None else vpc.cidr_blocks
        return blocks if connection.static_routes_only else (*blocks, *self._other_sites(connection))

    def _other_sites(self, connection: VpnConnection) -> Iterator[IPv4Network]:
        """CloudHub: what other connections of a virtual private gateway have told it, it tells by BGP."""
        for other in self._topology.of(VpnConnection):
            if other.vpn_gateway_id == connection.vpn_gateway_id and other.id != connection.id:
                yield from prefixes_of_site(other, self._topology)


def _customer(connection: VpnConnection, topology: Topology) -> CustomerGateway | None:
    return next((each for each in topology.of(CustomerGateway) if each.id == connection.customer_gateway_id), None)


def has_transport(connection: VpnConnection, topology: Topology) -> bool:
    """Whether the outside of a connection's tunnels can be reached: over the internet always, over Direct Connect if the site is told of the transit gateway's blocks there
    ("Private IP VPN with AWS Direct Connect"; documented)."""
    if not connection.is_private:
        return True
    customer = _customer(connection, topology)
    gateway = next((each for each in topology.of(TransitGateway) if each.id == connection.transit_gateway_id), None)
    sites = [site.id for site in topology.of(OnPremisesSite) if customer is not None and (site.id == customer.site_id or site.cidr_block[1] == customer.ip_address)]
    told = [each for site in sites for each in DirectConnectWays(topology).told(site) if each.association == connection.transport_transit_gateway_attachment_id]
    return gateway is not None and any(block.subnet_of(each.destination) for each in told for block in gateway.transit_gateway_cidr_blocks)


def prefixes_of_site(connection: VpnConnection, topology: Topology) -> tuple[IPv4Network, ...]:
    """What AWS's end knows of the site: its static routes, or what the site announces (its LAN), if a tunnel is up to announce it by."""
    if connection.static_routes_only:
        return connection.static_routes
    customer = _customer(connection, topology)
    site = next((site for site in topology.of(OnPremisesSite) if customer is not None and site.id == customer.site_id), None)
    speaks = has_transport(connection, topology) and any(
        negotiate(options, device, options.pre_shared_key or "").cause is None for options, device in zip(connection.vpn_tunnel_options, connection.customer_device, strict=True)
    )
    return (site.cidr_block,) if site is not None and speaks else ()
