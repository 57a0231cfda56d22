"""Flow logs and traffic mirroring as they are written: fields, faults, and that they cost nothing where there are none."""

import json

from testbed.compile import compile_plan
from testbed.model import (
    Direction,
    FlowLog,
    Instance,
    Subnet,
    Topology,
    TrafficMirrorFilter,
    TrafficMirrorFilterRule,
    TrafficMirrorSession,
    TrafficMirrorTarget,
    TransitGateway,
    TransitGatewayVpcAttachment,
    Vpc,
)
from testbed.model.errors import ModelError
from testbed.resolve import resolve

BASE = (
    Vpc(id="vpc-l", region="eu-west-1", cidr_block="10.0.0.0/16"),
    Subnet(id="subnet-l", vpc_id="vpc-l", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
    Instance(id="i-l", subnet_id="subnet-l"),
    Instance(id="i-m", subnet_id="subnet-l"),
)


def plan(*more):
    return compile_plan(resolve(Topology(name="logs", resources=(*BASE, *more))))


def faults(*more) -> list[str]:
    try:
        resolve(Topology(name="logs", resources=(*BASE, *more)))
    except ModelError as error:
        return [fault.problem for fault in error.faults]
    return []


def test_the_default_format_has_awss_fourteen_fields():
    log = FlowLog(id="fl", resource_id="vpc-l")
    assert len(log.fields) == 14 and log.fields[0] == "version" and log.fields[-1] == "log-status"
    assert FlowLog(id="fl", resource_id="vpc-l", log_format="${pkt-srcaddr} ${tcp-flags}").fields == ("pkt-srcaddr", "tcp-flags")


def test_faults_of_flow_logs():
    assert faults(FlowLog(id="fl", resource_id="vpc-x")) == ["resource_id 'vpc-x' is no network interface, subnet or VPC"]
    assert len(faults(FlowLog(id="fl", resource_id="eni-i-l", traffic_type="SOME", max_aggregation_interval=61, log_format="${srcadr}"))) == 3
    assert faults(FlowLog(id="fl", resource_id="eni-i-l", log_format="srcaddr")) == ["log_format names no field"]


def test_without_a_log_there_are_neither_counters_nor_a_daemon():
    assert "flow_log" not in repr(plan())
    assert [service.kind for service in plan(FlowLog(id="fl", resource_id="subnet-l")).services if service.kind == "flow_log"] == ["flow_log"]


def test_a_log_concerns_the_interfaces_of_what_it_names():
    def logged(resource: str) -> list[str]:
        (service,) = (service for service in plan(FlowLog(id="fl", resource_id=resource)).services if service.kind == "flow_log")
        return [interface["interface_id"] for interface in json.loads(service.config)["interfaces"]]

    assert logged("eni-i-l") == ["eni-i-l"]
    assert logged("subnet-l") == logged("vpc-l") == ["eni-i-l", "eni-i-m"]


def test_faults_of_traffic_mirroring():
    rule = TrafficMirrorFilterRule(rule_number=1, traffic_direction=Direction.INBOUND)
    found = faults(
        TrafficMirrorTarget(id="tmt", network_interface_id="eni-i-l"),
        TrafficMirrorTarget(id="tmt-lost", network_interface_id="eni-x"),
        TrafficMirrorFilter(id="tmf", rules=(rule, rule)),
        TrafficMirrorSession(id="tms", network_interface_id="eni-i-l", traffic_mirror_target_id="tmt", traffic_mirror_filter_id="tmf"),
        TrafficMirrorSession(id="tms-2", network_interface_id="eni-i-l", traffic_mirror_target_id="tmt-none", traffic_mirror_filter_id="tmf-none", packet_length=9000),
    )
    assert sorted(found) == sorted((
        "network_interface_id 'eni-x' is not known",
        "inbound rule number used twice",
        "the source is its own target",
        "session_number 1 of eni-i-l is tms's already",
        "traffic_mirror_target_id 'tmt-none' is not known",
        "traffic_mirror_filter_id 'tmf-none' is not known",
        "packet_length 9000 is out of bounds",
    ))


def hub_faults(*logs) -> list[str]:
    resources = (*BASE, TransitGateway(id="tgw", region="eu-west-1"), TransitGatewayVpcAttachment(id="attach", transit_gateway_id="tgw", vpc_id="vpc-l", subnet_ids=("subnet-l",)), *logs)
    try:
        resolve(Topology(name="logs", resources=resources))
    except ModelError as error:
        return [fault.problem for fault in error.faults]
    return []


def test_a_transit_gateways_default_format_has_all_its_fields():
    log = FlowLog(id="fl", resource_id="tgw", max_aggregation_interval=60)
    assert (len(log.transit_gateway_fields), log.transit_gateway_fields[:4]) == (36, ("version", "resource-type", "account-id", "tgw-id"))
    assert hub_faults(log, FlowLog(id="fl-2", resource_id="attach", max_aggregation_interval=60)) == []


def test_faults_of_transit_gateway_flow_logs():
    assert hub_faults(FlowLog(id="fl", resource_id="tgw")) == ["max_aggregation_interval 600 for a transit gateway"]
    assert hub_faults(FlowLog(id="fl", resource_id="attach", max_aggregation_interval=60, traffic_type="REJECT")) == ["traffic_type REJECT for a transit gateway, which accepts and rejects nothing"]
    assert hub_faults(FlowLog(id="fl", resource_id="tgw", max_aggregation_interval=60, log_format="${action}")) == ["log_format: a transit gateway's log has no field ${action}"]
    assert hub_faults(FlowLog(id="fl", resource_id="vpc-l", log_format="${tgw-id}")) == ["log_format: a VPC's log has no field ${tgw-id}"]
    assert hub_faults(FlowLog(id="fl", resource_id="tgw-x")) == ["resource_id 'tgw-x' is no network interface, subnet or VPC, and no transit gateway or attachment"]


def test_a_transit_gateway_without_a_log_counts_nothing():
    resources = (*BASE, TransitGateway(id="tgw", region="eu-west-1"))
    assert "flow_log" not in str(compile_plan(resolve(Topology(name="logs", resources=resources))).node("tgw").ruleset)
