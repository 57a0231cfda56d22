"""The oracle through a Gateway Load Balancer: named hops, appliances that cannot be reached, flows that it has not seen begin, sizes."""

from dataclasses import replace

from testbed.model import Protocol, Route, SecurityGroupRule
from testbed.oracle import Oracle, Outcome, Probe, Stage
from testbed.resolve import resolve
from topologies.gwlb_inspection import gwlb_inspection

BASE = gwlb_inspection()


def oracle(**changed):
    """The topology with fields of some resources changed, by id with underscores for hyphens."""
    fields = {name.replace("_", "-"): value for name, value in changed.items()}
    resolved = resolve(replace(BASE, resources=tuple(replace(resource, **fields.get(resource.id, {})) for resource in BASE.resources)))
    public = {interface.node: interface.public_address for interface in resolved.interfaces if interface.public_address is not None}

    def walk(source, destination, port=80, **how):
        return Oracle(resolved).walk(Probe(source=source, destination=public.get(destination, destination), protocol=Protocol.TCP, destination_port=port, **how))

    return walk


def test_both_directions_pass_the_appliance_of_the_applications_zone():
    walk = oracle()("client", "web-b")
    assert walk.outcome is Outcome.DELIVERED
    for path in (walk.request, walk.reply):
        assert [hop.origin for hop in path.hops if hop.stage in (Stage.VPC_ENDPOINT, Stage.LOAD_BALANCER)] == ["vpce-b", "gwlb, inspected by fw-b"]
        assert all(hop.translated is None for hop in path.hops if hop.stage is not Stage.INTERNET_GATEWAY)


def test_without_cross_zone_an_appliance_of_another_zone_does_not_help():
    here = oracle(tg_fw={"targets": ("fw-a",)})
    assert here("client", "web-a").outcome is Outcome.DELIVERED
    assert here("client", "web-b").origin == "gwlb: tg-fw has no target for eu-west-1b"
    assert oracle(tg_fw={"targets": ("fw-a",)}, gwlb={"load_balancing_cross_zone_enabled": True})("client", "web-b").outcome is Outcome.DELIVERED


def test_an_appliance_must_admit_geneve_and_the_health_check():
    def rule(protocol, port):
        return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port, cidr_ip="10.1.0.0/16")

    assert oracle(sg_fw={"security_group_ingress": (rule("tcp", 80),)})("client", "web-a").origin == "gwlb to fw-a: sg-fw#ingress no rule"
    unhealthy = oracle(sg_fw={"security_group_ingress": (rule("udp", 6081),)})
    assert unhealthy("client", "web-a").outcome is Outcome.DELIVERED, "with all appliances unhealthy any of them may get a flow"


def test_among_several_an_unhealthy_appliance_gets_nothing():
    two = {"targets": ("fw-a", "fw-b")}
    walk = oracle(tg_fw=two, gwlb={"load_balancing_cross_zone_enabled": True}, fw_a={"user_data": None})("client", "web-a")
    assert "gwlb, inspected by fw-b" in {hop.origin for hop in walk.request.hops}


def test_an_appliance_without_a_program_sends_nothing_back():
    assert oracle(fw_a={"user_data": None})("client", "web-a").origin == "gwlb to fw-a: nothing there sends packets back"


def test_what_an_appliance_sends_back_is_judged_by_its_groups_too():
    walk = oracle(sg_fw={"security_group_egress": ()})("client", "web-a")
    assert walk.origin == "gwlb to fw-a: sg-fw#egress no rule"


def test_a_tcp_reply_whose_request_it_has_not_seen_is_dropped_where_flows_are_5_tuples():
    seen = oracle(rtb_edge={"routes": ()})("client", "web-a")
    assert (seen.leg.value, seen.origin) == ("reply", "gwlb: has not seen the flow begin")
    sticky = {"stickiness_enabled": True, "stickiness_type": "source_ip_dest_ip"}
    assert oracle(rtb_edge={"routes": ()}, tg_fw=sticky)("client", "web-a").outcome is Outcome.DELIVERED


def test_over_8500_bytes_vanish():
    routes = (Route(destination_cidr_block="10.0.2.0/24", vpc_endpoint_id="vpce-a"),)
    back = (Route(destination_cidr_block="10.0.1.0/24", vpc_endpoint_id="vpce-b"),)
    inside = oracle(rtb_app_a={"routes": routes}, rtb_app_b={"routes": back}, tg_fw={"stickiness_enabled": True, "stickiness_type": "source_ip_dest_ip"})
    address = next(interface.address for interface in resolve(BASE).interfaces if interface.node == "web-b")
    assert inside("web-a", address, length_bytes=8500).outcome is Outcome.DELIVERED
    assert inside("web-a", address, length_bytes=8501).origin == "vpce-a: larger than 8500 bytes"


def test_an_endpoint_and_a_node_answer_nobody():
    address = {interface.node: interface.address for interface in resolve(BASE).interfaces}
    assert oracle()("web-a", address["vpce-a"]).origin == "vpce-a: nothing answers at its own address"
    assert oracle()("fw-a", address["gwlb-a"]).origin == "gwlb: speaks to its appliances only"
