"""Faults of flow logs across resources: whether there is anything to log."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.flow_log import FIELDS, TRANSIT_GATEWAY_FIELDS, TRANSIT_GATEWAY_INTERVAL_S, FlowLog
from testbed.model.subnet import Subnet
from testbed.model.transit_gateway import TransitGateway
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References
from testbed.resolve.transit_gateways import attached


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Logs of what cannot be logged, and of transit gateways with what only VPCs' logs have, or the other way round."""
    topology = references.topology
    known = {vpc.id for vpc in topology.of(Vpc)} | {subnet.id for subnet in topology.of(Subnet)} | {interface.id for interface in interfaces}
    hubs = {gateway.id for gateway in topology.of(TransitGateway)} | {attachment for _, attachment, _ in attached(references)}
    for log in topology.of(FlowLog):
        if log.resource_id in hubs:
            yield from _transit_gateway_faults(log)
        elif log.resource_id not in known:
            problem = f"resource_id {log.resource_id!r} is no network interface, subnet or VPC, and no transit gateway or attachment" if hubs else f"resource_id {log.resource_id!r} is no network interface, subnet or VPC"
            yield Fault(resource=log.id, problem=problem, remedy=did_you_mean(log.resource_id, known | hubs))
        else:
            yield from _field_faults(log, FIELDS, "a VPC's log")


def _transit_gateway_faults(log: FlowLog) -> Iterator[Fault]:
    if log.max_aggregation_interval != TRANSIT_GATEWAY_INTERVAL_S:
        yield Fault(resource=log.id, problem=f"max_aggregation_interval {log.max_aggregation_interval} for a transit gateway", remedy=f"use {TRANSIT_GATEWAY_INTERVAL_S}, the only one for transit gateways")
    if log.traffic_type != "ALL":
        yield Fault(resource=log.id, problem=f"traffic_type {log.traffic_type} for a transit gateway, which accepts and rejects nothing", remedy="leave traffic_type out")
    yield from _field_faults(log, TRANSIT_GATEWAY_FIELDS, "a transit gateway's log")


def _field_faults(log: FlowLog, allowed: tuple[str, ...], whose: str) -> Iterator[Fault]:
    for field in log.fields if log.log_format else ():
        if field in (*FIELDS, *TRANSIT_GATEWAY_FIELDS) and field not in allowed:
            yield Fault(resource=log.id, problem=f"log_format: {whose} has no field ${{{field}}}", remedy=did_you_mean(field, allowed))
