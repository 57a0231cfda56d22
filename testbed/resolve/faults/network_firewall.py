"""Faults of network firewalls across resources: subnets, endpoints that routes name, and policies whose groups do not fit.

Source: Network Firewall developer guide, "Firewall settings", "Firewall policy settings", "Managing evaluation order for Suricata compatible rules in AWS Network Firewall" (documented).
That the numbers of all stateful rules of a policy differ is Suricata's wish; AWS asks it of each group (assumed to be no more than that).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.firewall_policy import FirewallPolicy, RuleGroupReference
from testbed.model.network_firewall import NetworkFirewall, endpoint_id
from testbed.model.route_table import BLACKHOLE, RouteTable
from testbed.model.rule_group import STATEFUL, STATELESS, RuleGroup
from testbed.model.subnet import Subnet
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each firewall and policy, then routes to endpoints that nobody has."""
    for firewall in references.topology.of(NetworkFirewall):
        yield from _subnet_faults(firewall, references)
    for policy in references.topology.of(FirewallPolicy):
        yield from _group_faults(policy, policy.stateless_rule_group_references, STATELESS, references)
        yield from _group_faults(policy, policy.stateful_rule_group_references, STATEFUL, references)
        yield from _sid_faults(policy, references)
    known = sorted({*_endpoints(references), *(endpoint.id for endpoint in references.topology.of(VpcEndpoint))})
    for table in references.topology.of(RouteTable):
        for route in table.routes:
            if route.vpc_endpoint_id is not None and route.state != BLACKHOLE and route.vpc_endpoint_id not in known:
                remedy = did_you_mean(route.vpc_endpoint_id, known) if known else "add a VpcEndpoint of type GatewayLoadBalancer, or a NetworkFirewall; its endpoint in zone a is vpce-<id>-a"
                yield Fault(resource=f"{table.id} {route.destination}", problem=f"vpc_endpoint_id {route.vpc_endpoint_id!r} does not exist", remedy=remedy)


def vpc_of_endpoint(endpoint: str | None, references: References) -> str | None:
    """The VPC of a firewall's endpoint; None if it is none."""
    return None if endpoint is None else _endpoints(references).get(endpoint)


def _endpoints(references: References) -> dict[str, str]:
    """Every endpoint, with its VPC."""
    found = {}
    for firewall in references.topology.of(NetworkFirewall):
        for subnet_id in firewall.subnet_mappings:
            subnet = references.get(Subnet, subnet_id)
            if subnet is not None:
                found[endpoint_id(firewall.id, subnet.availability_zone)] = firewall.vpc_id
    return found


def _subnet_faults(firewall: NetworkFirewall, references: References) -> Iterator[Fault]:
    zones: dict[str, str] = {}
    for subnet_id in dict.fromkeys(firewall.subnet_mappings):
        subnet = references.get(Subnet, subnet_id)
        if subnet is None:
            continue
        if subnet.vpc_id != firewall.vpc_id:
            yield Fault(resource=firewall.id, problem=f"{subnet_id} is a subnet of {subnet.vpc_id}, not of {firewall.vpc_id}", remedy=f"name subnets of {firewall.vpc_id}")
        known = zones.setdefault(subnet.availability_zone, subnet_id)
        if known != subnet_id:
            yield Fault(resource=firewall.id, problem=f"{known} and {subnet_id} are both in {subnet.availability_zone}", remedy="name exactly one subnet of each Availability Zone")


def _group_faults(policy: FirewallPolicy, named: tuple[RuleGroupReference, ...], kind: str, references: References) -> Iterator[Fault]:
    for reference in named:
        group = references.get(RuleGroup, reference.resource_arn)
        if group is None:
            continue
        if group.type != kind:
            yield Fault(resource=policy.id, problem=f"{group.id} is a {group.type} group among the {kind.lower()} ones", remedy=f"move it to the {group.type.lower()} references")
        elif kind == STATEFUL and group.rule_order != policy.rule_order:
            yield Fault(resource=policy.id, problem=f"{group.id} is for {group.rule_order}, the policy for {policy.rule_order}", remedy="give both the same rule_order")


def _sid_faults(policy: FirewallPolicy, references: References) -> Iterator[Fault]:
    first: dict[int, str] = {}
    for reference in policy.stateful_rule_group_references:
        group = references.get(RuleGroup, reference.resource_arn)
        for rule in () if group is None else group.rules():
            if rule.sid is not None and first.setdefault(rule.sid, reference.resource_arn) != reference.resource_arn:
                yield Fault(resource=policy.id, problem=f"{first[rule.sid]} and {reference.resource_arn} both have a rule with sid {rule.sid}", remedy="number the rules of a policy differently")
