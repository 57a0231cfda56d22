"""DHCP option sets, metadata options and the default VPC by themselves."""

import pytest

from testbed.model import DhcpOptions, Internet, MetadataOptions, Subnet, Topology, default_vpc
from testbed.model.dhcp_options import default_domain_name
from testbed.resolve import resolve


def problems(**fields):
    return [fault.problem for fault in DhcpOptions(id="dopt", **fields).faults()]


def test_amazons_dns_or_own_servers_and_four_at_most():
    assert problems() == []
    assert problems(domain_name_servers=("10.0.0.53", "10.0.0.54")) == []
    assert problems(domain_name_servers=("AmazonProvidedDNS", "10.0.0.53")) == ["AmazonProvidedDNS beside other name servers"]
    assert problems(ntp_servers=tuple(f"10.0.0.{n}" for n in range(5))) == ["5 ntp_servers"]
    assert problems(domain_name_servers=("dns.example.com",)) == ["domain_name_servers 'dns.example.com' is not an IPv4 address"]


def test_the_default_domain_is_the_regions():
    assert (default_domain_name("us-east-1"), default_domain_name("eu-west-1")) == ("ec2.internal", "eu-west-1.compute.internal")


@pytest.mark.parametrize(("fields", "problem"), [({"http_tokens": "yes"}, "http_tokens 'yes' is not one of the allowed values"), ({"http_put_response_hop_limit": 65}, "http_put_response_hop_limit 65 is out of bounds"), ({"http_endpoint": "off"}, "http_endpoint 'off' is not one of the allowed values")])
def test_metadata_options_have_bounds(fields, problem):
    assert [fault.problem for fault in MetadataOptions(**fields).faults("web")] == [problem]


def test_a_default_vpc_has_a_public_subnet_in_each_zone_and_a_way_out():
    resources = default_vpc("eu-west-1")
    subnets = [resource for resource in resources if isinstance(resource, Subnet)]
    assert [(subnet.id, str(subnet.cidr_block), subnet.availability_zone, subnet.map_public_ip_on_launch) for subnet in subnets] == [
        ("subnet-default-a", "172.31.0.0/20", "eu-west-1a", True),
        ("subnet-default-b", "172.31.16.0/20", "eu-west-1b", True),
        ("subnet-default-c", "172.31.32.0/20", "eu-west-1c", True),
    ]
    resolved = resolve(Topology(name="default", resources=(Internet(), *resources)))
    assert {subnet.route_table for subnet in resolved.subnets} == {"rtb-default"}
    assert {subnet.network_acl for subnet in resolved.subnets} == {"acl-default-vpc-default"}
    assert [group.id for group in resolved.security_groups] == ["sg-default-vpc-default"]
