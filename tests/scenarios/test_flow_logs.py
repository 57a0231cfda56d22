"""Flow logs: what AWS would have written about packets that were really sent."""

import pytest

from testbed.model import FlowLog, SecurityGroup, SecurityGroupRule
from testbed.observe.probe import Answer
from tests.scenarios.small_vpc import VPC, small_vpc

TIME_SCALE = 120.0
"""An interval of 60 s takes half a second."""
SOON_S = 4.0
SILENCE_S = 0.2
EVERYTHING = "${version} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${action} ${tcp-flags} ${pkt-srcaddr} ${pkt-dstaddr} ${flow-direction} ${traffic-path} ${instance-id} ${az-id}"


def logged_vpc():
    return small_vpc(
        FlowLog(id="fl-app", resource_id="subnet-app", max_aggregation_interval=60),
        FlowLog(id="fl-all", resource_id=VPC, max_aggregation_interval=60, log_format=EVERYTHING),
        FlowLog(id="fl-rejects", resource_id="eni-app-2", traffic_type="REJECT", max_aggregation_interval=60, log_format="${dstaddr} ${dstport} ${action}"),
        name="logged", time_scale=TIME_SCALE,
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(logged_vpc)]


def test_a_ping_whose_reply_the_network_acl_refuses_is_an_accept_and_a_reject(lab):
    reader = lab.flow_logs("eni-app-1")
    assert lab["web-1"].ping("app-1", timeout_s=SILENCE_S).answer is Answer.SILENT
    web, app = str(lab["web-1"].address), str(lab["app-1"].address)
    found = {(r["srcaddr"], r["dstaddr"], r["action"]) for r in reader.wait_for(4, SOON_S, protocol="1")}
    assert found == {(web, app, "ACCEPT"), (app, web, "REJECT")}


def test_what_the_security_group_refuses_is_one_reject(lab):
    reader = lab.flow_logs("subnet-app")
    assert lab["web-1"].tcp("app-1", 22, timeout_s=SILENCE_S).answer is Answer.SILENT
    lines = [record for record in reader.wait_for(2, SOON_S, dstport="22") if "start" in record.values]
    assert [(record["srcaddr"], record["action"], record["log-status"]) for record in lines] == [(str(lab["web-1"].address), "REJECT", "OK")]
    assert len(lines[0].line.split()) == 14
    assert not reader.wait_for(1, 0, srcport="22")


def test_the_sender_logs_an_accept_for_what_is_refused_at_the_far_end(lab):
    reader = lab.flow_logs("eni-web-1")
    lab["web-1"].tcp("app-1", 23, timeout_s=SILENCE_S)
    (record,) = reader.wait_for(1, SOON_S, dstport="23")
    assert (record["action"], record["flow-direction"], record["traffic-path"], record["tcp-flags"]) == ("ACCEPT", "egress", "1", "2")
    assert (record["instance-id"], record["az-id"], record["version"]) == ("web-1", "euw1-az1", "5")


def test_a_connection_within_a_subnet_is_logged_by_both_ends_with_its_flags(lab):
    reader = lab.flow_logs(VPC)
    assert lab["out-1"].tcp("bare-1", 8080, timeout_s=SILENCE_S).answer is Answer.REFUSED
    there = reader.wait_for(2, SOON_S, dstport="8080")
    assert {(r["interface-id"], r["flow-direction"], r["action"], r["tcp-flags"]) for r in there} == {("eni-out-1", "egress", "ACCEPT", "2"), ("eni-bare-1", "ingress", "ACCEPT", "2")}


def test_trap_31_a_flow_log_proves_the_clients_address(lab):
    """Belief: srcaddr is who sent the packet.

    Truth: at a NAT gateway it is the gateway's own interface; who really sent it is in pkt-srcaddr, which the default format lacks (row 31).
    """
    there, back = lab.flow_logs("eni-nat-1"), lab.flow_logs("eni-nat-1")
    assert lab["web-1"].tcp("client", 8081, timeout_s=1.0).answer is Answer.REFUSED
    nat = next(str(interface.address) for interface in lab.resolved.interfaces if interface.id == "eni-nat-1")
    web, client = str(lab["web-1"].address), str(lab["client"].address)
    records = [*there.wait_for(2, SOON_S, dstport="8081"), *back.wait_for(2, SOON_S, srcport="8081")]
    found = {(r["flow-direction"], r["srcaddr"], r["dstaddr"], r["pkt-srcaddr"], r["pkt-dstaddr"]) for r in records}
    assert found == {
        ("ingress", web, nat, web, client),
        ("egress", nat, client, nat, client),
        ("ingress", client, nat, client, nat),
        ("egress", nat, web, client, web),
    }


def test_a_log_of_rejects_has_nothing_else_and_says_so(lab):
    reader = lab.flow_logs("eni-app-2")
    lab["web-1"].tcp("app-2", 80, timeout_s=SILENCE_S)
    lab["web-1"].tcp("app-2", 25, timeout_s=SILENCE_S)
    rejects = [record for record in reader.wait_for(2, SOON_S, dstport="25") if set(record.values) == {"dstaddr", "dstport", "action"}]
    assert [record["action"] for record in rejects] == ["REJECT"]


def test_an_interval_without_traffic_is_nodata(lab):
    assert lab.flow_logs("eni-app-2").wait_for(1, SOON_S, log_status="NODATA")


def test_amazon_dns_is_not_logged(lab):
    reader = lab.flow_logs("eni-web-1")
    lab["web-1"].udp(lab.resolved.vpcs[0].resolver, 53, timeout_s=SILENCE_S)
    lab["web-1"].tcp("app-1", 24, timeout_s=SILENCE_S)
    assert reader.wait_for(1, SOON_S, dstport="24")
    assert not reader.wait_for(1, 0, dstport="53")


def test_a_change_of_rules_goes_on_being_logged(lab):
    changed = small_vpc(
        *(r for r in lab.topology.resources if isinstance(r, FlowLog)), SecurityGroup(id="sg-new", vpc_id=VPC, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", cidr_ip="0.0.0.0/0"),)),
        name="logged", time_scale=TIME_SCALE,
    )
    lab.change(changed)
    reader = lab.flow_logs("eni-web-1")
    lab["web-1"].tcp("app-1", 26, timeout_s=SILENCE_S)
    assert reader.wait_for(1, SOON_S, dstport="26")
