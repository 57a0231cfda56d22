"""Faults of Shield Advanced protections: what they name, and what that can have.

Source: AWS Shield developer guide, "AWS Shield Advanced protections by resource type", "Automating application layer DDoS mitigation" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.accelerator import Accelerator
from testbed.model.distribution import Distribution
from testbed.model.elastic_ip import ElasticIp
from testbed.model.hosted_zone import HostedZone
from testbed.model.load_balancer import APPLICATION, LoadBalancer
from testbed.model.shield_protection import ShieldProtection
from testbed.model.values import Fault, did_you_mean
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

PROTECTED = "an Elastic IP address, an accelerator, an Application Load Balancer, a distribution or a public hosted zone"


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Protections of nothing, of what Shield Advanced does not take, and two of one resource."""
    topology = references.topology
    first: dict[str, str] = {}
    for protection in topology.of(ShieldProtection):
        name = protection.resource_arn
        found = references.named(name)
        if found is None:
            known = [each.id for kind in (Accelerator, ElasticIp, LoadBalancer, Distribution, HostedZone) for each in topology.of(kind)]
            yield Fault(resource=protection.id, problem=f"resource_arn {name!r} does not exist", remedy=did_you_mean(name, known))
            continue
        if isinstance(found, LoadBalancer) and found.type != APPLICATION:
            remedy = "protect the Elastic IP addresses of its subnet mappings" if found.type == "network" else f"protect {PROTECTED}"
            yield Fault(resource=protection.id, problem=f"{name} is a {found.type} load balancer, which Shield Advanced does not take", remedy=remedy)
        elif not isinstance(found, (Accelerator, ElasticIp, LoadBalancer, Distribution, HostedZone)):
            yield Fault(resource=protection.id, problem=f"{name} is nothing that Shield Advanced protects", remedy=f"protect {PROTECTED}")
        elif (protection.application_layer_automatic_response or protection.health_based_detection) and not isinstance(found, (LoadBalancer, Distribution)):
            yield Fault(resource=protection.id, problem=f"application-layer mitigation of {name}, which does not speak HTTP", remedy="leave it out, or protect a distribution or an Application Load Balancer")
        if name in first:
            yield Fault(resource=protection.id, problem=f"{name} is already protected by {first[name]}", remedy="keep one protection for each resource")
        first.setdefault(name, protection.id)
