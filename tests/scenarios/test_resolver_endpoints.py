"""Names in both directions between a VPC and a network with DNS of its own (facts: edge and L7, 1.5); that network is a peered VPC here, a site behind a VPN in `test_on_premises_names`."""

from __future__ import annotations

import subprocess

import pytest

from testbed.model import (
    ConditionalForwarder,
    DhcpOptions,
    DnsServer,
    HostedZone,
    Instance,
    IpAddressRequest,
    RecordSet,
    ResolverEndpoint,
    ResolverRule,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    Vpc,
    VpcPeeringConnection,
)

REGION = "eu-west-1"
EVERYWHERE = "10.0.0.0/8"
INBOUND = ("10.1.1.53", "10.1.2.53")
OUTBOUND = ("10.1.1.54", "10.1.2.54")
OFFICE_DNS = "10.200.0.53"


def endpoints() -> Topology:
    """A VPC with both endpoints; an office with a DNS server and a PC."""
    to_peer = (Route(destination_cidr_block=EVERYWHERE, vpc_peering_connection_id="pcx"),)
    return Topology(
        name="endpoints",
        resources=(
            Vpc(id="cloud", region=REGION, cidr_block="10.1.0.0/16", enable_dns_hostnames=True),
            *(Subnet(id=f"cloud-{zone}", vpc_id="cloud", cidr_block=f"10.1.{number}.0/24", availability_zone=f"{REGION}{zone}") for number, zone in ((1, "a"), (2, "b"))),
            Vpc(id="office", region=REGION, cidr_block="10.200.0.0/24", dhcp_options_id="dopt"),
            Subnet(id="lan", vpc_id="office", cidr_block="10.200.0.0/24", availability_zone=f"{REGION}a"),
            DhcpOptions(id="dopt", domain_name_servers=(OFFICE_DNS,)),
            VpcPeeringConnection(id="pcx", vpc_id="cloud", peer_vpc_id="office"),
            RouteTable(id="rtb-cloud", vpc_id="cloud", main=True, routes=to_peer),
            RouteTable(id="rtb-office", vpc_id="office", main=True, routes=to_peer),
            SecurityGroup(
                id="sg-dns", vpc_id="cloud",
                security_group_ingress=tuple(SecurityGroupRule(ip_protocol=protocol, from_port=53, to_port=53, cidr_ip="10.200.0.0/24") for protocol in ("tcp", "udp")),
            ),
            SecurityGroup(id="sg-out", vpc_id="cloud"),
            SecurityGroup(id="sg-office", vpc_id="office", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=EVERYWHERE),)),
            Instance(id="web", subnet_id="cloud-a", private_ip_address="10.1.1.10", security_group_ids=("sg-out",)),
            Instance(id="dns-office", subnet_id="lan", private_ip_address=OFFICE_DNS, security_group_ids=("sg-office",)),
            Instance(id="pc", subnet_id="lan", private_ip_address="10.200.0.10", security_group_ids=("sg-office",)),
            HostedZone(
                id="zone-aws", name="aws.corp.example", vpcs=("cloud",),
                record_sets=(RecordSet(name="web.aws.corp.example", type="A", ttl=60, resource_records=("10.1.1.10",)),),
            ),
            ResolverEndpoint(
                id="rslvr-in", direction="INBOUND", security_group_ids=("sg-dns",),
                ip_addresses=tuple(IpAddressRequest(subnet_id=f"cloud-{zone}", ip=ip) for zone, ip in zip("ab", INBOUND, strict=True)),
            ),
            ResolverEndpoint(
                id="rslvr-out", direction="OUTBOUND", security_group_ids=("sg-out",),
                ip_addresses=tuple(IpAddressRequest(subnet_id=f"cloud-{zone}", ip=ip) for zone, ip in zip("ab", OUTBOUND, strict=True)),
            ),
            ResolverRule(id="rr-corp", rule_type="FORWARD", domain_name="corp.example", resolver_endpoint_id="rslvr-out", target_ips=(OFFICE_DNS,), associations=("cloud",)),
            DnsServer(
                id="corp-dns", host_id="dns-office", domain="corp.example",
                record_sets=(RecordSet(name="wiki.corp.example", type="A", ttl=60, resource_records=("10.200.0.80",)),),
                forwarders=(ConditionalForwarder(domain="aws.corp.example", targets=INBOUND),),
            ),
        ),
    )  # fmt: skip


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(endpoints)]


def dig(lab, node: str, name: str, *more: str) -> tuple[str, tuple[str, ...]]:
    """The answer's code, and its records' data."""
    words = lab.popen(node, ["dig", "+time=2", "+tries=1", *more, name], stdout=subprocess.PIPE, text=True).communicate(timeout=20)[0]
    code = words.split("status: ")[1].split(",")[0] if "status: " in words else "silence"
    answers = words.split("ANSWER SECTION:\n")[1].split("\n\n")[0].splitlines() if "ANSWER SECTION:" in words else []
    return code, tuple(line.split()[-1] for line in answers)


def test_an_instance_resolves_the_offices_names_through_the_outbound_endpoint(lab):
    with lab.capture("rslvr-out-1", "rslvr-out-2", filter="udp dst port 53") as capture:
        assert dig(lab, "web", "wiki.corp.example") == ("NOERROR", ("10.200.0.80",))
    asked = {str(packet["IP"].src) for packet in capture.packets}
    assert asked and asked <= set(OUTBOUND)


def test_the_office_resolves_a_private_zones_names_through_the_inbound_endpoint(lab):
    assert dig(lab, "pc", "web.aws.corp.example") == ("NOERROR", ("10.1.1.10",))


def test_the_longer_private_zone_beats_the_rule(lab):
    assert dig(lab, "web", "web.aws.corp.example") == ("NOERROR", ("10.1.1.10",))
    assert dig(lab, "web", "nobody.aws.corp.example")[0] == "NXDOMAIN"


def test_a_name_that_the_office_does_not_have_does_not_exist(lab):
    assert dig(lab, "web", "nobody.corp.example")[0] == "NXDOMAIN"


@pytest.mark.parametrize("address", INBOUND)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_each_inbound_address_answers_over_udp_and_tcp(lab, address, transport):
    assert dig(lab, "pc", "web.aws.corp.example", f"@{address}", transport) == ("NOERROR", ("10.1.1.10",))


def test_the_inbound_endpoints_group_decides_who_may_ask(lab):
    assert dig(lab, "web", "web.aws.corp.example", f"@{INBOUND[0]}")[0] == "silence"
