"""Two subnets between which, and before which, packets are inspected: by two appliances of ours, or by a bare instance on which a test runs a program of its own.

    client (London) ── igw ── edge table: app -> vpce-ours, other -> vpce-other
                                app    web       10.0.3.0/24 -> vpce-ours    0/0 -> vpce-ours
                                east   far       10.0.1.0/24 -> vpce-ours
                                other  elsewhere 0/0 -> vpce-other
                                shut   nowhere   0/0 -> vpce-shut
    gwlb-ours   fw-1, fw-2, drop the word EICAR        gwlb-other   strange: a host without a program        gwlb-shut   fw-shut, whose group admits nothing
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scapy.layers.inet import IP, UDP

from testbed.model import (
    Forward,
    GeneveAppliance,
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
    TargetGroup,
    Topology,
    User,
    Vpc,
    VpcEndpoint,
    VpcEndpointService,
)

REGION, APP, SECURITY = "eu-west-1", "vpc-i", "vpc-s"
GENEVE, WORD = 6081, "EICAR"
ANYWHERE = "0.0.0.0/0"
KINDS = {"ours": ("fw-1", "fw-2"), "other": ("strange",), "shut": ("fw-shut",)}


def inspected() -> Topology:
    """One zone, three balancers."""
    anybody = SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE)
    application = (
        Internet(), User(id="client", city="London"),
        Vpc(id=APP, region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-i", vpc_id=APP),
        *(_subnet(name, APP, f"10.0.{number}.0/24") for number, name in enumerate(("app", "endpoints", "east", "other", "shut"), start=1)),
        RouteTable(id="rtb-edge", vpc_id=APP, gateway_associations=("igw-i",), routes=(_route("10.0.1.0/24", "ours"), _route("10.0.4.0/24", "other"), _route("10.0.5.0/24", "shut"))),
        RouteTable(id="rtb-app", vpc_id=APP, associations=("app",), routes=(_route("10.0.3.0/24", "ours"), _route(ANYWHERE, "ours"))),
        RouteTable(id="rtb-east", vpc_id=APP, associations=("east",), routes=(_route("10.0.1.0/24", "ours"),)),
        *(RouteTable(id=f"rtb-{kind}", vpc_id=APP, associations=(kind,), routes=(_route(ANYWHERE, kind),)) for kind in ("other", "shut")),
        RouteTable(id="rtb-endpoints", vpc_id=APP, associations=("endpoints",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-i"),)),
        SecurityGroup(id="sg-open", vpc_id=APP, security_group_ingress=(anybody,)),
        Instance(id="web", subnet_id="app", security_group_ids=("sg-open",), associate_public_ip_address=True),
        Instance(id="far", subnet_id="east", security_group_ids=("sg-open",)),
        Instance(id="elsewhere", subnet_id="other", security_group_ids=("sg-open",), associate_public_ip_address=True),
        Instance(id="nowhere", subnet_id="shut", security_group_ids=("sg-open",), associate_public_ip_address=True),
        *(VpcEndpoint(id=f"vpce-{kind}", vpc_id=APP, vpc_endpoint_type="GatewayLoadBalancer", service_name=f"com.amazonaws.vpce.{REGION}.svc-{kind}", subnet_ids=("endpoints",)) for kind in KINDS),
    )  # fmt: skip
    fields = {"vpc_id": SECURITY, "protocol": "GENEVE", "port": GENEVE, "healthy_threshold_count": 2}
    security = (
        Vpc(id=SECURITY, region=REGION, cidr_block="10.1.0.0/16"),
        _subnet("security", SECURITY, "10.1.1.0/24"),
        SecurityGroup(id="sg-fw", vpc_id=SECURITY, security_group_ingress=tuple(SecurityGroupRule(ip_protocol=p, from_port=port, to_port=port, cidr_ip="10.1.0.0/16") for p, port in (("udp", GENEVE), ("tcp", 80)))),
        *(Instance(id=name, subnet_id="security", security_group_ids=("sg-fw",), user_data=GeneveAppliance(signatures=(WORD,))) for name in KINDS["ours"]),
        SecurityGroup(id="sg-shut", vpc_id=SECURITY),
        Instance(id="fw-shut", subnet_id="security", security_group_ids=("sg-shut",), user_data=GeneveAppliance()),
        Instance(id="strange", subnet_id="security", security_group_ids=("sg-fw",)),
        *(LoadBalancer(id=f"gwlb-{kind}", type="gateway", subnets=("security",)) for kind in KINDS),
        *(TargetGroup(id=f"tg-{kind}", targets=targets, **fields) for kind, targets in KINDS.items()),
        *(Listener(id=f"all-{kind}", load_balancer_arn=f"gwlb-{kind}", protocol="GENEVE", port=GENEVE, default_actions=(Forward(target_group_arn=f"tg-{kind}"),)) for kind in KINDS),
        *(VpcEndpointService(id=f"svc-{kind}", gateway_load_balancer_arns=(f"gwlb-{kind}",)) for kind in KINDS),
    )
    return Topology(name="inspected", time_scale=10.0, resources=application + security)


def _subnet(name: str, vpc: str, block: str) -> Subnet:
    return Subnet(id=name, vpc_id=vpc, cidr_block=block, availability_zone="eu-west-1a")


def _route(block: str, kind: str) -> Route:
    return Route(destination_cidr_block=block, vpc_endpoint_id=f"vpce-{kind}")


@contextmanager
def program(lab: Any, node: str, answer: Callable[[bytes, str, int], IP | None]) -> Iterator[None]:
    """An appliance written by others, on `node`: `answer` gets each datagram, and the address and port that it came from, and says which packet goes back."""
    with lab[node].socket(kind=socket.SOCK_DGRAM) as heard, lab[node].socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as out:
        heard.bind(("0.0.0.0", GENEVE))
        heard.settimeout(0.05)
        ending = threading.Event()

        def run() -> None:
            while not ending.is_set():
                try:
                    datagram, (balancer, port) = heard.recvfrom(9216)
                except TimeoutError:
                    continue
                packet = answer(datagram, balancer, port)
                if packet is not None:
                    out.sendto(bytes(packet), (balancer, 0))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def echoed(datagram: bytes, balancer: str, port: int, *, own: str) -> IP:
    """As AWS wants it: addresses swapped, both ports as they came, the same header; with an outer TTL of 2."""
    return IP(src=own, dst=balancer, ttl=2) / UDP(sport=port, dport=GENEVE) / datagram
