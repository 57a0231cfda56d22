"""Service quotas of an account, where they bound a topology. Raise one here as one would ask AWS to.

Source: VPC user guide, "Amazon VPC quotas"; Transit Gateway guide, "Transit gateway quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults

RULES_TIMES_GROUPS = 1000
"""Rules per group times groups per interface never exceed this, whatever is asked for."""
HIGHEST_ENTRIES_PER_NETWORK_ACL = 40
HIGHEST_GROUPS_PER_INTERFACE = 16
HIGHEST_ELASTIC_IPS_PER_NAT_GATEWAY = 8
HIGHEST_CIDR_BLOCKS_PER_VPC = 50
HIGHEST_ROUTES_PER_ROUTE_TABLE = 1000
HIGHEST_ACTIVE_VPC_PEERING_CONNECTIONS = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """AWS's defaults. Rules and entries are counted for each direction by itself."""

    rules_per_security_group: int = 60
    security_groups_per_interface: int = 5
    entries_per_network_acl: int = 20
    cidr_blocks_per_vpc: int = 5
    route_tables_per_vpc: int = 200
    routes_per_route_table: int = 500
    """Static ones, the local ones apart; a prefix list counts as many as its `max_entries`."""
    active_vpc_peering_connections_per_vpc: int = 50
    transit_gateways_per_region: int = 5
    transit_gateways_per_vpc: int = 5
    transit_gateway_attachments: int = 5000
    transit_gateway_route_tables: int = 20
    transit_gateway_routes: int = 10000
    """Of all tables of a transit gateway together, propagated ones too; the block of a VPC counts once in each table."""
    transit_gateway_peering_attachments: int = 50
    vpcs_per_region: int = 5
    subnets_per_vpc: int = 200
    internet_gateways_per_region: int = 5
    elastic_ips_per_region: int = 5
    nat_gateways_per_zone: int = 5
    elastic_ips_per_nat_gateway: int = 2
    """Eight at most."""

    def faults(self) -> Iterator[Fault]:
        """Quotas that AWS does not grant."""
        yield from bounds_faults("quotas", "security_groups_per_interface", self.security_groups_per_interface, 1, HIGHEST_GROUPS_PER_INTERFACE)
        yield from bounds_faults("quotas", "entries_per_network_acl", self.entries_per_network_acl, 1, HIGHEST_ENTRIES_PER_NETWORK_ACL)
        yield from bounds_faults("quotas", "cidr_blocks_per_vpc", self.cidr_blocks_per_vpc, 1, HIGHEST_CIDR_BLOCKS_PER_VPC)
        yield from bounds_faults("quotas", "routes_per_route_table", self.routes_per_route_table, 1, HIGHEST_ROUTES_PER_ROUTE_TABLE)
        peerings = self.active_vpc_peering_connections_per_vpc
        yield from bounds_faults("quotas", "active_vpc_peering_connections_per_vpc", peerings, 1, HIGHEST_ACTIVE_VPC_PEERING_CONNECTIONS)
        yield from bounds_faults("quotas", "elastic_ips_per_nat_gateway", self.elastic_ips_per_nat_gateway, 1, HIGHEST_ELASTIC_IPS_PER_NAT_GATEWAY)
        product = self.rules_per_security_group * self.security_groups_per_interface
        if product > RULES_TIMES_GROUPS:
            problem = f"rules per security group times security groups per interface is {product}"
            yield Fault(resource="quotas", problem=problem, remedy=f"keep the product at {RULES_TIMES_GROUPS} or less")


DEFAULT_QUOTAS = Quotas()
