"""Faults of load balancers with their subnets, listeners and target groups.

Source: ELB user guide, "Application Load Balancers" (subnets in at least two Availability Zones, one each; /27 or larger),
"Listeners", "Target groups" (of one VPC, used by one balancer; documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.model.instance import Instance
from testbed.model.listener import Forward, Listener, target_groups_of
from testbed.model.load_balancer import NETWORK, LoadBalancer
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.faults.topology import has_internet_gateway
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

LONGEST_PREFIX = 27


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each balancer, of its listeners, and of its target groups."""
    for balancer in references.topology.of(LoadBalancer):
        yield from _subnet_faults(balancer, references)
        yield from _listener_faults(balancer, references)
    yield from _target_faults(references)


def _subnets(balancer: LoadBalancer, references: References) -> list[Subnet]:
    return [subnet for subnet_id in balancer.subnets if (subnet := references.get(Subnet, subnet_id)) is not None]


def _subnet_faults(balancer: LoadBalancer, references: References) -> Iterator[Fault]:
    subnets = _subnets(balancer, references)
    zones = Counter(subnet.availability_zone for subnet in subnets)
    for zone, count in sorted(zones.items()):
        if count > 1:
            yield Fault(resource=balancer.id, problem=f"{count} subnets in {zone}", remedy="a load balancer has one subnet in each Availability Zone: keep one")
    if balancer.type != NETWORK and len(zones) < 2 and len(subnets) == len(balancer.subnets):
        yield Fault(resource=balancer.id, problem=f"subnets in {len(zones)} Availability Zones", remedy="name subnets in at least two Availability Zones")
    vpcs = sorted({subnet.vpc_id for subnet in subnets})
    if len(vpcs) > 1:
        yield Fault(resource=balancer.id, problem=f"subnets of {' and '.join(vpcs)}", remedy="name subnets of one VPC")
    for subnet in subnets:
        if balancer.type != NETWORK and isinstance(subnet.cidr_block, IPv4Network) and subnet.cidr_block.prefixlen > LONGEST_PREFIX:
            yield Fault(resource=balancer.id, problem=f"subnet {subnet.id} is a /{subnet.cidr_block.prefixlen}", remedy=f"a load balancer's subnets are /{LONGEST_PREFIX} or larger")
    for vpc_id in vpcs:
        if balancer.scheme == "internet-facing" and references.get(Vpc, vpc_id) is not None and not has_internet_gateway(vpc_id, references):
            problem = f"internet-facing, but {vpc_id} has no internet gateway"
            yield Fault(resource=balancer.id, problem=problem, remedy="add an InternetGateway for the VPC, or make the scheme internal")


def _listener_faults(balancer: LoadBalancer, references: References) -> Iterator[Fault]:
    listeners = [listener for listener in references.topology.of(Listener) if listener.load_balancer_arn == balancer.id]
    first: dict[int, str] = {}
    for listener in listeners:
        if listener.port in first:
            yield Fault(resource=listener.id, problem=f"port {listener.port} of {balancer.id} already has the listener {first[listener.port]}", remedy="choose another port, or merge the two")
        first.setdefault(listener.port, listener.id)
        yield from _protocol_faults(balancer, listener, references)
        for group in _target_groups(listener, references):
            for vpc_id in sorted({subnet.vpc_id for subnet in _subnets(balancer, references)} - {group.vpc_id}):
                problem = f"forwards to {group.id} of {group.vpc_id}, but {balancer.id} is in {vpc_id}"
                yield Fault(resource=listener.id, problem=problem, remedy="use a target group of the load balancer's VPC")


def _protocol_faults(balancer: LoadBalancer, listener: Listener, references: References) -> Iterator[Fault]:
    """TCP is a network balancer's, HTTP and HTTPS an application balancer's; a network balancer's listener has one action and no rules."""
    is_network = balancer.type == NETWORK
    allowed = "TCP" if is_network else "HTTP or HTTPS"
    if is_network != (listener.protocol == "TCP"):
        yield Fault(resource=listener.id, problem=f"protocol {listener.protocol} on the {balancer.type} load balancer {balancer.id}", remedy=f"use {allowed}")
    if is_network and (listener.rules or not all(isinstance(action, Forward) for action in listener.default_actions)):
        yield Fault(resource=listener.id, problem="a network load balancer only forwards", remedy="give one Forward in default_actions, and no rules")
    for group in _target_groups(listener, references):
        if is_network != (group.protocol == "TCP"):
            yield Fault(resource=group.id, problem=f"protocol {group.protocol} behind the {balancer.type} load balancer {balancer.id}", remedy=f"use {allowed}")


def _target_groups(listener: Listener, references: References) -> list[TargetGroup]:
    actions = [*listener.default_actions, *(action for rule in listener.rules for action in rule.actions)]
    named = sorted({each.target_group_arn for action in actions for each in target_groups_of(action)})
    return [group for group_id in named if (group := references.get(TargetGroup, group_id)) is not None]


def _target_faults(references: References) -> Iterator[Fault]:
    users: dict[str, set[str]] = {}
    for listener in references.topology.of(Listener):
        for group in _target_groups(listener, references):
            users.setdefault(group.id, set()).add(listener.load_balancer_arn)
    for group in references.topology.of(TargetGroup):
        balancers = sorted(users.get(group.id, ()))
        if len(balancers) > 1:
            yield Fault(resource=group.id, problem=f"used by {' and '.join(balancers)}", remedy="a target group serves one load balancer: make one for each")
        for target, times in Counter(group.targets).items():
            if times > 1:
                yield Fault(resource=group.id, problem=f"target {target} is registered {times} times", remedy="register each instance once")
            instance = references.get(Instance, target)
            subnet = None if instance is None else references.get(Subnet, instance.subnet_id)
            if subnet is not None and subnet.vpc_id != group.vpc_id:
                yield Fault(resource=group.id, problem=f"target {target} is in {subnet.vpc_id}, not in {group.vpc_id}", remedy=f"register instances of {group.vpc_id}")
