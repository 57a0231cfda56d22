"""Names in both directions between an office and a VPC, through a Site-to-Site VPN; more of endpoints and rules in `test_resolver_endpoints`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model import (
    ConditionalForwarder,
    DnsServer,
    HostedZone,
    IpAddressRequest,
    OnPremisesHost,
    OnPremisesSite,
    RecordSet,
    ResolverEndpoint,
    ResolverRule,
    SecurityGroup,
    SecurityGroupRule,
    Topology,
    Vpc,
)
from tests.scenarios.test_resolver_endpoints import dig
from topologies.vpn_link import OFFICE, vpn_link

OFFICE_DNS = "192.168.10.53"
INBOUND, OUTBOUND = ("10.0.1.53", "10.0.1.54"), ("10.0.1.55", "10.0.1.56")


def office_names() -> Topology:
    """The office of `vpn_link` with a DNS server, the VPC with Resolver endpoints."""
    link = vpn_link()
    resources = tuple(
        replace(resource, hosts=(*resource.hosts, OnPremisesHost(id="dns-office", private_ip_address=OFFICE_DNS)))
        if isinstance(resource, OnPremisesSite)
        else replace(resource, enable_dns_hostnames=True)
        if isinstance(resource, Vpc)
        else resource
        for resource in link.resources
    )
    return replace(
        link,
        name="office_names",
        resources=(
            *resources,
            SecurityGroup(
                id="sg-dns", vpc_id="vpc",
                security_group_ingress=tuple(SecurityGroupRule(ip_protocol=protocol, from_port=53, to_port=53, cidr_ip=OFFICE) for protocol in ("tcp", "udp")),
            ),
            *(
                ResolverEndpoint(id=name, direction=direction, security_group_ids=("sg-dns",), ip_addresses=tuple(IpAddressRequest(subnet_id="private", ip=ip) for ip in addresses))
                for name, direction, addresses in (("rslvr-in", "INBOUND", INBOUND), ("rslvr-out", "OUTBOUND", OUTBOUND))
            ),
            ResolverRule(id="rr-corp", rule_type="FORWARD", domain_name="corp.example", resolver_endpoint_id="rslvr-out", target_ips=(OFFICE_DNS,), associations=("vpc",)),
            HostedZone(id="zone-aws", name="aws.corp.example", vpcs=("vpc",), record_sets=(RecordSet(name="web.aws.corp.example", type="A", ttl=60, resource_records=("10.0.1.10",)),)),
            DnsServer(
                id="corp-dns", host_id="dns-office", domain="corp.example",
                record_sets=(RecordSet(name="printer.corp.example", type="A", ttl=60, resource_records=("192.168.10.11",)),),
                forwarders=(ConditionalForwarder(domain="aws.corp.example", targets=INBOUND),),
            ),
        ),
    )  # fmt: skip


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(office_names)]


def test_an_instance_resolves_the_offices_names(lab):
    assert dig(lab, "web", "printer.corp.example") == ("NOERROR", ("192.168.10.11",))


def test_the_office_resolves_the_private_zones_names(lab):
    assert dig(lab, "pc", "web.aws.corp.example") == ("NOERROR", ("10.0.1.10",))


def test_the_questions_cross_the_internet_encrypted_only(lab):
    with lab.capture("city-london", filter="udp port 53") as plain, lab.capture("dns-office", filter="udp port 53") as inside:
        dig(lab, "web", "nobody.corp.example")
    assert not [packet for packet in plain.packets if "10.0.1." in str(packet["IP"].src)]
    assert inside.packets
