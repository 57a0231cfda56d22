"""Shield Advanced: a protection for one resource. The subscription is taken for granted where there is a protection.

    Elastic IP address (an instance, an NLB), ALB, accelerator    mitigation begins at half of what the resource is taken to bear
    ALB, CloudFront                                               automatic application-layer mitigation: a rate rule learnt from the baseline, which blocks or counts
    Route 53 hosted zone                                          nothing beyond Standard that a packet would show

Health-based detection: AWS lowers its thresholds while a Route 53 health check that is associated with the protection fails. `health_based_detection` ties that to what the
resource itself sees: the share of its answers that are 5xx (AWS's own property is HealthCheckArns; this model has no Route 53 health checks to name).
Source: CloudFormation, "AWS::Shield::Protection"; AWS Shield developer guide, "AWS Shield Advanced protections by resource type", "Detection logic for infrastructure layer threats" (half),
"Automating application layer DDoS mitigation", "Health-based detection using health checks", "Requesting a credit" (documented).
NOT MODELLED: the response team, protection groups, events and metrics, Classic Load Balancers as resources, the Elastic IP address's network ACL at AWS's border.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault, choice_faults, id_faults

BLOCK, COUNT = "Block", "Count"
ACTIONS = (BLOCK, COUNT)
COST_PROTECTION = (
    "Cost protection: after an attack AWS credits, on request by the 15th of the next month, what this resource scaled because of it (data transfer out, CloudFront requests, LCUs); "
    "Shield Advanced itself is a subscription of a year, about 3,000 USD a month, plus data transfer out."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShieldProtection:
    """A protection of the resource with the id `resource_arn`. `application_layer_automatic_response` (CloudFormation: …Configuration, its Action) is ``Block``, ``Count`` or None, off."""

    id: str
    resource_arn: str
    application_layer_automatic_response: str | None = None
    health_based_detection: bool = False

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the protection by itself."""
        action = self.application_layer_automatic_response
        return (*id_faults(self.id), *(() if action is None else choice_faults(self.id, "application_layer_automatic_response", action, ACTIONS)))
