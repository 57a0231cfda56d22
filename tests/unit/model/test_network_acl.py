"""What a network ACL does with single packets."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.model import Direction, NetworkAcl, NetworkAclEntry, Packet, PortRange, Protocol, Verdict

ANYWHERE = IPv4Network("0.0.0.0/0")
CLIENT, SERVER = IPv4Address("203.0.113.7"), IPv4Address("10.0.1.10")
REQUEST = Packet(source=CLIENT, destination=SERVER, protocol=Protocol.TCP, source_port=40000, destination_port=443)
REPLY = Packet(source=SERVER, destination=CLIENT, protocol=Protocol.TCP, source_port=443, destination_port=40000)
PING = Packet(source=CLIENT, destination=SERVER, protocol=Protocol.ICMP, icmp_type=8, icmp_code=0)


def https_in(number: int, action: Verdict, block: IPv4Network = ANYWHERE) -> NetworkAclEntry:
    ports = PortRange(first=443, last=443)
    return NetworkAclEntry(rule_number=number, direction=Direction.INBOUND, rule_action=action, cidr_block=block, protocol=Protocol.TCP, port_range=ports)


def acl(*entries: NetworkAclEntry) -> NetworkAcl:
    return NetworkAcl(id="acl-web", vpc_id="vpc", entries=entries)


def test_a_custom_acl_denies_everything_until_a_rule_is_added():
    decision = acl().evaluate(REQUEST, Direction.INBOUND)
    assert (decision.verdict, decision.origin) == (Verdict.DENY, "acl-web#*")


def test_the_lowest_number_decides_whatever_the_order_of_writing():
    decision = acl(https_in(200, Verdict.ALLOW), https_in(100, Verdict.DENY, IPv4Network("203.0.113.0/24"))).evaluate(REQUEST, Direction.INBOUND)
    assert (decision.verdict, decision.origin) == (Verdict.DENY, "acl-web#100")


def test_an_admitted_request_does_not_admit_its_reply():
    web = acl(https_in(100, Verdict.ALLOW))
    assert web.evaluate(REQUEST, Direction.INBOUND).verdict is Verdict.ALLOW
    assert web.evaluate(REPLY, Direction.OUTBOUND).verdict is Verdict.DENY


def test_a_rule_of_one_direction_says_nothing_about_the_other():
    assert acl(https_in(100, Verdict.ALLOW)).evaluate(REQUEST, Direction.OUTBOUND).origin == "acl-web#*"


@pytest.mark.parametrize(("icmp_type", "code", "expected"), [(None, None, Verdict.ALLOW), (8, None, Verdict.ALLOW), (8, 0, Verdict.ALLOW), (0, None, Verdict.DENY), (8, 1, Verdict.DENY)])
def test_an_icmp_rule_goes_by_type_and_code(icmp_type, code, expected):
    entry = NetworkAclEntry(
        rule_number=1, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE, protocol=Protocol.ICMP, icmp_type=icmp_type, icmp_code=code
    )
    assert acl(entry).evaluate(PING, Direction.INBOUND).verdict is expected
