"""Two Regions behind one accelerator, and nothing that takes time to start: endpoints are bare instances, which tests make answer (`echo.py`).

    user-london   LHR    eu-west-1  vpc-eu 10.0.0.0/16   web-eu, web-eu2 (private subnet), eip-eu on hidden-eu
    user-newyork  JFK    us-east-1  vpc-us 10.0.0.0/16   web-us: the same private addresses
    user-tokyo    NRT    in no Region of these: the nearer is eu-west-1

    tcp/80    both Regions' instances, checked every 10 s (threshold 3)        udp/53   web-eu and web-us
    tcp/443   SOURCE_IP affinity                                               tcp/8080 the Elastic IP: the client is hidden
    tcp/9000  nlb-us, which has a security group: the client is kept           tcp/9001 nlb-plain, which has none: hidden; both before web-us
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.model import (
    Accelerator,
    AcceleratorListener,
    ElasticIp,
    EndpointConfiguration,
    EndpointGroup,
    Forward,
    Instance,
    Internet,
    InternetGateway,
    Listener,
    LoadBalancer,
    PortRange,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    TargetGroup,
    Topology,
    User,
    Vpc,
)

HTTP, HTTPS, GAME, HIDDEN, CHECKED = 80, 443, 53, 8080, 7
BALANCED, PLAIN = 9000, 9001
REGIONS = {"eu": "eu-west-1", "us": "us-east-1"}
USERS = {"user-london": "London", "user-newyork": "New York", "user-tokyo": "Tokyo"}
EDGES = {"user-london": "ga-edge-lhr", "user-newyork": "ga-edge-jfk", "user-tokyo": "ga-edge-nrt"}
TIME_SCALE = 20.0
INTERVAL_S, THRESHOLD = 10, 3
ECHO = Path(__file__).with_name("echo.py")
ENDPOINTS = {"web-eu": "web-eu", "web-eu2": "web-eu2", "web-us": "web-us", "hidden-eu": "eip-eu"}
"""The instances that answer, and what they are to the accelerator."""
PATIENCE_S = 20.0


def accelerated(time_scale: float = TIME_SCALE, edges: tuple[str, ...] = ("LHR", "JFK", "NRT")) -> Topology:
    """An accelerator with four listeners."""
    return Topology(
        name="accelerated",
        time_scale=time_scale,
        resources=(
            Internet(edge_locations=edges, detour=1.5),
            *(User(id=name, city=city) for name, city in USERS.items()),
            *(each for name in REGIONS for each in _region(name)),
            Instance(id="web-eu2", subnet_id="private-eu", private_ip_address="10.0.1.11", security_group_ids=("sg-eu",)),
            Instance(id="hidden-eu", subnet_id="public-eu", private_ip_address="10.0.0.20", security_group_ids=("sg-eu",)),
            ElasticIp(id="eip-eu", region="eu-west-1", instance_id="hidden-eu"),
            *_balancer("nlb-us", BALANCED, ("sg-us",)),
            *_balancer("nlb-plain", PLAIN, ()),
            Accelerator(id="ga"),
            *_listener("http", "TCP", (HTTP, 81), {"eu": ("web-eu", "web-eu2"), "us": ("web-us",)}),
            *_listener("game", "UDP", (GAME, GAME), {"eu": ("web-eu",), "us": ("web-us",)}),
            *_listener("sticky", "TCP", (HTTPS, HTTPS), {"eu": ("web-eu", "web-eu2")}, client_affinity="SOURCE_IP"),
            *_listener("balanced", "TCP", (BALANCED, BALANCED), {"us": ("nlb-us",)}),
            *_listener("plain", "TCP", (PLAIN, PLAIN), {"us": ("nlb-plain",)}),
            *_listener("hidden", "TCP", (HIDDEN, HIDDEN), {"eu": ("eip-eu",)}),
        ),
    )


def _region(name: str) -> tuple[object, ...]:
    region, anybody = REGIONS[name], SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
    return (
        Vpc(id=f"vpc-{name}", region=region, cidr_block="10.0.0.0/16"),
        InternetGateway(id=f"igw-{name}", vpc_id=f"vpc-{name}"),
        Subnet(id=f"public-{name}", vpc_id=f"vpc-{name}", cidr_block="10.0.0.0/24", availability_zone=f"{region}a"),
        Subnet(id=f"private-{name}", vpc_id=f"vpc-{name}", cidr_block="10.0.1.0/24", availability_zone=f"{region}a"),
        RouteTable(id=f"rtb-public-{name}", vpc_id=f"vpc-{name}", associations=(f"public-{name}",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id=f"igw-{name}"),)),
        RouteTable(id=f"rtb-private-{name}", vpc_id=f"vpc-{name}", associations=(f"private-{name}",)),
        SecurityGroup(id=f"sg-{name}", vpc_id=f"vpc-{name}", security_group_ingress=(anybody,)),
        Instance(id=f"web-{name}", subnet_id=f"private-{name}", private_ip_address="10.0.1.10", security_group_ids=(f"sg-{name}",)),
    )


def _balancer(name: str, port: int, groups: tuple[str, ...]) -> tuple[object, ...]:
    return (
        LoadBalancer(id=name, type="network", subnets=("public-us",), security_groups=groups),
        Listener(id=f"{name}-listener", load_balancer_arn=name, port=port, protocol="TCP", default_actions=(Forward(target_group_arn=f"tg-{name}"),)),
        TargetGroup(id=f"tg-{name}", vpc_id="vpc-us", port=HTTP, protocol="TCP", targets=("web-us",), health_check_port=CHECKED, health_check_interval_seconds=30, healthy_threshold_count=2),
    )


def _listener(name: str, protocol: str, ports: tuple[int, int], endpoints: dict[str, tuple[str, ...]], client_affinity: str = "NONE") -> tuple[object, ...]:
    return (
        AcceleratorListener(id=f"listener-{name}", accelerator_arn="ga", protocol=protocol, port_ranges=(PortRange(first=ports[0], last=ports[1]),), client_affinity=client_affinity),
        *(
            EndpointGroup(
                id=f"group-{name}-{place}", listener_arn=f"listener-{name}", endpoint_group_region=REGIONS[place], health_check_port=CHECKED, health_check_interval_seconds=INTERVAL_S, threshold_count=THRESHOLD,
                endpoint_configurations=tuple(EndpointConfiguration(endpoint_id=endpoint) for endpoint in names),
            )
            for place, names in endpoints.items()
        ),
    )  # fmt: skip


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for it; fails with `what` if it never comes to that."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def start(lab: Any, name: str) -> subprocess.Popen[bytes]:
    """Have an instance answer on every port; the caller ends the process."""
    ports = ",".join(map(str, (HTTP, HTTPS, HIDDEN, CHECKED)))
    process: subprocess.Popen[bytes] = lab[name].popen(sys.executable, "-I", str(ECHO), name, ports, str(GAME), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def states(lab: Any, edge: str) -> dict[tuple[str, str], str]:
    """What the daemon of an edge location has said last of each endpoint, by its group and its name."""
    log = next(lab.log_directory.glob(f"{edge}.global_accelerator*.jsonl"))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return {(event["endpoint_group"], event["endpoint"]): event["state"] for event in events if event["event"] == "endpoint_health"}


def told(lab: Any, **wanted: str) -> None:
    """Wait until every edge location knows this of endpoints, in every group that has them."""
    groups = [(group.id, each.endpoint_id) for group in lab.topology.of(EndpointGroup) for each in group.endpoint_configurations]
    expected = {(group, endpoint): wanted[endpoint] for group, endpoint in groups if endpoint in wanted}
    until(lambda: all(expected.items() <= states(lab, edge).items() for edge in EDGES.values()), f"never {wanted}")


def ready(lab: Any) -> None:
    """Wait until all endpoints are known to be healthy, and every city has a way to the static addresses, its own edge location's if it has one."""
    told(lab, **dict.fromkeys(ENDPOINTS.values(), "healthy"))
    cities = {node.name: "metric" for node in lab.plan.nodes if node.kind == "city"}
    cities |= {lab.plan.node(edge.node).group: f"h-{edge.node}" for edge in lab.resolved.accelerator_edges}
    static = [str(address) for address in lab.resolved.accelerators[0].addresses]
    until(lambda: all(_ways(lab, city, static).count(by) == len(static) for city, by in cities.items()), "a city knows no way")


def _ways(lab: Any, city: str, static: list[str]) -> str:
    return "".join(lab[city].run("ip", "route", "show", f"{address}/32").out for address in static)
