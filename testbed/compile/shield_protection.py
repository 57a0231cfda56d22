"""Shield Advanced: which public addresses have lower thresholds at their internet gateway, and which daemons a rate rule that learns.

Source: AWS Shield developer guide, "AWS Shield Advanced protections by resource type", "Automating application layer DDoS mitigation" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import LearntRateRule
from testbed.model.shield_protection import ShieldProtection
from testbed.resolve.resolved import Resolved


def rate_rule(resource: str, resolved: Resolved) -> LearntRateRule | None:
    """What the daemon of a distribution or an Application Load Balancer is told; None without automatic mitigation."""
    for protection in resolved.topology.of(ShieldProtection):
        if protection.resource_arn == resource and protection.application_layer_automatic_response is not None:
            return LearntRateRule(origin=protection.id, action=protection.application_layer_automatic_response, health_based=protection.health_based_detection)
    return None


def addresses(protection: ShieldProtection, resolved: Resolved) -> tuple[IPv4Address, ...]:
    """The public addresses that a protection covers: an Elastic IP address's, all of a balancer's, or an accelerator's; sorted."""
    named = protection.resource_arn
    accelerated = next((accelerator.addresses for accelerator in resolved.accelerators if accelerator.id == named), None)
    if accelerated is not None:
        return tuple(sorted(accelerated))
    mapped = ((interface, each) for interface in resolved.interfaces for each in interface.mapped)
    return tuple(sorted({each.public_address for interface, each in mapped if each.public_address is not None and named in (interface.owner, each.public_origin)}))


def protected(vpc: str, resolved: Resolved) -> tuple[IPv4Address, ...]:
    """The public addresses of one VPC with Shield Advanced, sorted."""
    covered = {address for protection in resolved.topology.of(ShieldProtection) for address in addresses(protection, resolved)}
    return tuple(sorted(each.public_address for interface in resolved.interfaces_in(vpc) for each in interface.mapped if each.public_address in covered and each.public_address is not None))


def protected_accelerators(resolved: Resolved) -> tuple[IPv4Address, ...]:
    """The static addresses of accelerators with Shield Advanced, sorted."""
    named = {protection.resource_arn for protection in resolved.topology.of(ShieldProtection)}
    return tuple(sorted(address for accelerator in resolved.accelerators if accelerator.id in named for address in accelerator.addresses))
