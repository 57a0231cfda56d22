"""A virtual private gateway's BGP speaker, and the one in its VPC's fabric that makes propagated routes of what the gateway learns.

    routers at Direct Connect locations ── iBGP ─┐
                                                 ├─ <vgw> ── iBGP ── <vpc>: every route table that the gateway propagates into
    VPN tunnels ── eBGP ─────────────────────────┘

The gateway prefers Direct Connect, then static routes of VPNs, then BGP routes of VPNs (`vpn_gateway`'s metrics); only then local preference, AS path, MED. What it learns is told to its other sites (CloudHub).
In a route table of the VPC a propagated route has the highest metric, so any other to the same prefix wins; what lies within the VPC's own blocks is not propagated at all.
Source: Site-to-Site VPN user guide, "Site-to-Site VPN routing options"; VPC user guide, "How route priority works" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from services.bgp.config import Accept, Neighbour, Originated, PrefixRange, Table
from testbed.compile import bgp_speaker, direct_connect_gateway, fabric, route_table, vpn_connection, vpn_gateway
from testbed.compile.fragment import Fragment
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation
from testbed.plan import MAIN_TABLE
from testbed.resolve.resolved import Resolved

TABLE = "vgw"
PROPAGATED_METRIC = 2000
MOST_PATHS = 16
"""Equally good Direct Connect sessions (number assumed); tunnels have a metric each, since a gateway sends by one at a time."""
LONGEST_PREFIX = 32


def lower(gateway: VpnGateway, resolved: Resolved) -> Fragment:
    """The gateway's speaker, and the fabric's if the gateway propagates."""
    if not speaks(gateway, resolved):
        return Fragment()
    vpc = resolved.vpc(gateway.vpc_id).vpc
    tables = _propagated_into(gateway, resolved)
    neighbours = (*site_neighbours(gateway, resolved), *((_to_fabric(gateway),) if tables else ()))
    static = tuple(
        Originated(prefix=block, table=TABLE, metric=vpn_gateway.STATIC_METRIC) for block in sorted({b for c in resolved.vpn_connections if c.gateway == gateway.id for b in c.static_routes})
    )
    own = tuple(Originated(prefix=block, table=TABLE) for block in vpc.cidr_blocks)
    services = bgp_speaker.speaker(
        gateway.id, gateway.amazon_side_asn, tables=(Table(name=TABLE, kernel=MAIN_TABLE, paths=MOST_PATHS),), neighbours=neighbours, originated=(*own, *static), origin=gateway.id
    )
    if tables:
        services += bgp_speaker.speaker(vpc.id, gateway.amazon_side_asn, tables=tables, neighbours=(_to_gateway(gateway, vpc.cidr_blocks, tables),), origin=f"{gateway.id} propagation")
    return Fragment(services=services)


def site_neighbours(gateway: VpnGateway, resolved: Resolved) -> tuple[Neighbour, ...]:
    """The gateway's sessions with sites, or with what stands between."""
    by_fibre = direct_connect_gateway.gateway_neighbours(gateway.id, resolved, propagates_to=(TABLE,), associated=TABLE, metric=vpn_gateway.DIRECT_CONNECT_METRIC)
    by_tunnel = vpn_connection.gateway_neighbours(gateway.id, resolved, propagates_to=(TABLE,), associated=TABLE, metric=vpn_gateway.BGP_METRIC)
    return (*by_fibre, *by_tunnel)


def speaks(gateway: VpnGateway, resolved: Resolved) -> bool:
    """Whether the gateway learns anything by BGP."""
    return bool(site_neighbours(gateway, resolved))


def _propagated_into(gateway: VpnGateway, resolved: Resolved) -> tuple[Table, ...]:
    named = {table for propagation in resolved.topology.of(VpnGatewayRoutePropagation) if propagation.vpn_gateway_id == gateway.id for table in propagation.route_table_ids}
    own = [table for table in resolved.route_tables_in(gateway.vpc_id) if table.id in named]
    return tuple(Table(name=f"{table.id}.{number}", kernel=number) for table in own for number in route_table.kernel_tables(table, resolved))


def _to_fabric(gateway: VpnGateway) -> Neighbour:
    return Neighbour(
        name=gateway.vpc_id, address=vpn_gateway.SPEAKER_IN_FABRIC, local_address=vpn_gateway.SPEAKER, asn=gateway.amazon_side_asn, device=vpn_gateway.INSIDE,
        propagates_to=(), associated=TABLE, metric=1, relays=True, origin=f"{gateway.id} propagation",
    )  # fmt: skip


def _to_gateway(gateway: VpnGateway, blocks: tuple[IPv4Network, ...], tables: tuple[Table, ...]) -> Neighbour:
    return Neighbour(
        name=gateway.id, address=vpn_gateway.SPEAKER, local_address=vpn_gateway.SPEAKER_IN_FABRIC, asn=gateway.amazon_side_asn, device=fabric.gateway_device(gateway.id),
        propagates_to=tuple(table.name for table in tables), associated=None, metric=PROPAGATED_METRIC,
        accept=Accept(rejected=tuple(PrefixRange(prefix=block, longest=LONGEST_PREFIX) for block in blocks)), origin=f"{gateway.id} propagation",
    )  # fmt: skip
