"""One VPC, three kinds of subnet, and what makes a subnet public: a route to the internet gateway and a public address, both.

                           ┌─ public-a    web (Elastic IP)   bare (no public address)   0/0 -> igw-main
    person (London) ─ igw ─┤  public-b    mirror (Elastic IP)                           0/0 -> igw-main
                           ├─ private-a   app                                           local only
                           └─ sealed-a    vault: its groups and its ACL deny all        local only

Things to see: a packet from `bare` reaches the internet gateway and dies there; `app` has no way out; the resolver, the metadata and the time
answer in `vault` although everything is denied; `web` and `mirror` speak by their public addresses over a path of 1500 bytes; the addresses .0, .1,
.2, .3 and .255 of a subnet; `testbed exec web -- cat /etc/resolv.conf`, which a DHCP option set has written.

Try: ``testbed up subnets``, ``testbed explain bare person --port 80``, ``testbed exec vault -- dig +short person.example.com``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

ANYWHERE = "0.0.0.0/0"
EVERYTHING = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)
WEB = (SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, cidr_ip=ANYWHERE),)


def subnets() -> Topology:
    """Public, private and sealed subnets of one VPC, and a person on the internet."""
    region, zone_a, zone_b, vpc = "eu-west-1", "eu-west-1a", "eu-west-1b", "vpc-main"

    def subnet(name: str, number: int, zone: str = zone_a) -> Subnet:
        return Subnet(id=name, vpc_id=vpc, cidr_block=f"10.0.{number}.0/24", availability_zone=zone)

    network = (
        Internet(),
        User(id="person", city="London"),
        DhcpOptions(id="dopt-main", domain_name="corp.example.com", ntp_servers=("169.254.169.123",)),
        Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16", dhcp_options_id="dopt-main"),
        InternetGateway(id="igw-main", vpc_id=vpc),
        subnet("public-a", 0),
        subnet("public-b", 1, zone_b),
        subnet("private-a", 2),
        subnet("sealed-a", 3),
        RouteTable(id="rtb-public", vpc_id=vpc, associations=("public-a", "public-b"), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-main"),)),
        NetworkAcl(id="acl-sealed", vpc_id=vpc, associations=("sealed-a",)),  # a custom ACL without entries denies everything
    )

    groups = (
        SecurityGroup(id="sg-web", vpc_id=vpc, security_group_ingress=WEB),  # no ICMP: path-MTU discovery is blocked
        SecurityGroup(id="sg-open", vpc_id=vpc, security_group_ingress=EVERYTHING),
        SecurityGroup(id="sg-sealed", vpc_id=vpc, security_group_egress=()),
    )

    hosts = (
        ElasticIp(id="eip-web", region=region, instance_id="web"),
        ElasticIp(id="eip-mirror", region=region, instance_id="mirror"),
        Instance(id="web", subnet_id="public-a", private_ip_address="10.0.0.10", security_group_ids=("sg-web",)),
        Instance(id="bare", subnet_id="public-a", private_ip_address="10.0.0.20", security_group_ids=("sg-open",)),
        Instance(id="mirror", subnet_id="public-b", private_ip_address="10.0.1.10", security_group_ids=("sg-open",)),
        Instance(id="app", subnet_id="private-a", private_ip_address="10.0.2.10", security_group_ids=("sg-open",)),
        Instance(id="vault", subnet_id="sealed-a", private_ip_address="10.0.3.10", security_group_ids=("sg-sealed",)),
    )

    return Topology(name="subnets", resources=network + groups + hosts)


topos = mininet_topos(subnets)
