"""Target groups, as a balancer's daemon is told of them. Source: ELB user guide, "Target groups", "Health checks" (documented)."""

from __future__ import annotations

from ipaddress import IPv4Address

from services.alb import config as alb
from services.common.config import HealthCheck
from testbed.model.target_group import APP_COOKIE, IP, TargetGroup
from testbed.resolve.resolved import Resolved


def target_group_config(group: TargetGroup, resolved: Resolved, arn: str) -> alb.TargetGroup:
    """The group with the primary private address of each instance or task, or with the addresses that are registered themselves, sorted by id."""
    targets = tuple(each for target in sorted(group.targets) for each in _targets(group, target, resolved))
    check = HealthCheck(
        path=group.health_check_path,
        interval_s=float(group.checks_every_s),
        timeout_s=float(group.checks_for_s),
        healthy_threshold=group.healthy_threshold_count,
        unhealthy_threshold=group.unhealthy_threshold_count,
        matcher=group.accepted,
        protocol=group.health_check_protocol,
        port=group.health_check_port,
    )
    return alb.TargetGroup(
        id=group.id,
        arn=arn,
        targets=targets,
        protocol=group.protocol,
        health_check=check,
        algorithm=alb.Algorithm(group.load_balancing_algorithm_type),
        anomaly_mitigation=group.load_balancing_algorithm_anomaly_mitigation,
        slow_start_s=float(group.slow_start_duration_seconds),
        deregistration_delay_s=float(group.deregistration_delay_timeout_seconds),
        cross_zone=group.load_balancing_cross_zone_enabled is not False,
        minimum_healthy_targets=group.unhealthy_state_routing_minimum_healthy_targets_count,
        minimum_healthy_in_dns=group.dns_failover_minimum_healthy_targets_count,
        stickiness=_stickiness(group),
    )


def _targets(group: TargetGroup, target: str, resolved: Resolved) -> tuple[alb.Target, ...]:
    interfaces = resolved.interfaces_of(target)
    if group.target_type == IP and not interfaces:
        address = IPv4Address(target)
        zone = next((each.subnet.availability_zone for each in resolved.subnets if each.subnet.vpc_id == group.vpc_id and address in each.subnet.cidr_block), "")
        return (alb.Target(id=target, address=address, port=group.port, availability_zone=zone),)
    return tuple(alb.Target(id=target, address=each.address, port=group.port, availability_zone=each.availability_zone) for each in interfaces if each.device == "eth0")


def _stickiness(group: TargetGroup) -> alb.Stickiness | None:
    if not group.stickiness_enabled:
        return None
    if group.stickiness_type == APP_COOKIE:
        return alb.Stickiness(duration_s=float(group.stickiness_app_cookie_duration_seconds), cookie_name=group.stickiness_app_cookie_cookie_name)
    return alb.Stickiness(duration_s=float(group.stickiness_lb_cookie_duration_seconds))
