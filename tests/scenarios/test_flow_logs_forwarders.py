"""Flow logs of interfaces that forward for others, whose groups are asked in namespaces of their own; of a gateway endpoint's traffic, and of peers."""

from dataclasses import replace

import pytest

from testbed.model import FlowLog, Instance, Route, RouteTable, Subnet, Topology, Vpc, VpcEndpoint, VpcPeeringConnection
from testbed.observe.probe import Answer
from topologies.nat_instance import nat_instance

SOON_S = 4.0
SILENCE_S = 0.25
SSH, HTTP, HTTPS = 22, 80, 443
FIELDS = "${interface-id} ${pkt-srcaddr} ${pkt-dstaddr} ${srcport} ${dstport} ${action} ${flow-direction} ${traffic-path} ${pkt-src-aws-service} ${pkt-dst-aws-service}"


def logged() -> Topology:
    """The NAT instance's VPC with a log of everything, a gateway endpoint and a peer."""
    topology = nat_instance()
    to_peer = Route(destination_cidr_block="10.1.0.0/16", vpc_peering_connection_id="pcx-demo")
    routed = tuple(replace(r, routes=(*r.routes, to_peer)) if isinstance(r, RouteTable) and r.id == "rtb-private" else r for r in topology.resources)
    added = (
        FlowLog(id="fl-all", resource_id="vpc-demo", max_aggregation_interval=60, log_format=FIELDS),
        VpcEndpoint(id="vpce-s3", vpc_id="vpc-demo", service_name="com.amazonaws.eu-west-1.s3", route_table_ids=("rtb-private",)),
        Vpc(id="vpc-peer", region="eu-west-1", cidr_block="10.1.0.0/16"),
        Subnet(id="peer", vpc_id="vpc-peer", cidr_block="10.1.1.0/24", availability_zone="eu-west-1a"),
        VpcPeeringConnection(id="pcx-demo", vpc_id="vpc-demo", peer_vpc_id="vpc-peer"),
        Instance(id="peer-host", subnet_id="peer"),
    )
    return replace(topology, name="logged-forwarders", resources=routed + added)


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(logged)]


def of(records, *fields):
    return {tuple(record[field] for field in fields) for record in records}


def test_what_the_groups_of_a_nat_instance_refuse_is_a_reject_at_its_interface(lab):
    reader = lab.flow_logs("vpc-demo")
    assert lab["app"].tcp("server", SSH, timeout_s=SILENCE_S).answer is Answer.SILENT
    found = of(reader.wait_for(2, SOON_S, dstport="22"), "interface-id", "action", "flow-direction")
    assert found == {("eni-app", "ACCEPT", "egress"), ("eni-nat-box", "REJECT", "ingress")}


def test_what_a_nat_instance_passes_on_is_accepted_twice_with_its_address_outside(lab):
    reader = lab.flow_logs("eni-nat-box")
    assert lab["app"].tcp("server", HTTP, timeout_s=1.0).passed
    app, box, server = (str(lab[name].address) for name in ("app", "nat-box", "server"))
    found = of(reader.wait_for(2, SOON_S, dstport="80"), "pkt-srcaddr", "pkt-dstaddr", "action", "flow-direction", "traffic-path")
    assert found == {(app, server, "ACCEPT", "ingress", "-"), (box, server, "ACCEPT", "egress", "8")}


def test_the_second_of_two_appliances_rejects_what_the_first_has_accepted(lab):
    """sg-first lets SSH in, sg-second does not."""
    reader = lab.flow_logs("vpc-demo")
    assert lab["tester"].tcp("target", SSH, timeout_s=SILENCE_S).answer is Answer.SILENT
    found = of(reader.wait_for(4, SOON_S, dstport="22", pkt_dstaddr=str(lab["target"].address)), "interface-id", "action", "flow-direction")
    assert found == {
        ("eni-tester", "ACCEPT", "egress"), ("eni-first", "ACCEPT", "ingress"), ("eni-first", "ACCEPT", "egress"), ("eni-second", "REJECT", "ingress"),
    }  # fmt: skip


def test_traffic_by_a_gateway_endpoint_names_the_service_and_its_path(lab):
    reader = lab.flow_logs("eni-app")
    address = next(service.addresses[0] for region in lab.resolved.regions for service in region.aws_services if service.name == "s3")
    assert lab["app"].tcp(address, HTTPS).passed
    found = of(reader.wait_for(2, SOON_S, dstport="443"), "traffic-path", "pkt-src-aws-service", "pkt-dst-aws-service")
    assert found == {("7", "-", "S3")}
    assert of(reader.wait_for(1, SOON_S, srcport="443"), "traffic-path", "pkt-src-aws-service") <= {("-", "S3")}


def test_traffic_to_a_peer_has_path_four(lab):
    reader = lab.flow_logs("eni-app")
    lab["app"].tcp("peer-host", 8090, timeout_s=SILENCE_S)
    assert of(reader.wait_for(1, SOON_S, dstport="8090"), "action", "traffic-path") == {("ACCEPT", "4")}
