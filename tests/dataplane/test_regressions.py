"""What a fabric of shared state gets wrong most easily, by name: each a small network where oracle, kernel and expectation must be one.

`test_security_groups`, `test_nat_instance` and `test_route_tables` of the scenarios show the same to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import product

import pytest

from testbed.engine.lab import Lab
from testbed.model import Instance, IpForwarding, Protocol, Resource, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Topology, Vpc
from testbed.oracle import Memory, Oracle, Outcome, Probe
from testbed.resolve import Resolved, resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.dataplane.test_oracle_against_kernel import HOSTS, bare_plan, differences, inside_a_sandbox  # noqa: F401
from tests.strategies import SERVICE_PORTS

pytestmark = pytest.mark.packets

SSH, HTTP, HTTPS = 22, 80, 443
PATIENCE_S = 0.25
ADDRESSES = {"a": "10.6.0.10", "b": "10.6.0.11", "c": "10.6.1.10", "d": "10.6.1.11", "first": "10.6.2.10", "second": "10.6.3.10"}
EVERYTHING = SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")


def rule(protocol: str, port: int | None = None, to: int | None = None, **far_side: str) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port if to is None else to, **(far_side or {"cidr_ip": "0.0.0.0/0"}))


def group(of: str, *ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] | None = None) -> SecurityGroup:
    return SecurityGroup(id=f"sg-{of}", vpc_id="vpc", security_group_ingress=ingress, security_group_egress=egress)


def network(*changed: SecurityGroup, routes: Sequence[tuple[int, str, str]] = ()) -> Resolved:
    """Six hosts in four subnets, each with an open group of its own where no other is given; routes are (of which subnet, block, to whom)."""
    groups = {name: group(name, EVERYTHING) for name in ADDRESSES} | {each.id.removeprefix("sg-"): each for each in changed}
    tables = {number: tuple(Route(destination_cidr_block=block, instance_id=target) for of, block, target in routes if of == number) for number in range(4)}
    middle = ("first", "second")
    resources: tuple[Resource, ...] = (
        Vpc(id="vpc", region="eu-west-1", cidr_block="10.6.0.0/16"),
        *(Subnet(id=f"subnet-{n}", vpc_id="vpc", cidr_block=f"10.6.{n}.0/24", availability_zone="eu-west-1a") for n in range(4)),
        *(RouteTable(id=f"rtb-{n}", vpc_id="vpc", associations=(f"subnet-{n}",), routes=held) for n, held in tables.items()),
        *groups.values(),
        *(
            Instance(
                id=name, subnet_id=f"subnet-{address.split('.')[2]}", private_ip_address=address, security_group_ids=(f"sg-{name}",),
                source_dest_check=name not in middle, user_data=IpForwarding() if name in middle else None,
            )
            for name, address in ADDRESSES.items()
        ),
    )  # fmt: skip
    return resolve(Topology(name="regression", resources=resources))


def asks(source: str, destination: str, protocol: Protocol, port: int | None = None) -> Probe:
    echo = {"icmp_type": 8, "icmp_code": 0} if protocol is Protocol.ICMP else {}
    return Probe(source=source, destination=IPv4Address(ADDRESSES[destination]), protocol=protocol, destination_port=port, **echo)


def every_pair(*names: str) -> list[Probe]:
    pairs = [(source, destination) for source, destination in product(names, names) if source != destination]
    ports = [(source, destination, protocol, port) for (source, destination), protocol, port in product(pairs, (Protocol.TCP, Protocol.UDP), (SSH, HTTP, HTTPS))]
    return [*(asks(*each) for each in ports), *(asks(source, destination, Protocol.ICMP) for source, destination in pairs)]


def passing(resolved: Resolved, asked: Sequence[Probe]) -> set[tuple[str, Protocol, int | None]]:
    """Who passes, after kernel and oracle have been found to agree: source, protocol and port."""
    with Lab(bare_plan(resolved)) as lab:
        assert differences(lab, resolved, asked) == []
    oracle = Oracle(resolved)
    return {(str(probe.source), probe.protocol, probe.destination_port) for probe in asked if oracle.walk(probe).outcome is Outcome.DELIVERED}


def test_egress_evaluated_before_ingress_must_not_bypass_ingress() -> None:
    """What the sender's group admits and remembers says nothing of the receiver's, the second and third packet of a flow no more than the first."""
    resolved = network(group("a", egress=(EVERYTHING,)), group("b", rule("tcp", SSH)), group("c", rule("tcp", SSH)))
    asked = [asks("a", target, protocol, port) for target in "bc" for protocol in (Protocol.TCP, Protocol.UDP) for port in (SSH, HTTP)]
    assert passing(resolved, asked) == {("a", Protocol.TCP, SSH)}
    refused = distinct([probe for probe in asked if probe.destination_port == HTTP])
    with Lab(bare_plan(resolved)) as lab:
        hosts = [node for node in lab.plan.nodes if node.kind in HOSTS]
        for _ in range(3):
            assert set(send(lab, hosts, refused, SERVICE_PORTS, patience_s=PATIENCE_S)) == {Seen(arrived=False, replied=False)}


def test_same_subnet_traffic_must_not_skip_security_groups() -> None:
    """No router lies between neighbours, no ACL is asked, and yet each has its groups: outward, inward, and by reference."""
    closed = network(group("a", egress=(rule("tcp", SSH), rule("tcp", HTTP))), group("b", rule("tcp", SSH, security_group_id="sg-a"), rule("udp", SSH)))
    assert passing(closed, every_pair("a", "b")) == {("a", Protocol.TCP, SSH)}


def test_a_flow_that_crosses_one_vpc_twice_through_two_appliances_is_judged_by_both() -> None:
    """a ─▶ first ─▶ second ─▶ c, and back: three crossings of one fabric by one 5-tuple."""
    ways = ((0, "10.6.1.0/24", "first"), (2, "10.6.1.0/24", "second"), (3, "10.6.0.0/24", "first"), (1, "10.6.0.0/24", "second"))
    first, second = (rule("tcp", HTTP), rule("tcp", SSH), rule("icmp", -1)), (rule("tcp", HTTP), rule("tcp", HTTPS))
    asked = [asks("a", "c", Protocol.ICMP), *(asks("a", "c", protocol, port) for protocol in (Protocol.TCP, Protocol.UDP) for port in (SSH, HTTP, HTTPS))]
    assert passing(network(group("first", *first), group("second", *second), routes=ways), asked) == {("a", Protocol.TCP, HTTP)}
    outward = (rule("tcp", SSH),)
    assert passing(network(group("second", EVERYTHING, egress=outward), routes=ways), asked) == {("a", Protocol.TCP, SSH)}
    assert passing(network(routes=ways), asked) == {(str(probe.source), probe.protocol, probe.destination_port) for probe in asked}


def test_overlapping_cidr_blocks_in_one_group() -> None:
    """Rules are cut into intervals: whatever their order, a packet passes if any of them matches it."""
    blocks = ("10.6.0.0/16", "10.6.0.0/24", "10.6.0.10/32", "10.6.0.8/29", "0.0.0.0/0")
    spans = ((HTTP, HTTP), (HTTP, HTTPS), (1, 65535), (SSH, SSH), (HTTPS, HTTPS))
    for order in (1, -1):
        rules = tuple(rule("tcp", first, last, cidr_ip=block) for block, (first, last) in zip(blocks, spans, strict=True))[::order]
        found = passing(network(group("d", *rules)), [asks(source, "d", Protocol.TCP, port) for source in "abc" for port in (SSH, HTTP, HTTPS, 8080)])
        assert found == {*(("a", Protocol.TCP, port) for port in (SSH, HTTP, HTTPS, 8080)), *((source, Protocol.TCP, port) for source, port in product("abc", (HTTP, HTTPS))), ("b", Protocol.TCP, SSH)}


@pytest.mark.parametrize("end", ["c", "a"])
def test_one_way_udp_whose_rule_is_removed(end: str) -> None:
    """Nobody has ever answered, so nothing but the first packet's admission keeps a tracked flow alive: at the receiver, and at the sender."""
    tracked_in, tracked_out = group("c", rule("udp", SSH, cidr_ip="10.6.0.10/32")), group("a", egress=(rule("udp", SSH, cidr_ip="10.6.1.10/32"),))
    before, after = network(tracked_in, tracked_out), network(*(group(end, egress=()) if each.id == f"sg-{end}" else each for each in (tracked_in, tracked_out)))
    old, new = distinct([asks("a", "c", Protocol.UDP, SSH)] * 2)
    memory = Memory()
    with Lab(bare_plan(before)) as lab:
        hosts = [node for node in lab.plan.nodes if node.kind in HOSTS]
        for resolved, asked in ((before, old), (after, old), (after, new)):
            lab.apply(bare_plan(resolved))
            walk = Oracle(resolved).walk(asked, memory)
            (seen,) = send(lab, hosts, [asked], (), patience_s=PATIENCE_S)
            assert seen.arrived is (asked is old) is (walk.request.outcome is Outcome.DELIVERED)


def test_whole_subnet_routes_to_a_middlebox_must_not_detour_traffic_inside_that_subnet() -> None:
    """`first` is closed: whatever passes it is lost. Neighbours do not notice it, even with routes for their own subnet and for the whole VPC."""
    routes = ((0, "10.6.0.0/24", "first"), (0, "10.6.0.0/16", "first"), (1, "10.6.0.0/24", "first"))
    found = passing(network(group("first"), routes=routes), [*every_pair("a", "b"), asks("a", "c", Protocol.TCP, HTTP), asks("c", "a", Protocol.TCP, HTTP)])
    assert found == {(source, protocol, port) for source, (protocol, port) in product("ab", [*product((Protocol.TCP, Protocol.UDP), (SSH, HTTP, HTTPS)), (Protocol.ICMP, None)])}


@pytest.mark.parametrize("claimed", ["10.6.0.11", "10.6.1.11", "192.0.2.9"])
def test_a_forged_source_reaches_nobody_from_a_checked_interface(claimed: str) -> None:
    """Whatever the groups say; from an interface without the check it is judged by what it claims, and answered there."""
    asked = [replace(asks(source, "c", Protocol.UDP, SSH), claimed_source=IPv4Address(claimed)) for source in ("a", "first")]
    resolved = network()
    with Lab(bare_plan(resolved)) as lab:
        assert differences(lab, resolved, asked) == []
        hosts = [node for node in lab.plan.nodes if node.kind in HOSTS]
        seen = send(lab, hosts, distinct(asked, attempt=5), SERVICE_PORTS, patience_s=PATIENCE_S)
    assert [each.arrived for each in seen] == [False, True]
    assert not any(each.replied for each in seen)
