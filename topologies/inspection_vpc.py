"""Inspection: spokes that meet, and reach the internet, only through a firewall in each Availability Zone.

       vpc-app   10.1.0.0/16 ── attach-app  ──┐            ┌── attach-inspection ── 10.9.0.0/16  vpc-inspection                 eu-west-1
         client (zone a)                      │  tgw-hub   │      inspection-tgw-a ─▶ fw-a  │ inspection-tgw-b ─▶ fw-b
       vpc-data  10.2.0.0/16 ── attach-data ──┘            │      (or an endpoint of AWS Network Firewall in their place)
         server (zone b)                                   └─     10.0.0.0/8 ─▶ tgw-hub

       tgw-rtb-spokes      associated: app, data      0.0.0.0/0 ─▶ attach-inspection
       tgw-rtb-inspected   associated: inspection     propagated: app, data

Each firewall knows only the flows whose beginning it has seen. A transit gateway keeps packets in the zone they come from: client's go by zone a, server's answers by zone b, where nobody
has seen the flow begin. Appliance mode on attach-inspection has the transit gateway choose a zone for the flow: both directions meet the same firewall.

``inspection_vpc`` has Linux firewalls (instances with source_dest_check off), and appliance mode; ``asymmetric`` is the same without it. ``network_firewall`` has AWS Network Firewall in their
place: stateless rules first, then Suricata. Its domain list allows example.com and what is below it, by HTTP's Host and by TLS's server name; HOME_NET names the spoke that it is about,
without which the list would only look at vpc-inspection itself.

Try: ``testbed up topologies/inspection_vpc.py:asymmetric``, ``testbed explain client server --port 80``, then ``testbed apply inspection_vpc`` and the same again.
     ``testbed up topologies/inspection_vpc.py:network_firewall``, ``testbed reach --port 80``, ``testbed explain client server --port 25``, ``testbed logs nfw-a-engine``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION = "eu-west-1"
ZONES = "ab"
LINUX, NETWORK_FIREWALL = "linux", "network-firewall"


def inspection_vpc(appliance_mode: bool = True, firewall: str = LINUX) -> Topology:
    """Two spokes behind an inspection VPC with a stateful firewall in each zone."""
    spokes = (*_spoke("app", 1, "client", "a"), *_spoke("data", 2, "server", "b"))
    hub = (
        TransitGateway(id="tgw-hub", region=REGION, default_route_table_association=False, default_route_table_propagation=False),
        TransitGatewayRouteTable(
            id="tgw-rtb-spokes",
            transit_gateway_id="tgw-hub",
            associations=("attach-app", "attach-data"),
            routes=(TransitGatewayRoute(destination_cidr_block="0.0.0.0/0", attachment_id="attach-inspection"),),
        ),
        TransitGatewayRouteTable(id="tgw-rtb-inspected", transit_gateway_id="tgw-hub", associations=("attach-inspection",), propagations=("attach-app", "attach-data")),
        TransitGatewayVpcAttachment(
            id="attach-inspection",
            transit_gateway_id="tgw-hub",
            vpc_id="vpc-inspection",
            subnet_ids=tuple(f"inspection-tgw-{zone}" for zone in ZONES),
            appliance_mode_support=appliance_mode,
        ),
    )
    inspection = (Vpc(id="vpc-inspection", region=REGION, cidr_block="10.9.0.0/16"), *(resource for number, zone in enumerate(ZONES) for resource in _zone(zone, number, firewall)))
    appliances = _linux() if firewall == LINUX else _network_firewall()
    return Topology(name="inspection_vpc", resources=(*hub, *spokes, *inspection, *appliances))


def asymmetric() -> Topology:
    """The same without appliance mode: requests by one firewall, answers by the other."""
    return inspection_vpc(appliance_mode=False)


def network_firewall(appliance_mode: bool = True) -> Topology:
    """The same with AWS Network Firewall."""
    return inspection_vpc(appliance_mode=appliance_mode, firewall=NETWORK_FIREWALL)


def _spoke(name: str, number: int, host: str, zone: str) -> tuple[Resource, ...]:
    """A VPC with one host; all that is not local goes to the transit gateway."""
    vpc, group = f"vpc-{name}", f"sg-{name}"
    return (
        Vpc(id=vpc, region=REGION, cidr_block=f"10.{number}.0.0/16"),
        Subnet(id=f"{name}-{zone}", vpc_id=vpc, cidr_block=f"10.{number}.1.0/24", availability_zone=f"{REGION}{zone}"),
        Subnet(id=f"{name}-tgw-{zone}", vpc_id=vpc, cidr_block=f"10.{number}.255.0/28", availability_zone=f"{REGION}{zone}"),
        RouteTable(id=f"rtb-{name}", vpc_id=vpc, associations=(f"{name}-{zone}",), routes=(Route(destination_cidr_block="0.0.0.0/0", transit_gateway_id="tgw-hub"),)),
        SecurityGroup(id=group, vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8"),)),
        Instance(id=host, subnet_id=f"{name}-{zone}", private_ip_address=f"10.{number}.1.10", security_group_ids=(group,)),
        TransitGatewayVpcAttachment(id=f"attach-{name}", transit_gateway_id="tgw-hub", vpc_id=vpc, subnet_ids=(f"{name}-tgw-{zone}",)),
    )


def _zone(zone: str, number: int, firewall: str) -> tuple[Resource, ...]:
    """From the transit gateway to the zone's firewall, and from there back to the transit gateway."""
    to_firewall = Route(destination_cidr_block="0.0.0.0/0", instance_id=f"fw-{zone}") if firewall == LINUX else Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id=f"vpce-nfw-{zone}")
    return (
        Subnet(id=f"inspection-tgw-{zone}", vpc_id="vpc-inspection", cidr_block=f"10.9.255.{16 * number}/28", availability_zone=f"{REGION}{zone}"),
        Subnet(id=f"inspection-fw-{zone}", vpc_id="vpc-inspection", cidr_block=f"10.9.{number}.0/24", availability_zone=f"{REGION}{zone}"),
        RouteTable(id=f"rtb-inspection-tgw-{zone}", vpc_id="vpc-inspection", associations=(f"inspection-tgw-{zone}",), routes=(to_firewall,)),
        RouteTable(id=f"rtb-inspection-fw-{zone}", vpc_id="vpc-inspection", associations=(f"inspection-fw-{zone}",), routes=(Route(destination_cidr_block="10.0.0.0/8", transit_gateway_id="tgw-hub"),)),
    )


def _linux() -> tuple[Resource, ...]:
    """A Linux firewall in each zone."""
    everything = (SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8"),)
    return (
        SecurityGroup(id="sg-fw", vpc_id="vpc-inspection", security_group_ingress=everything),
        *(Instance(id=f"fw-{zone}", subnet_id=f"inspection-fw-{zone}", security_group_ids=("sg-fw",), source_dest_check=False, user_data=StatefulFirewall(tcp_ports=(80, 443))) for zone in ZONES),
    )


def _network_firewall() -> tuple[Resource, ...]:
    """An endpoint in each zone, and one policy for both."""
    home = (("HOME_NET", ("10.1.0.0/16",)),)
    return (
        RuleGroup(
            id="rg-telnet",
            type="STATELESS",
            stateless_rules=(StatelessRule(priority=10, action="aws:drop", protocols=(Protocol.TCP,), destination_ports=(PortRange(first=23, last=23),)),),
        ),
        RuleGroup(
            id="rg-signatures",
            type="STATEFUL",
            rules_string='drop http $HOME_NET any -> any any (msg:"path traversal"; flow:to_server,established; http.uri.raw; content:"../"; sid:1; rev:1;)\n'
            'drop tcp $HOME_NET any -> any 25 (msg:"no mail from here"; sid:2; rev:1;)\n',
            ip_sets=home,
        ),
        RuleGroup(
            id="rg-domains",
            type="STATEFUL",
            rules_source_list=RulesSourceList(targets=(".example.com",), target_types=("HTTP_HOST", "TLS_SNI"), generated_rules_type="ALLOWLIST"),
            ip_sets=home,
        ),
        FirewallPolicy(
            id="policy",
            stateless_rule_group_references=(RuleGroupReference(resource_arn="rg-telnet", priority=1),),
            stateful_rule_group_references=(RuleGroupReference(resource_arn="rg-signatures"), RuleGroupReference(resource_arn="rg-domains")),
        ),
        NetworkFirewall(id="nfw", vpc_id="vpc-inspection", subnet_mappings=tuple(f"inspection-fw-{zone}" for zone in ZONES), firewall_policy_arn="policy"),
    )


topos = mininet_topos(inspection_vpc)
