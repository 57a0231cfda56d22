"""Faults of flow logs across resources: whether there is anything to log."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.flow_log import FlowLog
from testbed.model.subnet import Subnet
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Logs of what is no interface, subnet or VPC."""
    topology = references.topology
    known = {vpc.id for vpc in topology.of(Vpc)} | {subnet.id for subnet in topology.of(Subnet)} | {interface.id for interface in interfaces}
    for log in topology.of(FlowLog):
        if log.resource_id not in known:
            yield Fault(resource=log.id, problem=f"resource_id {log.resource_id!r} is no network interface, subnet or VPC", remedy=did_you_mean(log.resource_id, known))
