"""Target groups of a Network Load Balancer, as one of its nodes serves them: which targets, by which addresses, and whether they see the client.

A node serves the targets of its own Availability Zone; with cross-zone load balancing all of them. An address outside the VPC belongs to no zone and is served by every node.
The daemon of a node (`services.nlb`) gets the same list, since the elements of a map are written by both (decision 0011).
Source: ELB user guide, "Target groups for your NLB", "Edit target group attributes for your NLB", "Application Load Balancers as targets of a Network Load Balancer" (documented).
NOT MODELLED: a port of a target's own, weighted target groups; preservation in a peered VPC (AWS's older text has it for the balancer's own VPC only).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import HealthCheck
from services.nlb import config as nlb
from testbed.compile.per_topology import per_topology
from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import NETWORK, LoadBalancer
from testbed.model.target_group import ALB, IP, NETWORK_PROTOCOLS, TLS, TargetGroup
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved, ResolvedInterface


def listeners_of(balancer: LoadBalancer, resolved: Resolved) -> tuple[tuple[Listener, TargetGroup], ...]:
    """The listeners of a network balancer, each with the group to which it forwards."""
    groups = {group.id: group for group in resolved.topology.of(TargetGroup)}
    return tuple(
        (listener, groups[next(action.target_group_arn for action in listener.default_actions if isinstance(action, Forward))])
        for listener in resolved.topology.of(Listener)
        if listener.load_balancer_arn == balancer.id
    )


def is_relayed(listener: Listener, group: TargetGroup) -> bool:
    """Whether a process carries the listener's connections (`network_relay`), not the kernel: where TLS ends here, or a PROXY header goes first."""
    return listener.protocol == TLS or group.proxy_protocol_v2_enabled


def map_name(group: TargetGroup) -> str:
    """The map of a group's slots in the node's table."""
    return identifier("slots", group.id)


def targets_of(group: TargetGroup, node: ResolvedInterface, balancer: LoadBalancer, resolved: Resolved) -> tuple[nlb.Target, ...]:
    """The targets that one node serves, by id."""
    across = balancer.load_balancing_cross_zone_enabled if group.load_balancing_cross_zone_enabled is None else group.load_balancing_cross_zone_enabled
    found = (each for target in sorted(group.targets) for each in _addresses(group, target, node, resolved))
    return tuple(nlb.Target(id=target, address=address, port=group.port) for target, address, zone in found if across or zone in (None, node.availability_zone))


def group_config(group: TargetGroup, node: ResolvedInterface, balancer: LoadBalancer, resolved: Resolved) -> nlb.TargetGroup:
    """The group as the node's daemon is told of it."""
    targets = targets_of(group, node, balancer, resolved)
    return nlb.TargetGroup(
        id=group.id,
        map=map_name(group),
        slots=nlb.slots_for(len(targets)),
        protocols=NETWORK_PROTOCOLS[group.protocol],
        targets=targets,
        health_check=HealthCheck(
            protocol=group.checks_by,
            port=group.health_check_port,
            path=group.health_check_path,
            interval_s=float(group.checks_every_s),
            timeout_s=float(group.checks_for_s),
            healthy_threshold=group.healthy_threshold_count,
            unhealthy_threshold=group.unhealthy_threshold_count,
            matcher=group.accepted,
        ),
        minimum_healthy_targets=group.unhealthy_state_routing_minimum_healthy_targets_count,
        minimum_healthy_targets_for_dns=group.dns_failover_minimum_healthy_targets_count,
        deregistration_delay_s=float(group.deregistration_delay_timeout_seconds),
        terminate_deregistered=group.deregistration_delay_connection_termination_enabled,
        terminate_unhealthy=group.target_health_state_unhealthy_connection_termination_enabled,
        proxy_protocol=group.proxy_protocol_v2_enabled,
        unhealthy_draining_s=float(group.target_health_state_unhealthy_draining_interval_seconds),
    )


@per_topology
def nodes_of(resolved: Resolved, vpc: str) -> tuple[ResolvedInterface, ...]:
    """The interfaces of network balancers' nodes in a VPC, by id."""
    owners = {balancer.id for balancer in resolved.topology.of(LoadBalancer) if balancer.type == NETWORK}
    return tuple(interface for interface in resolved.interfaces if interface.vpc == vpc and interface.owner in owners)


@per_topology
def keepers(resolved: Resolved, vpc: str) -> tuple[ResolvedInterface, ...]:
    """Those of them that send packets on with the client's address, by id."""
    keeping = {listener.load_balancer_arn for group in resolved.topology.of(TargetGroup) if group.is_network and group.preserves_client for listener in _users(group, resolved)}
    return tuple(interface for interface in nodes_of(resolved, vpc) if interface.owner in keeping)


def _users(group: TargetGroup, resolved: Resolved) -> tuple[Listener, ...]:
    return tuple(listener for listener in resolved.topology.of(Listener) if any(isinstance(action, Forward) and action.target_group_arn == group.id for action in listener.default_actions))


def _addresses(group: TargetGroup, target: str, node: ResolvedInterface, resolved: Resolved) -> list[tuple[str, IPv4Address, str | None]]:
    """A target's addresses: its name, the address, and its zone (None: none of the VPC's)."""
    if group.target_type == IP and not resolved.interfaces_of(target):  # a task of an ECS service is registered by the address of its interface
        address = IPv4Address(target)
        subnet = next((each.subnet for each in resolved.subnets if each.subnet.vpc_id == group.vpc_id and address in each.subnet.cidr_block), None)
        return [(target, address, None if subnet is None else subnet.availability_zone)]
    interfaces = resolved.interfaces_of(target)
    return [(i.node if group.target_type == ALB else target, i.address, i.availability_zone) for i in interfaces if i.device == "eth0"]
