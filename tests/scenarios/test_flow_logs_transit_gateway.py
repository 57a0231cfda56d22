"""Flow logs of a transit gateway and of its attachments: both ends of what crosses, and why what is lost is lost."""

from dataclasses import replace

import pytest

from testbed.model import FlowLog
from testbed.model.flow_log import TRANSIT_GATEWAY_FIELDS
from testbed.observe.probe import Answer
from tests.scenarios.configured_state import configured_state, differences
from topologies.tgw_hub import tgw_hub

TIME_SCALE = 120.0
"""An interval of 60 s takes half a second."""
SOON_S = 20.0
SILENCE_S = 0.3
HTTP = 80
LOST = tuple(f"packets-lost-{why}" for why in ("no-route", "blackhole", "mtu-exceeded", "ttl-expired"))


def logged_hub():
    topology = tgw_hub()
    logs = (
        FlowLog(id="fl-hub", resource_id="tgw-hub", max_aggregation_interval=60),
        FlowLog(id="fl-b", resource_id="attach-b", max_aggregation_interval=60, log_format="${resource-type} ${tgw-attachment-id} ${srcaddr} ${flow-direction}"),
    )
    return replace(topology, name="logged_hub", time_scale=TIME_SCALE, resources=(*topology.resources, *logs))


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(logged_hub)]


def test_what_crosses_is_ingress_at_one_attachment_and_egress_at_the_other(lab):
    reader = lab.flow_logs("tgw-hub")
    assert lab["web-a"].tcp("tools", HTTP).answer is Answer.REFUSED
    told = reader.wait_for(4, SOON_S, protocol="6")
    records = [record for record in told if record["dstport"] == "80"]
    assert {(r["tgw-attachment-id"], r["tgw-pair-attachment-id"], r["flow-direction"]) for r in records} == {("attach-a", "attach-shared", "ingress"), ("attach-shared", "attach-a", "egress")}
    for record in records:
        assert tuple(record.values) == TRANSIT_GATEWAY_FIELDS and len(record.line.split()) == 36
        assert (record["version"], record["resource-type"], record["tgw-id"], record["region"], record["type"], record["log-status"]) == ("6", "TransitGateway", "tgw-hub", "eu-central-1", "IPv4", "OK")
        assert (record["srcaddr"], record["dstaddr"], record["protocol"], record["packets"], record["tcp-flags"]) == (str(lab["web-a"].address), str(lab["tools"].address), "6", "1", "2")
        assert (record["tgw-src-vpc-id"], record["tgw-dst-vpc-id"], record["tgw-src-subnet-id"], record["tgw-dst-subnet-id"]) == ("vpc-spoke-a", "vpc-shared", "a-tgw-a", "shared-tgw-a")
        assert (record["tgw-src-az-id"], record["tgw-dst-az-id"], record["tgw-src-eni"], record["tgw-dst-vpc-account-id"]) == ("euc1-az1", "euc1-az1", "eni-attach-a-a", "111122223333")
        assert {record[lost] for lost in LOST} == {"0"}
    assert {(r["tgw-attachment-id"], r["flow-direction"], r["tcp-flags"]) for r in told if r["srcport"] == "80"} == {("attach-shared", "ingress", "4"), ("attach-a", "egress", "4")}


def test_what_meets_a_blackhole_or_no_route_is_lost_with_its_reason(lab):
    reader = lab.flow_logs("attach-a")
    assert lab["web-a"].ping("web-b", timeout_s=SILENCE_S).answer is Answer.SILENT
    (record,) = reader.wait_for(1, SOON_S, dstaddr=str(lab["web-b"].address), protocol="1")
    assert (record["packets"], record["tgw-pair-attachment-id"], record["tgw-dst-vpc-id"], [record[lost] for lost in LOST]) == ("0", "-", "-", ["0", "1", "0", "0"])
    reader = lab.flow_logs("attach-shared")
    assert lab["tools"].ping("10.77.0.1", timeout_s=SILENCE_S).answer is Answer.SILENT
    (record,) = reader.wait_for(1, SOON_S, dstaddr="10.77.0.1")
    assert [record[lost] for lost in LOST] == ["1", "0", "0", "0"]


def test_an_attachments_own_log_has_its_format_and_nothing_of_others(lab):
    reader = lab.flow_logs("attach-b")
    assert lab["web-b"].ping("files").answer is Answer.ANSWERED
    found = [record for record in reader.wait_for(2, SOON_S, tgw_attachment_id="attach-b") if "action" not in record.values and len(record.values) == 4]
    assert found and {record["resource-type"] for record in found} == {"TransitGatewayAttachment"}
    quiet = lab.flow_logs("attach-b").wait_for(1, SOON_S, srcaddr="-")
    assert {len(record.values) for record in quiet} <= {4}, "an interval without packets is a line of its own"


def test_logs_can_be_added_and_taken_away_and_leave_nothing(lab):
    with_logs, before = lab.topology, configured_state(lab)
    lab.change(replace(with_logs, resources=tuple(each for each in with_logs.resources if not isinstance(each, FlowLog))))
    assert "transit_gateway_flow_log" not in {service.kind for service in lab.plan.services}
    assert lab["web-a"].ping("tools").answer is Answer.ANSWERED
    lab.change(with_logs)
    assert differences(before, configured_state(lab)) == []
    reader = lab.flow_logs("tgw-hub")
    assert lab["web-a"].ping("tools").answer is Answer.ANSWERED
    assert reader.wait_for(4, SOON_S, protocol="1")
