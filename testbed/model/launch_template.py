"""Launch templates: what an Auto Scaling group launches.

Source: CloudFormation, "AWS::EC2::LaunchTemplate" (documented). NOT MODELLED: versions. An instance keeps what it was launched with; a template that is changed is for later launches, as with a
group that follows ``$Latest``; groups of appliances behind a Gateway Load Balancer (its nodes do not say to which group a target belongs).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.instance import DEFAULT_METADATA_OPTIONS, WebApplication
from testbed.model.metadata_options import MetadataOptions
from testbed.model.values import Fault, bounds_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTemplate:
    """A launch template. `name` stands for the tag ``Name`` of its instances, from which their ids here are made (``web`` gives ``web-a``, ``web-b``, ``web-a3`` …)."""

    id: str
    name: str
    security_group_ids: tuple[str, ...] = ()
    associate_public_ip_address: bool | None = None
    user_data: WebApplication | None = None
    metadata_options: MetadataOptions = DEFAULT_METADATA_OPTIONS

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the template by itself."""
        other = Fault(resource=self.id, problem=f"user_data runs {type(self.user_data).__name__}", remedy="use WebApplication or none: what forwards for others, inspects or logs users in is an Instance of its own")
        return (
            *id_faults(self.id),
            *(() if self.name == self.id else id_faults(self.name)),
            *self.metadata_options.faults(self.id),
            *(bounds_faults(self.id, "user_data port", self.user_data.port, 1, 65535) if isinstance(self.user_data, WebApplication) else () if self.user_data is None else (other,)),
        )
