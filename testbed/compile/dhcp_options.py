"""DHCP option sets become the resolv.conf of what runs behind a VPC's interfaces.

Source: VPC user guide, "DHCP option sets in Amazon VPC" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.compile.per_topology import per_topology
from testbed.compile.vpc import resolver_addresses_of
from testbed.model.dhcp_options import AMAZON_PROVIDED_DNS, DhcpOptions, default_domain_name
from testbed.resolve.resolved import Resolved, ResolvedVpc


def name_servers(vpc: ResolvedVpc, resolved: Resolved) -> tuple[IPv4Address, ...]:
    """Whom its hosts ask: base+2, or the set's own servers."""
    options = _options(resolved, vpc.vpc.dhcp_options_id)
    if options is None or AMAZON_PROVIDED_DNS in options.domain_name_servers:
        return resolver_addresses_of(vpc)[:1]
    return tuple(server for server in options.domain_name_servers if isinstance(server, IPv4Address))


def search(vpc: ResolvedVpc, resolved: Resolved) -> tuple[str, ...]:
    """The domains in which its hosts look for short names."""
    options = _options(resolved, vpc.vpc.dhcp_options_id)
    if options is None:
        return (default_domain_name(vpc.vpc.region),)
    return tuple((options.domain_name or "").split())


@per_topology
def _options(resolved: Resolved, options_id: str | None) -> DhcpOptions | None:
    return next((options for options in resolved.topology.of(DhcpOptions) if options.id == options_id), None)
