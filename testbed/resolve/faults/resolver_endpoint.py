"""Faults of DNS between VPCs and other networks: endpoints, rules, private zones and customers' servers, across resources.

Source: Route 53 developer guide, "Considerations when creating inbound and outbound endpoints", "Considerations when working with a private hosted zone" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.dns_server import DnsServer
from testbed.model.hosted_zone import HostedZone
from testbed.model.instance import Instance
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.resolver_endpoint import OUTBOUND, ResolverEndpoint
from testbed.model.resolver_rule import ResolverRule
from testbed.model.subnet import Subnet
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each endpoint, rule, private zone and server."""
    for endpoint in references.topology.of(ResolverEndpoint):
        vpcs = {subnet.vpc_id for request in endpoint.ip_addresses if (subnet := references.get(Subnet, request.subnet_id)) is not None}
        if len(vpcs) > 1:
            yield Fault(resource=endpoint.id, problem=f"its subnets are in {' and '.join(sorted(vpcs))}", remedy="choose subnets of one VPC")
    yield from _rule_faults(references)
    yield from _private_zone_faults(references)
    machines = {instance.id for instance in references.topology.of(Instance)} | {host.id for site in references.topology.of(OnPremisesSite) for host in site.hosts}
    for server in references.topology.of(DnsServer):
        if server.host_id not in machines:
            yield Fault(resource=server.id, problem=f"host_id {server.host_id!r} is neither an instance nor a host of a site", remedy=did_you_mean(server.host_id, machines))


def _rule_faults(references: References) -> Iterator[Fault]:
    first: dict[tuple[str, str], str] = {}
    for rule in references.topology.of(ResolverRule):
        endpoint = references.get(ResolverEndpoint, rule.resolver_endpoint_id)
        if endpoint is not None and endpoint.direction != OUTBOUND:
            yield Fault(resource=rule.id, problem=f"{endpoint.id} is an inbound endpoint", remedy="name an outbound one: queries leave by it")
        for vpc in rule.associations:
            other = first.setdefault((vpc, rule.domain_name), rule.id)
            if other != rule.id:
                yield Fault(resource=rule.id, problem=f"{vpc} already is associated with {other} for {rule.domain_name}", remedy="keep one rule of a name for a VPC")


def _private_zone_faults(references: References) -> Iterator[Fault]:
    first: dict[tuple[str, str], str] = {}
    for zone in references.topology.of(HostedZone):
        for vpc_id in zone.vpcs:
            vpc = references.get(Vpc, vpc_id)
            other = first.setdefault((vpc_id, zone.name), zone.id)
            if other != zone.id:
                yield Fault(resource=zone.id, problem=f"{vpc_id} already is associated with {other}, a private zone of the same name", remedy="keep one private zone of a name for a VPC")
            if vpc is not None and not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
                yield Fault(resource=zone.id, problem=f"{vpc_id} does not have DNS support and DNS host names on", remedy="set enable_dns_support and enable_dns_hostnames: private zones need both")
