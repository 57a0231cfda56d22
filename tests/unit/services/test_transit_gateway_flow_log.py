"""From a transit gateway's counters to AWS's lines."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.flow_log.config import Service
from services.flow_log.counters import Count, Flow
from services.transit_gateway_flow_log.config import Config, Device, Log
from services.transit_gateway_flow_log.record import empty_line, line, records
from testbed.model.flow_log import TRANSIT_GATEWAY_FIELDS

HERE, THERE = IPv4Address("10.1.1.10"), IPv4Address("10.2.1.10")
NEAR = Device(name="a-near-a", attachment="near", vpc_id="vpc-near", subnet_id="near-a", interface_id="eni-near-a", az_id="euc1-az1", blackholes=(IPv4Network("10.66.0.0/16"),))
FAR = Device(name="t-vpn-1", attachment="vpn")
CONFIG = Config(
    account="111122223333", region="eu-central-1", transit_gateway="tgw", table="transit_gateway", interval_s=60, devices=(NEAR, FAR),
    logs=(Log(id="fl", attachment="", fields=TRANSIT_GATEWAY_FIELDS),), services=(Service(name="S3", network=IPv4Network("198.19.12.0/24")),),
)  # fmt: skip


def flow(device, destination=THERE, protocol=17):
    return Flow(device, protocol, HERE, IPv4Address(destination), 1000, 2000)


def values(record, *, whole=True):
    return dict(zip(TRANSIT_GATEWAY_FIELDS, line(TRANSIT_GATEWAY_FIELDS, record, CONFIG, 100, 160, whole=whole).split(), strict=True))


def test_a_flow_is_paired_with_its_other_end():
    found = records({("in_ok", "udp", flow("a-near-a")): Count(3, 300), ("out_ok", "udp", flow("t-vpn-1")): Count(3, 300)}, CONFIG)
    assert [(r.flow.device, r.direction, r.packets, r.pair) for r in found] == [("a-near-a", "ingress", 3, "t-vpn-1"), ("t-vpn-1", "egress", 3, "a-near-a")]
    near, far = map(values, found)
    for told in (near, far):
        assert (told["tgw-src-vpc-id"], told["tgw-dst-vpc-id"], told["tgw-src-eni"], told["tgw-dst-az-id"], told["bytes"]) == ("vpc-near", "-", "eni-near-a", "-", "300")
    assert (near["tgw-attachment-id"], near["tgw-pair-attachment-id"]) == (far["tgw-pair-attachment-id"], far["tgw-attachment-id"]) == ("near", "vpn")


@pytest.mark.parametrize(
    ("destination", "counted", "lost"),
    [
        ("10.2.1.10", {"in_no": 4, "noway_ok": 4}, (4, 0, 0, 0)),
        ("10.66.1.1", {"in_no": 4, "noway_ok": 4}, (0, 4, 0, 0)),
        ("10.2.1.10", {"in_no": 4}, (0, 0, 4, 0)),
        ("10.2.1.10", {"in_no": 4, "ttl_ok": 4}, (0, 0, 0, 4)),
        ("10.2.1.10", {"in_no": 3, "noway_ok": 4}, (4, 0, 0, 0)),
    ],
)
def test_what_is_lost_is_told_with_its_reason(destination, counted, lost):
    """The last row: a reading between two counters; nothing becomes negative."""
    (record,) = records({(place, "udp", flow("a-near-a", destination)): Count(packets, 100) for place, packets in counted.items()}, CONFIG)
    assert (record.packets, record.pair, (record.no_route, record.blackhole, record.mtu_exceeded, record.ttl_expired)) == (0, None, lost)


def test_flags_of_an_interval_are_joined():
    (record,) = records({("in_ok", kind, flow("a-near-a", protocol=6)): Count(1, 60) for kind in ("syn", "tcp", "fin")}, CONFIG)
    assert (record.tcp_flags, record.packets) == (3, 3)


def test_a_device_that_is_no_attachments_is_left_out():
    assert records({("in_ok", "udp", flow("lo")): Count(1, 60)}, CONFIG) == ()


def test_an_aws_service_is_named():
    (record,) = records({("in_ok", "udp", flow("a-near-a", "198.19.12.9")): Count(1, 60)}, CONFIG)
    assert (values(record)["pkt-src-aws-service"], values(record)["pkt-dst-aws-service"]) == ("-", "S3")


@pytest.mark.parametrize(("fields", "version"), [(("version", "srcaddr"), "2"), (("version", "tcp-flags"), "3"), (("version", "region"), "4"), (("version", "flow-direction"), "5"), (("version", "tgw-id", "srcaddr"), "6")])
def test_the_version_is_that_of_the_newest_field(fields, version):
    assert empty_line(fields, "", CONFIG, 100, 160, "NODATA").split()[0] == version


def test_an_interval_without_packets_says_so_and_whose():
    words = dict(zip(TRANSIT_GATEWAY_FIELDS, empty_line(TRANSIT_GATEWAY_FIELDS, "near", CONFIG, 100, 160, "NODATA").split(), strict=True))
    assert (words["resource-type"], words["tgw-attachment-id"], words["srcaddr"], words["log-status"]) == ("TransitGatewayAttachment", "near", "-", "NODATA")
