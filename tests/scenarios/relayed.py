"""A Network Load Balancer with listeners that a process carries, and a consumer's VPC with the same addresses. Targets are sockets that tests open.

    vpc-b (as in `balanced`)   nlb-relay, internal, in front-a     443  TLS -> TCP 8080     instance t-a: it sees the client
                                                                   8443 TLS -> TLS 8443     address of t-a: it sees the node; ALPN h2, http/1.1
                                                                   80   TCP -> TCP 8081     PROXY protocol v2; instance t-a
                                                                   82   TCP -> TCP 8082     PROXY protocol v2; address of t-a; idle after 60 s
                                                                   444  TLS -> TCP 8080     no target
    vpc-c 10.0.0.0/16          consumer 10.0.1.100, as `inside` has it too, and vpce-c to the balancer
"""

from testbed.model import (
    Forward,
    Instance,
    Listener,
    LoadBalancer,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    TargetGroup,
    Topology,
    Vpc,
    VpcEndpoint,
    VpcEndpointService,
)
from tests.scenarios.balanced import APP, REGION, TARGETS, VPC, ZONES, balanced

TIME_SCALE = 50.0
TLS, TLS_TO_TLS, PROXY, PROXY_HIDDEN, EMPTY = 443, 8443, 80, 82, 444
TLS_APP, PROXY_APP, HIDDEN_APP = 8443, 8081, 8082
HOSTS = ("one.example.com", "*.two.example.com")


def relayed(time_scale: float = TIME_SCALE) -> Topology:
    """One balancer, two VPCs."""
    network = tuple(each for each in balanced().resources if each.id not in ("eip-a", "eip-b") and not each.id.startswith(("nlb", "tg")))
    address = TARGETS["t-a"][1]
    balancer = (
        LoadBalancer(id="nlb-relay", type="network", scheme="internal", subnets=("front-a",)),
        *_listener(TLS, "TLS", _group("tg-tls", APP, "TCP", ("t-a",)), certificates=HOSTS),
        *_listener(TLS_TO_TLS, "TLS", _group("tg-tls-tls", TLS_APP, "TLS", (address,), target_type="ip"), certificates=HOSTS[:1], alpn_policy="HTTP2Preferred"),
        *_listener(PROXY, "TCP", _group("tg-proxy", PROXY_APP, "TCP", ("t-a",), proxy_protocol_v2_enabled=True)),
        *_listener(PROXY_HIDDEN, "TCP", _group("tg-hidden-proxy", HIDDEN_APP, "TCP", (address,), target_type="ip", proxy_protocol_v2_enabled=True), tcp_idle_timeout_seconds=60),
        *_listener(EMPTY, "TLS", _group("tg-empty", APP, "TCP", ()), certificates=HOSTS[:1]),
        VpcEndpointService(id="relayed", network_load_balancer_arns=("nlb-relay",)),
    )
    consumer = (
        Vpc(id="vpc-c", region=REGION, cidr_block="10.0.0.0/16"),
        Subnet(id="consumers", vpc_id="vpc-c", cidr_block="10.0.1.0/24", availability_zone=ZONES["a"]),
        SecurityGroup(id="sg-c", vpc_id="vpc-c", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8"),)),
        Instance(id="consumer", subnet_id="consumers", private_ip_address="10.0.1.100", security_group_ids=("sg-c",)),
        VpcEndpoint(id="vpce-c", vpc_id="vpc-c", vpc_endpoint_type="Interface", service_name=f"com.amazonaws.vpce.{REGION}.relayed", subnet_ids=("consumers",), security_group_ids=("sg-c",)),
    )
    return Topology(name="relayed", time_scale=time_scale, resources=(*network, *balancer, *consumer))


def _group(name: str, port: int, protocol: str, targets: tuple[str, ...], **more: object) -> TargetGroup:
    """Nothing ever answers its health checks, so it fails open, and no check meets a test's socket."""
    return TargetGroup(id=name, vpc_id=VPC, port=port, protocol=protocol, targets=targets, health_check_port=9, health_check_interval_seconds=300, **more)


def _listener(port: int, protocol: str, group: TargetGroup, **more: object) -> tuple[Listener, TargetGroup]:
    return Listener(id=f"listener-{port}", load_balancer_arn="nlb-relay", port=port, protocol=protocol, default_actions=(Forward(target_group_arn=group.id),), **more), group
