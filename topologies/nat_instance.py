"""What a NAT gateway does by itself, done by an instance; and appliances in the middle, which see a flow twice.

    server (London) ── internet ── igw ── public    nat-box    masquerades, no source/destination check, sg-nat
                                          private   app, other 0/0 -> nat-box
                                          inspected tester     10.0.3.0/24 -> first
                                          inner-1   first      10.0.3.0/24 -> second   forwards, no source/destination check, sg-first
                                          inner-2   second     10.0.2.0/24 -> first    forwards, no source/destination check, sg-second
                                          services  target     10.0.2.0/24 -> second

From tester to target a packet crosses the VPC three times, through `first` and `second`, and the reply likewise: each of them judges what enters and what
leaves it by its own groups. sg-first lets HTTP, SSH and ping in, sg-second only HTTP and ping.

Try: ``testbed up nat_instance``, ``testbed exec app -- ping server``, ``testbed capture nat-box``; then switch its check on, or its forwarding off.
"""

from testbed.mn import mininet_topos
from testbed.model import *

ANYWHERE = "0.0.0.0/0"
EVERYTHING = SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE)
SSH, HTTP = 22, 80


def nat_instance() -> Topology:
    """One VPC with a NAT instance and two appliances, and a server on the internet."""
    region, vpc = "eu-west-1", "vpc-demo"

    def subnet(name: str, number: int) -> Subnet:
        return Subnet(id=name, vpc_id=vpc, cidr_block=f"10.0.{number}.0/24", availability_zone="eu-west-1a")

    def table(name: str, destination: str, **target: str) -> RouteTable:
        return RouteTable(id=f"rtb-{name}", vpc_id=vpc, associations=(name,), routes=(Route(destination_cidr_block=destination, **target),))

    def group(name: str, *ingress: SecurityGroupRule) -> SecurityGroup:
        return SecurityGroup(id=name, vpc_id=vpc, security_group_ingress=ingress)

    def from_block(protocol: str, port: int | None, block: str) -> SecurityGroupRule:
        return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port, cidr_ip=block)

    network = (
        Internet(),
        User(id="server", city="London"),
        Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-demo", vpc_id=vpc),
        subnet("public", 0),
        subnet("private", 1),
        subnet("inspected", 2),
        subnet("services", 3),
        subnet("inner-1", 4),
        subnet("inner-2", 5),
        table("public", ANYWHERE, gateway_id="igw-demo"),
        table("private", ANYWHERE, instance_id="nat-box"),
        table("inspected", "10.0.3.0/24", instance_id="first"),
        table("inner-1", "10.0.3.0/24", instance_id="second"),
        table("inner-2", "10.0.2.0/24", instance_id="first"),
        table("services", "10.0.2.0/24", instance_id="second"),
    )

    groups = (
        group("sg-open", EVERYTHING),
        group("sg-nat", from_block("tcp", HTTP, "10.0.1.0/24"), from_block("icmp", -1, "10.0.1.0/24")),
        group("sg-first", *(from_block("tcp", port, "10.0.2.0/24") for port in (HTTP, SSH)), from_block("icmp", -1, "10.0.2.0/24")),
        group("sg-second", from_block("tcp", HTTP, "10.0.2.0/24"), from_block("icmp", -1, "10.0.2.0/24")),
        group("sg-target", from_block("-1", None, "10.0.2.0/24")),
        group("sg-tester", from_block("-1", None, "10.0.3.0/24")),
    )

    hosts = (
        ElasticIp(id="eip-nat", region=region, instance_id="nat-box"),
        Instance(id="nat-box", subnet_id="public", security_group_ids=("sg-nat",), source_dest_check=False, user_data=IpForwarding(masquerade=True)),
        Instance(id="app", subnet_id="private", security_group_ids=("sg-open",)),
        Instance(id="other", subnet_id="private", security_group_ids=("sg-open",)),
        Instance(id="tester", subnet_id="inspected", security_group_ids=("sg-tester",)),
        Instance(id="target", subnet_id="services", security_group_ids=("sg-target",)),
        Instance(id="first", subnet_id="inner-1", security_group_ids=("sg-first",), source_dest_check=False, user_data=IpForwarding()),
        Instance(id="second", subnet_id="inner-2", security_group_ids=("sg-second",), source_dest_check=False, user_data=IpForwarding()),
    )

    return Topology(name="nat-instance", time_scale=60.0, resources=network + groups + hosts)


topos = mininet_topos(nat_instance)
