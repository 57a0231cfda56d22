"""Where things stand, and what every namespace that forwards or ends packets is told of the kernel."""

from __future__ import annotations

from testbed.plan import PlanError
from testbed.resolve.resolved import Resolved, ResolvedCity, ResolvedInterface, ResolvedRegion


def region_of(resolved: Resolved, region_id: str) -> ResolvedRegion:
    """The Region with this id. Raises PlanError."""
    for region in resolved.regions:
        if region.id == region_id:
            return region
    raise PlanError(f"Region {region_id} is used and was not resolved")


def city_of(resolved: Resolved, name: str) -> ResolvedCity:
    """The city of this name. Raises PlanError."""
    for city in resolved.cities:
        if city.city.name == name:
            return city
    raise PlanError(f"{name} is used and was not resolved")


def region_of_interface(resolved: Resolved, interface: ResolvedInterface) -> ResolvedRegion:
    """The Region in whose VPC an ENI is."""
    return region_of(resolved, resolved.vpc(interface.vpc).vpc.region)


def end_sysctls() -> tuple[tuple[str, str], ...]:
    """A host's: no IPv6 (NOT MODELLED yet), no reverse-path filter (what spoofing does is the fabric's to decide), no forwarding."""
    return _sysctls(forwards=False)


def forwarding_sysctls() -> tuple[tuple[str, str], ...]:
    """A router's: as `end_sysctls`, and forward; every ICMP error that is sent at all is sent without a rate limit, redirects never."""
    return _sysctls(forwards=True)


def _sysctls(forwards: bool) -> tuple[tuple[str, str], ...]:
    """The same keys for hosts and routers, so that one can become the other in place."""
    return (
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv4/icmp_ratelimit", "0" if forwards else "1000"),
        ("ipv4/ip_forward", "1" if forwards else "0"),
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
    )
