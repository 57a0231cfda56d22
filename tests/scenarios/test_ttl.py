"""AWS's router is no hop: what crosses a VPC keeps its TTL, whatever that is (facts: section 1, secondary source)."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP

from testbed.model import Instance, SecurityGroup, SecurityGroupRule, Subnet, Topology, Vpc
from tests.scenarios.sending import send_raw

TTLS = (1, 2, 3, 7, 8, 31, 63, 64, 65, 127, 128, 191, 253, 254)


def two_hosts() -> Topology:
    """Two instances whose network the subnet fills."""
    return Topology(
        name="two_hosts",
        resources=(
            Vpc(id="vpc", region="eu-west-1", cidr_block="10.1.0.0/24"),
            Subnet(id="subnet", vpc_id="vpc", cidr_block="10.1.0.0/24", availability_zone="eu-west-1a"),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)),
            Instance(id="one", subnet_id="subnet", private_ip_address="10.1.0.10", security_group_ids=("sg",)),
            Instance(id="two", subnet_id="subnet", private_ip_address="10.1.0.20", security_group_ids=("sg",)),
        ),
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(two_hosts)]


def test_every_ttl_arrives_as_it_was_sent_with_a_good_checksum(lab):
    with lab.capture("two", filter="udp dst port 9") as capture:
        for ttl in TTLS:
            send_raw(lab, "one", IP(src="10.1.0.10", dst="10.1.0.20", ttl=ttl) / UDP(sport=7, dport=9) / b"hop")
        assert capture.wait_for(len(TTLS))
    assert tuple(packet["IP"].ttl for packet in capture.packets) == TTLS
    for packet in capture.packets:
        told = packet["IP"].chksum
        again = packet["IP"].copy()
        del again.chksum
        assert IP(bytes(again)).chksum == told
