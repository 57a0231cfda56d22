"""Faults of security groups and network ACLs."""

from testbed.model import Direction, NetworkAcl, NetworkAclEntry, PortRange, Protocol, Quotas, SecurityGroup, SecurityGroupRule, Verdict
from testbed.resolve import resolve

from .small import small, told, topology

ALL_TCP = SecurityGroupRule(ip_protocol="tcp", cidr_ip="0.0.0.0/0")


def ingress(**fields: object) -> SecurityGroup:
    return SecurityGroup(id="sg-x", vpc_id="vpc-1", security_group_ingress=(SecurityGroupRule(**fields),))  # type: ignore[arg-type]


def entry(number: int, direction: Direction = Direction.INBOUND, **fields: object) -> NetworkAclEntry:
    return NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, cidr_block="0.0.0.0/0", **fields)  # type: ignore[arg-type]


def test_a_rule_without_far_side_is_told():
    assert told(ingress(ip_protocol="tcp")) == [("sg-x#ingress[0]", "names neither a CIDR block, a security group nor a prefix list")]


def test_a_rule_with_two_far_sides_is_told():
    assert told(ingress(ip_protocol="tcp", cidr_ip="0.0.0.0/0", security_group_id="sg-1")) == [("sg-x#ingress[0]", "names a CIDR block and a security group")]


def test_a_rule_with_an_unknown_protocol_is_told():
    assert told(ingress(ip_protocol="http", cidr_ip="0.0.0.0/0")) == [("sg-x#ingress[0]", "unknown protocol 'http'")]


def test_a_rule_with_half_a_port_range_is_told():
    assert told(ingress(ip_protocol="tcp", from_port=80, cidr_ip="0.0.0.0/0")) == [("sg-x#ingress[0]", "only one end of the port range is given")]


def test_a_rule_with_ports_out_of_order_is_told():
    assert told(ingress(ip_protocol="udp", from_port=90, to_port=80, cidr_ip="0.0.0.0/0")) == [("sg-x#ingress[0]", "port range 90-80 is out of order or bounds")]


def test_a_rule_with_an_icmp_code_without_type_is_told():
    assert told(ingress(ip_protocol="icmp", from_port=-1, to_port=0, cidr_ip="0.0.0.0/0")) == [("sg-x#ingress[0]", "an ICMP code without a type")]


def test_a_rule_with_a_block_that_is_none_is_told():
    assert told(ingress(ip_protocol="tcp", cidr_ip="10.0.0.0/40")) == [("sg-x#ingress[0]", "cidr_ip '10.0.0.0/40' is not an IPv4 CIDR block")]


def test_a_reference_to_another_vpcs_group_is_told():
    assert told(ingress(ip_protocol="tcp", security_group_id="sg-other")) == [("sg-x#ingress[0]", "security_group_id sg-other is a group of vpc-2, not of vpc-1")]


def test_an_interface_with_another_vpcs_group_is_told():
    assert told(small("web", security_group_ids=("sg-other",))) == [("web", "security group sg-other is of vpc-2, but the network interface is in vpc-1")]


def test_sixty_rules_in_a_direction_are_the_quota():
    assert resolve(topology(SecurityGroup(id="sg-x", vpc_id="vpc-1", security_group_ingress=(ALL_TCP,) * 60)))
    assert told(SecurityGroup(id="sg-x", vpc_id="vpc-1", security_group_ingress=(ALL_TCP,) * 61)) == [("sg-x", "61 ingress rules")]


def test_five_groups_on_an_interface_are_the_quota():
    groups = tuple(SecurityGroup(id=f"sg-{index}", vpc_id="vpc-1") for index in range(6))
    assert told(*groups, small("web", security_group_ids=tuple(group.id for group in groups))) == [("web", "6 security groups")]


def test_twenty_entries_in_a_direction_are_the_quota():
    assert told(small("acl-1", entries=tuple(entry(number) for number in range(1, 22)))) == [("acl-1", "21 inbound rules")]


def test_a_raised_quota_admits_more():
    entries = tuple(entry(number, direction) for number in range(1, 41) for direction in Direction)
    assert resolve(topology(small("acl-1", entries=entries), quotas=Quotas(entries_per_network_acl=40)))


def test_quotas_that_aws_does_not_grant_are_told():
    assert told(quotas=Quotas(rules_per_security_group=300)) == [("quotas", "rules per security group times security groups per interface is 1500")]
    assert told(quotas=Quotas(entries_per_network_acl=41)) == [("quotas", "entries_per_network_acl 41 is out of bounds")]


def test_two_entries_with_one_number_in_a_direction_are_told():
    assert told(small("acl-1", entries=(entry(100), entry(100), entry(100, Direction.OUTBOUND)))) == [("acl-1#100", "inbound rule number used 2 times")]


def test_an_entry_number_out_of_range_is_told():
    assert told(small("acl-1", entries=(entry(32767),))) == [("acl-1#32767", "rule number out of range")]


def test_an_entry_with_ports_but_without_tcp_or_udp_is_told():
    assert told(small("acl-1", entries=(entry(1, protocol=Protocol.ICMP, port_range=PortRange()),))) == [("acl-1#1", "a port range with protocol ICMP")]


def test_an_acl_associated_with_another_vpcs_subnet_is_told():
    assert told(NetworkAcl(id="acl-2", vpc_id="vpc-1", associations=("sub-other",))) == [("acl-2", "associated with sub-other, a subnet of vpc-2")]
