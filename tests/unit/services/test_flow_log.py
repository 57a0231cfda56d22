"""From counters to AWS's lines."""

from ipaddress import IPv4Address, IPv4Network

from services.flow_log.config import Config, Interface, Service, Way
from services.flow_log.counters import Count, Deltas, Flow
from services.flow_log.record import empty_line, line, records

CLIENT, SERVER = IPv4Address("10.0.1.10"), IPv4Address("10.0.2.20")
WAYS = tuple(Way(network=IPv4Network(network), path=path) for network, path in (("10.0.0.0/16", 1), ("10.1.0.0/16", 4), ("198.19.12.4/31", 7), ("0.0.0.0/0", 8)))
INTERFACE = Interface(device="e-a", interface_id="eni-a", subnet_id="subnet-a", instance_id="", address=SERVER, addresses=(SERVER,), az_id="euw1-az1", ways=WAYS, logs=())
CONFIG = Config(account="111122223333", region="eu-west-1", vpc_id="vpc-a", table="fabric", services=(Service(name="S3", network=IPv4Network("198.19.12.4/31")),), interfaces=(INTERFACE,))
DEFAULT = ("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action", "log-status")
REQUEST = Flow("e-a", 6, CLIENT, SERVER, 40000, 80)


def test_accepted_and_rejected_packets_of_a_flow_are_two_records():
    counted = {("in_no", "syn", REQUEST): Count(2, 120), ("in_ok", "syn", REQUEST): Count(1, 60)}
    assert {(r.action, r.packets, r.octets, r.direction) for r in records(counted)} == {("ACCEPT", 1, 60, "ingress"), ("REJECT", 2, 120, "ingress")}


def test_flags_of_an_interval_are_joined_and_plain_acknowledgements_add_none():
    (record,) = records({("in_ok", kind, REQUEST): Count(1, 60) for kind in ("syn", "tcp", "fin")})
    assert (record.tcp_flags, record.packets) == (3, 3)


def test_a_syn_ack_counts_eighteen():
    (record,) = records({("out_ok", "synack", Flow("e-a", 6, SERVER, CLIENT, 80, 40000)): Count(1, 60)})
    assert (record.tcp_flags, record.direction) == (18, "egress")


def test_the_default_line_is_awss():
    (record,) = records({("in_ok", "other", Flow("e-a", 1, CLIENT, SERVER)): Count(4, 336)})
    assert line(DEFAULT, record, INTERFACE, CONFIG, 1700000000, 1700000060) == "2 111122223333 eni-a 10.0.1.10 10.0.2.20 0 0 1 4 336 1700000000 1700000060 ACCEPT OK"


def test_an_interval_without_data_keeps_its_place():
    assert empty_line(DEFAULT, INTERFACE, CONFIG, 1, 61, "NODATA") == "2 111122223333 eni-a - - - - - - - 1 61 - NODATA"


def test_an_intermediate_interface_shows_its_own_address_and_the_packets_in_pkt():
    (record,) = records({("out_ok", "tcp", Flow("e-a", 6, IPv4Address("198.18.1.10"), CLIENT, 80, 40000)): Count(1, 52)})
    assert line(("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"), record, INTERFACE, CONFIG, 1, 2) == "10.0.2.20 10.0.1.10 198.18.1.10 10.0.1.10"


def test_traffic_path_is_told_of_outward_traffic_only():
    def path(direction: str, destination: str) -> str:
        (record,) = records({(f"{direction}_ok", "udp", Flow("e-a", 17, SERVER, IPv4Address(destination), 1, 2)): Count(1, 1)})
        return line(("traffic-path",), record, INTERFACE, CONFIG, 1, 2)

    assert [path("out", "10.0.9.9"), path("out", "10.1.9.9"), path("out", "198.18.0.1"), path("out", "198.19.12.5"), path("in", "10.0.2.20")] == ["1", "4", "8", "7", "-"]


def test_an_aws_service_is_named_at_its_end_of_the_flow():
    (record,) = records({("out_ok", "syn", Flow("e-a", 6, SERVER, IPv4Address("198.19.12.4"), 40000, 443)): Count(1, 60)})
    assert line(("pkt-src-aws-service", "pkt-dst-aws-service"), record, INTERFACE, CONFIG, 1, 2) == "- S3"


def test_the_version_is_the_one_of_the_newest_field():
    (record,) = records({("in_ok", "syn", REQUEST): Count(1, 60)})
    assert [line(("version", field), record, INTERFACE, CONFIG, 1, 2).split()[0] for field in ("srcaddr", "tcp-flags", "az-id", "traffic-path")] == ["2", "3", "4", "5"]


def test_a_counter_that_begins_anew_counts_from_zero():
    deltas = Deltas()
    key = ("in_ok", "syn", REQUEST)
    assert deltas.of({key: Count(5, 300)}) == {key: Count(5, 300)}
    assert deltas.of({key: Count(7, 420)}) == {key: Count(2, 120)}
    assert deltas.of({key: Count(1, 60)}) == {key: Count(1, 60)}
    assert deltas.of({key: Count(1, 60)}) == {}


def test_what_was_tried_and_has_not_passed_at_two_readings_was_rejected():
    deltas = Deltas()
    tried, passed, refused = (("in_try", "syn", REQUEST), ("in_ok", "syn", REQUEST), ("in_no", "syn", REQUEST))
    assert deltas.of({tried: Count(3, 180), passed: Count(1, 60)}) == {passed: Count(1, 60)}
    assert deltas.of({tried: Count(3, 180), passed: Count(1, 60)}) == {refused: Count(2, 120)}
    assert deltas.of({tried: Count(4, 240), passed: Count(1, 60)}) == {}
    assert deltas.of({tried: Count(4, 240), passed: Count(1, 60)}) == {refused: Count(1, 60)}


def test_a_packet_between_two_sets_and_an_element_left_out_of_a_reading_are_no_rejects():
    deltas = Deltas()
    tried, passed = ("in_try", "tcp", REQUEST), ("in_ok", "tcp", REQUEST)
    deltas.of({tried: Count(5, 300), passed: Count(5, 300)})
    assert deltas.of({tried: Count(9, 540)}) == {}
    assert deltas.of({tried: Count(9, 540), passed: Count(9, 540)}) == {passed: Count(4, 240)}
