"""A VPC with Network Load Balancers and nothing else that takes time to start: targets are sockets that tests open.

    front-a, front-b   the balancers' nodes, and `inside`, a client in front-a       back-a: t-a       back-b: t-b1, t-b2, and t-closed behind a group of its own

    nlb-kept     internet-facing, an Elastic IP in each zone; instances: they see the client         tcp/80 -> 8080, tcp_udp/53 -> 5353
    nlb-hidden   internal; addresses: they see the node                                               tcp/80 -> 8080
    nlb-grouped  internal, cross-zone, holds sg-nlb, to which alone t-closed's group opens            tcp/80 -> 8080
    nlb-one      internal; one target, t-a, which also calls it                                       tcp/80 -> 8080
"""

from testbed.model import (
    ElasticIp,
    Forward,
    Instance,
    Internet,
    InternetGateway,
    Listener,
    LoadBalancer,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetMapping,
    TargetGroup,
    Topology,
    User,
    Vpc,
)

REGION, VPC = "eu-west-1", "vpc-b"
ZONES = {"a": "eu-west-1a", "b": "eu-west-1b"}
HTTP, APP, DNS, DNS_APP = 80, 8080, 53, 5353
TARGETS = {"t-a": ("back-a", "10.0.11.10"), "t-b1": ("back-b", "10.0.12.11"), "t-b2": ("back-b", "10.0.12.12")}
FRONT = ("front-a", "front-b")


def balanced(time_scale: float = 1.0) -> Topology:
    """Four balancers."""
    anybody = SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
    network = (
        Internet(), User(id="client", city="Paris"),
        Vpc(id=VPC, region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-b", vpc_id=VPC),
        *(Subnet(id=f"front-{zone}", vpc_id=VPC, cidr_block=f"10.0.{number}.0/24", availability_zone=name) for number, (zone, name) in enumerate(ZONES.items(), start=1)),
        *(Subnet(id=f"back-{zone}", vpc_id=VPC, cidr_block=f"10.0.{number}.0/24", availability_zone=name) for number, (zone, name) in enumerate(ZONES.items(), start=11)),
        RouteTable(id="rtb-front", vpc_id=VPC, associations=FRONT, routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-b"),)),
        SecurityGroup(id="sg-open", vpc_id=VPC, security_group_ingress=(anybody,)),
        SecurityGroup(id="sg-inside", vpc_id=VPC),
        SecurityGroup(id="sg-nlb", vpc_id=VPC, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="10.0.0.0/8"),)),
        SecurityGroup(
            id="sg-closed", vpc_id=VPC,
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=APP, to_port=APP, security_group_id="sg-nlb"),
                SecurityGroupRule(ip_protocol="tcp", from_port=APP + 1, to_port=APP + 1, security_group_id="sg-inside"),
            ),
        ),
        Instance(id="inside", subnet_id="front-a", private_ip_address="10.0.1.100", security_group_ids=("sg-inside",)),
        *(Instance(id=name, subnet_id=subnet, private_ip_address=address, security_group_ids=("sg-open",)) for name, (subnet, address) in TARGETS.items()),
        Instance(id="t-closed", subnet_id="back-b", private_ip_address="10.0.12.20", security_group_ids=("sg-closed",)),
    )  # fmt: skip
    kept = (
        ElasticIp(id="eip-a", region=REGION), ElasticIp(id="eip-b", region=REGION),
        LoadBalancer(id="nlb-kept", type="network", subnet_mappings=tuple(SubnetMapping(subnet_id=f"front-{zone}", allocation_id=f"eip-{zone}") for zone in ZONES)),
        *_listener("nlb-kept", HTTP, "TCP", _group("tg-kept", APP, "TCP", tuple(TARGETS))),
        *_listener("nlb-kept", DNS, "TCP_UDP", _group("tg-dns", DNS_APP, "TCP_UDP", tuple(TARGETS))),
    )  # fmt: skip
    hidden = (
        LoadBalancer(id="nlb-hidden", type="network", scheme="internal", subnets=FRONT),
        *_listener("nlb-hidden", HTTP, "TCP", _group("tg-hidden", APP, "TCP", tuple(address for _, address in TARGETS.values()), "ip")),
    )
    grouped = (
        LoadBalancer(id="nlb-grouped", type="network", scheme="internal", subnets=FRONT, security_groups=("sg-nlb",), load_balancing_cross_zone_enabled=True),
        *_listener("nlb-grouped", HTTP, "TCP", _group("tg-grouped", APP, "TCP", ("t-closed",))),
        *_listener("nlb-grouped", HTTP + 1, "TCP", _group("tg-by-client", APP + 1, "TCP", ("t-closed",))),
    )
    one = (
        LoadBalancer(id="nlb-one", type="network", scheme="internal", subnets=("front-a",)),
        *_listener("nlb-one", HTTP, "TCP", _group("tg-one", APP, "TCP", ("t-a",))),
    )
    return Topology(name="balanced", time_scale=time_scale, resources=(*network, *kept, *hidden, *grouped, *one))


def _group(name: str, port: int, protocol: str, targets: tuple[str, ...], target_type: str = "instance") -> TargetGroup:
    """Nothing ever answers its health checks, so it fails open, and no check meets a test's socket."""
    return TargetGroup(
        id=name, vpc_id=VPC, port=port, protocol=protocol, targets=targets, target_type=target_type, health_check_port=9, health_check_interval_seconds=300
    )  # fmt: skip


def _listener(balancer: str, port: int, protocol: str, group: TargetGroup) -> tuple[Listener, TargetGroup]:
    return Listener(id=f"{balancer}-{port}", load_balancer_arn=balancer, port=port, protocol=protocol, default_actions=(Forward(target_group_arn=group.id),)), group


TIME_SCALE = 50.0


def checked() -> Topology:
    """One balancer whose targets are asked for their health each 10 s, fifty times as fast here; it forgets what is idle for 60 s, and drains for 50 s."""
    network = tuple(each for each in balanced().resources if each.id not in ("eip-a", "eip-b") and not each.id.startswith(("nlb", "tg")))
    group = TargetGroup(
        id="tg", vpc_id=VPC, port=APP, protocol="TCP", targets=tuple(TARGETS), health_check_interval_seconds=10, health_check_timeout_seconds=5, healthy_threshold_count=2,
        deregistration_delay_timeout_seconds=50, deregistration_delay_connection_termination_enabled=True,
    )  # fmt: skip
    listener = Listener(id="listener", load_balancer_arn="nlb", port=HTTP, protocol="TCP", tcp_idle_timeout_seconds=60, default_actions=(Forward(target_group_arn="tg"),))
    return Topology(name="checked", time_scale=TIME_SCALE, resources=(*network, LoadBalancer(id="nlb", type="network", scheme="internal", subnets=FRONT), listener, group))
