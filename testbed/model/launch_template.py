"""Launch templates: what an Auto Scaling group launches.

Source: CloudFormation, "AWS::EC2::LaunchTemplate" (documented). NOT MODELLED: versions. An instance keeps what it was launched with; a template that is changed is for later launches, as with a
group that follows ``$Latest``.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.instance import DEFAULT_METADATA_OPTIONS, IpForwarding, StatefulFirewall, WebApplication
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
        forwards = Fault(resource=self.id, problem="user_data forwards for others", remedy="run a middlebox as an Instance: a group's instances are ends of flows")
        return (
            *id_faults(self.id),
            *(() if self.name == self.id else id_faults(self.name)),
            *self.metadata_options.faults(self.id),
            *((forwards,) if isinstance(self.user_data, (IpForwarding, StatefulFirewall)) else ()),
            *(bounds_faults(self.id, "user_data port", self.user_data.port, 1, 65535) if isinstance(self.user_data, WebApplication) else ()),
        )
