"""Private-IP VPN: the outside of a connection's tunnels lies on a Direct Connect attachment of its transit gateway, not on the internet.

    site's router, LAN .1 ═ ESP in UDP over a transit virtual interface ═ location ═ transit gateway ─ o-<connection>-<n> ═ eth0 endpoint, outside address of the gateway's CIDR block
                                                                          inside: as of any connection, over t-<connection>-<n>

What arrives for an outside address is led to its endpoint by the route table with which the transport is associated; what the endpoint sends is led by its source address, in a kernel table of that
address's own, which BGP fills from the transport (`transit_gateway_connect.outer_tables`).
Source: Site-to-Site VPN user guide, "Private IP VPN with AWS Direct Connect" (documented). That the transport has to be associated with a route table for the outside to pass is assumed.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from testbed.compile import fabric, transit_gateway
from testbed.compile.attach import DEVICE
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import forwarding_sysctls
from testbed.plan import Interface, Link, Neighbour, NftMap, NftTable, Node, PlanError, PolicyRule, Route, RouteType
from testbed.plan.marks import ROUTE_TABLE_MASK
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedVpnConnection, ResolvedVpnTunnel

OUTER_PRIORITY = 30000
"""Of the rules by source address: after those by mark."""
OUTER_MARK = ROUTE_TABLE_MASK
"""Of what an endpoint sends: the number of no route table, so that the rule by its source leads it."""
BEFORE_ALL_METRIC = 50


def outer_device(connection_id: str, number: int) -> str:
    """The gateway's device towards the outside of an endpoint."""
    return interface_name("o-", f"{connection_id}-{number}")


def attach(identity: Node, connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, resolved: Resolved) -> Fragment:
    """The endpoint with its outside on the transit gateway."""
    hub, name, address = connection.gateway, outer_device(connection.id, tunnel.number), IPv4Interface(tunnel.outside_address)
    transport = resolved.attachment(connection.transport or "", hub)
    if transport is None:
        raise PlanError(f"{connection.id}: {connection.transport} is not attached to {hub}")
    outside = Interface(node=tunnel.node, name=DEVICE, mac=mac_address(tunnel.node, DEVICE), addresses=(address,), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin=connection.id)
    at_hub = Interface(node=hub, name=name, mac=mac_address(hub, name), mtu_bytes=fabric.INTERNET_MTU_BYTES, sysctls=(("send_redirects", "0"),), origin=connection.id)
    tables = () if transport.table is None else transit_gateway.kernel_tables(resolved.transit_gateway_route_table(transport.table), resolved)
    inward = tuple(
        Route(destination=IPv4Network(tunnel.outside_address), device=name, via=fabric.FABRIC_END, onlink=True, table=table, metric=BEFORE_ALL_METRIC, origin=f"{connection.id} outside {tunnel.outside_address}")
        for table in tables
    )
    own = int(tunnel.outside_address)
    nowhere = Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, table=own, metric=transit_gateway.NO_ROUTE_METRIC, origin=f"{connection.id}: no way over {transport.id}")
    marks = NftMap(name="arrivals", type="ifname", value_type="mark", elements=((fabric.quoted(name), f"{OUTER_MARK:#x}"),))
    parts = (
        NodePart(
            name=tunnel.node, identity=identity, sysctls=forwarding_sysctls(),
            routes=(Route(destination=fabric.EVERYTHING, device=DEVICE, via=fabric.GATEWAY_END, onlink=True, source=tunnel.outside_address, origin=transport.id),),
            neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=at_hub.mac, device=DEVICE),),
        ),
        NodePart(
            name=hub, routes=(*inward, nowhere), neighbours=(Neighbour(address=fabric.FABRIC_END, mac=outside.mac, device=name),),
            rules=(PolicyRule(priority=OUTER_PRIORITY, source=IPv4Network(tunnel.outside_address), table=own, origin=f"{hub} {tunnel.outside_address}"),),
            tables=(NftTable(name=transit_gateway.TABLE, maps=(marks,)),),
        ),
    )  # fmt: skip
    return Fragment(nodes=parts, links=(ordered(Link(a=outside, b=at_hub, origin=connection.id)),))
