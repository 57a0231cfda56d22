"""Faults of load balancers with their subnets, listeners and target groups.

Source: ELB user guide, "Application Load Balancers" (subnets in at least two Availability Zones, one each; /27 or larger),
"Listeners", "Target groups" (of one VPC, used by one balancer; documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from testbed.model.instance import Instance
from testbed.model.listener import Forward, Listener, target_groups_of
from testbed.model.load_balancer import APPLICATION, GATEWAY, NETWORK, LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.subnet import Subnet
from testbed.model.target_group import ALB, GENEVE, GENEVE_PORT, IP, NETWORK_PROTOCOLS, TLS, TargetGroup
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.faults.topology import has_internet_gateway
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

LONGEST_PREFIX = 27
ELSEWHERE = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))
"""Where a target may be that is no address of the group's own VPC ("Target groups for your NLB": RFC 1918 and RFC 6598; documented)."""


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each balancer, of its listeners, and of its target groups."""
    for balancer in references.topology.of(LoadBalancer):
        yield from _subnet_faults(balancer, references)
        yield from _listener_faults(balancer, references)
    yield from _allocation_faults(references)
    yield from _target_faults(references)


def _subnets(balancer: LoadBalancer, references: References) -> list[Subnet]:
    return [subnet for subnet_id in balancer.enabled_subnets if (subnet := references.get(Subnet, subnet_id)) is not None]


def _subnet_faults(balancer: LoadBalancer, references: References) -> Iterator[Fault]:
    subnets = _subnets(balancer, references)
    zones = Counter(subnet.availability_zone for subnet in subnets)
    for zone, count in sorted(zones.items()):
        if count > 1:
            yield Fault(resource=balancer.id, problem=f"{count} subnets in {zone}", remedy="a load balancer has one subnet in each Availability Zone: keep one")
    if balancer.type == APPLICATION and len(zones) < 2 and len(subnets) == len(balancer.enabled_subnets):
        yield Fault(resource=balancer.id, problem=f"subnets in {len(zones)} Availability Zones", remedy="name subnets in at least two Availability Zones")
    vpcs = sorted({subnet.vpc_id for subnet in subnets})
    if len(vpcs) > 1:
        yield Fault(resource=balancer.id, problem=f"subnets of {' and '.join(vpcs)}", remedy="name subnets of one VPC")
    for subnet in subnets:
        if balancer.type == APPLICATION and isinstance(subnet.cidr_block, IPv4Network) and subnet.cidr_block.prefixlen > LONGEST_PREFIX:
            yield Fault(resource=balancer.id, problem=f"subnet {subnet.id} is a /{subnet.cidr_block.prefixlen}", remedy=f"a load balancer's subnets are /{LONGEST_PREFIX} or larger")
    for vpc_id in vpcs:
        if balancer.is_internet_facing and references.get(Vpc, vpc_id) is not None and not has_internet_gateway(vpc_id, references):
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
    """TCP and UDP are a network balancer's, HTTP and HTTPS an application balancer's; a network balancer's listener has one action and no rules."""
    if balancer.type == GATEWAY or listener.protocol == GENEVE:
        yield from _geneve_faults(balancer, listener, references)
        return
    is_network = balancer.type == NETWORK
    allowed = "TCP, TLS, UDP or TCP_UDP" if is_network else "HTTP or HTTPS"
    if is_network != (listener.protocol in NETWORK_PROTOCOLS):
        yield Fault(resource=listener.id, problem=f"protocol {listener.protocol} on the {balancer.type} load balancer {balancer.id}", remedy=f"use {allowed}")
    if is_network and (listener.rules or not all(isinstance(action, Forward) for action in listener.default_actions)):
        yield Fault(resource=listener.id, problem="a network load balancer only forwards", remedy="give one Forward in default_actions, and no rules")
    for group in _target_groups(listener, references):
        if is_network != group.is_network:
            yield Fault(resource=group.id, problem=f"protocol {group.protocol} behind the {balancer.type} load balancer {balancer.id}", remedy=f"use {allowed}")
        elif is_network and listener.protocol in NETWORK_PROTOCOLS:
            yield from _network_faults(listener, group)
        if not is_network and group.target_type == ALB:
            yield Fault(resource=group.id, problem="an application load balancer as target of another", remedy="put a network load balancer in front")


def _network_faults(listener: Listener, group: TargetGroup) -> Iterator[Fault]:
    """Behind TLS may be TLS or TCP ("Listeners for your NLB"); stickiness is not for TLS on both sides, and an ALB's listener in front is TCP ("Edit target group attributes"; documented)."""
    behind = ("TCP", TLS) if listener.protocol == TLS else (listener.protocol,)
    if group.protocol not in behind:
        yield Fault(resource=group.id, problem=f"protocol {group.protocol} behind a listener for {listener.protocol}", remedy=f"use {' or '.join(behind)} in the target group")
    if listener.protocol == TLS == group.protocol and group.stickiness_enabled:
        yield Fault(resource=group.id, problem=f"stickiness with TLS on both sides of {listener.load_balancer_arn}", remedy="turn stickiness off, or make the target group's protocol TCP")
    if listener.protocol == TLS and group.target_type == ALB:
        yield Fault(resource=group.id, problem="an application load balancer behind a TLS listener", remedy="make the listener's protocol TCP")


def _geneve_faults(balancer: LoadBalancer, listener: Listener, references: References) -> Iterator[Fault]:
    """A gateway balancer hears every packet, and forwards by GENEVE to one group ("Listeners for Gateway Load Balancers"; documented)."""
    if balancer.type != GATEWAY:
        yield Fault(resource=listener.id, problem=f"protocol {GENEVE} on the {balancer.type} load balancer {balancer.id}", remedy='make its type "gateway"')
        return
    if (listener.protocol, listener.port) != (GENEVE, GENEVE_PORT):
        yield Fault(resource=listener.id, problem=f"protocol {listener.protocol}, port {listener.port} on the gateway load balancer {balancer.id}", remedy=f"use {GENEVE} and {GENEVE_PORT}")
    if listener.rules or not all(isinstance(action, Forward) for action in listener.default_actions):
        yield Fault(resource=listener.id, problem="a gateway load balancer only forwards", remedy="give one Forward in default_actions, and no rules")
    for group in _target_groups(listener, references):
        if not group.is_gateway:
            yield Fault(resource=group.id, problem=f"protocol {group.protocol} behind the gateway load balancer {balancer.id}", remedy=f"use {GENEVE} and {GENEVE_PORT}")


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
            if group.target_type == IP:
                yield from _address_faults(group, target, references)
            if group.target_type == ALB:
                yield from _alb_faults(group, target, references)
            instance = references.get(Instance, target)
            subnet = None if instance is None else references.get(Subnet, instance.subnet_id)
            if subnet is not None and subnet.vpc_id != group.vpc_id:
                yield Fault(resource=group.id, problem=f"target {target} is in {subnet.vpc_id}, not in {group.vpc_id}", remedy=f"register instances of {group.vpc_id}")


def _address_faults(group: TargetGroup, target: str, references: References) -> Iterator[Fault]:
    if (task := references.get(Instance, target)) is not None and task.launched_by is not None:
        return
    try:
        address = IPv4Address(target)
    except ValueError:
        yield Fault(resource=group.id, problem=f"target {target} is no IP address", remedy='register addresses, or make target_type "instance"')
        return
    vpc = references.get(Vpc, group.vpc_id)
    own = () if vpc is None else vpc.cidr_blocks
    if not any(isinstance(block, IPv4Network) and address in block for block in (*own, *ELSEWHERE)):
        yield Fault(resource=group.id, problem=f"target {target} is a public address", remedy="register private addresses: of the VPC, 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 or 192.168.0.0/16")


def _alb_faults(group: TargetGroup, target: str, references: References) -> Iterator[Fault]:
    """An ALB is a target by one of its listeners, in the group's VPC ("Application Load Balancers as targets of a Network Load Balancer"; documented)."""
    balancer = references.get(LoadBalancer, target)
    if balancer is None:
        return
    if balancer.type != APPLICATION:
        yield Fault(resource=group.id, problem=f"target {target} is no application load balancer", remedy="register one of type application")
    if not any(listener.load_balancer_arn == target and listener.port == group.port for listener in references.topology.of(Listener)):
        yield Fault(resource=group.id, problem=f"{target} has no listener on port {group.port}", remedy="give the target group the port of one of its listeners")
    if any(subnet.vpc_id != group.vpc_id for subnet in _subnets(balancer, references)):
        yield Fault(resource=group.id, problem=f"target {target} is not in {group.vpc_id}", remedy=f"register a load balancer of {group.vpc_id}")


def _allocation_faults(references: References) -> Iterator[Fault]:
    """An Elastic IP is one node's."""
    holders: dict[str, str] = {allocation: gateway.id for gateway in references.topology.of(NatGateway) for allocation in gateway.allocations}
    for balancer in references.topology.of(LoadBalancer):
        for mapping in balancer.subnet_mappings:
            if mapping.allocation_id is None:
                continue
            if mapping.allocation_id in holders:
                problem = f"allocation_id {mapping.allocation_id} is already associated with {holders[mapping.allocation_id]}"
                yield Fault(resource=balancer.id, problem=problem, remedy="allocate an Elastic IP address for each node")
            holders.setdefault(mapping.allocation_id, balancer.id)
