"""Flow logs of VPCs and of transit gateways: who talked to whom at a network interface, and whether its security groups and its subnet's network ACL let them.

A record sums the packets of one 5-tuple, in one direction, at one interface, during one aggregation interval. ACCEPT: groups and ACL allowed it; REJECT: one of them
did not. A ping that is let in and whose reply the ACL refuses is one ACCEPT and one REJECT; a request that the group refuses is one REJECT.

At a transit gateway a record sums one 5-tuple in one direction at one attachment: what came in by it and went on, and what of that was lost and why; nothing is accepted or rejected there.

Source: Transit Gateway guide, "Logging network traffic using Transit Gateway Flow Logs" (fields and their order; documented); VPC user guide, "Flow log records", "Flow log record examples", "Flow log limitations"; CloudFormation, "AWS::EC2::FlowLog" (documented).
NOT MODELLED: delivery to CloudWatch, S3 or Firehose and its delay (the lines are in the lab's log folder); of VPC logs versions 6 and later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from testbed.model.values import Fault, choice_faults, did_you_mean, id_faults

VERSION_2 = ("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action", "log-status")
VERSION_3 = ("vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr")
VERSION_4 = ("region", "az-id", "sublocation-type", "sublocation-id")
VERSION_5 = ("pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path")
FIELDS = (*VERSION_2, *VERSION_3, *VERSION_4, *VERSION_5)
TRANSIT_GATEWAY_FIELDS = (
    "version", "resource-type", "account-id", "tgw-id", "tgw-attachment-id", "tgw-src-vpc-account-id", "tgw-dst-vpc-account-id", "tgw-src-vpc-id", "tgw-dst-vpc-id", "tgw-src-subnet-id", "tgw-dst-subnet-id",
    "tgw-src-eni", "tgw-dst-eni", "tgw-src-az-id", "tgw-dst-az-id", "tgw-pair-attachment-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "log-status", "type",
    "packets-lost-no-route", "packets-lost-blackhole", "packets-lost-mtu-exceeded", "packets-lost-ttl-expired", "tcp-flags", "region", "flow-direction", "pkt-src-aws-service", "pkt-dst-aws-service",
)  # fmt: skip
"""Versions 2 to 6 in the order of the default format."""
TRANSIT_GATEWAY_INTERVAL_S = 60
FIELD = re.compile(r"\$\{([^}]*)\}")
INTERVALS_S = (60, 600)
TRAFFIC_TYPES = ("ACCEPT", "REJECT", "ALL")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLog:
    """The flow log of `resource_id`: a network interface, a subnet or a VPC; or a transit gateway or one of its attachments, whose interval is always 60 seconds, and which knows no traffic type.

    `max_aggregation_interval` is 60 or 600 seconds; the lab's `time_scale` divides it. `log_format` is AWS's (``${version} ${srcaddr} …``), empty for the default: 14 fields, or all of a transit gateway's.
    """

    id: str
    resource_id: str
    traffic_type: str = "ALL"
    max_aggregation_interval: int = 600
    log_format: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a VPC's record, in order."""
        return tuple(FIELD.findall(self.log_format)) if self.log_format else VERSION_2

    @property
    def transit_gateway_fields(self) -> tuple[str, ...]:
        """The fields of a transit gateway's record, in order."""
        return self.fields if self.log_format else TRANSIT_GATEWAY_FIELDS

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the log by itself."""
        found = [*id_faults(self.id), *choice_faults(self.id, "traffic_type", self.traffic_type, TRAFFIC_TYPES)]
        if self.max_aggregation_interval not in INTERVALS_S:
            found.append(Fault(resource=self.id, problem=f"max_aggregation_interval {self.max_aggregation_interval} is not one of the allowed values", remedy="use 60 or 600 (seconds)"))
        if self.log_format and not self.fields:
            found.append(Fault(resource=self.id, problem="log_format names no field", remedy="write it as ${version} ${srcaddr} ${dstaddr}, or leave it out for the default"))
        known = (*FIELDS, *TRANSIT_GATEWAY_FIELDS)
        found += [Fault(resource=self.id, problem=f"log_format names no field ${{{field}}} of versions 2 to 5", remedy=did_you_mean(field, FIELDS)) for field in self.fields if field not in known]
        return tuple(found)
