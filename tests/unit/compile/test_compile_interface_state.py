"""State that belongs to an interface, as rules: what is untracked, ports of interfaces that forward, timeouts of single interfaces, guests with several interfaces."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.compile import compile_plan
from testbed.model import ConnectionTrackingSpecification, Instance, IpForwarding, NetworkInterface, PrefixList, PrefixListEntry, SecurityGroup, SecurityGroupRule
from testbed.plan import NftTable, Plan, render
from tests.unit.oracle.lab import OPEN, resolved


def plan(*changed: object) -> Plan:
    return compile_plan(resolved(*changed))  # type: ignore[arg-type]


def table(built: Plan, node: str, name: str = "fabric") -> NftTable:
    ruleset = built.node(node).ruleset
    assert ruleset is not None
    return next(found for found in ruleset.tables if found.name == name)


def group(*ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] | None = None) -> SecurityGroup:
    return SecurityGroup(id="sg-x", vpc_id="vpc", security_group_ingress=ingress, security_group_egress=egress)


def host(**fields: object) -> Instance:
    return Instance(id="x", subnet_id="private", private_ip_address="10.0.1.77", security_group_ids=("sg-x",), **fields)  # type: ignore[arg-type]


def rule(protocol: str, first: int | None, last: int | None, cidr_ip: str = "0.0.0.0/0") -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, cidr_ip=cidr_ip)


def open_ports(built: Plan) -> set[str]:
    """What sg-x leaves untracked inward."""
    return {element for found in table(built, "vpc").sets if found.name.startswith("open.ingress.sg") and found.name.endswith("x") for element in found.elements}


def test_ports_that_are_not_tracked_are_joined_and_need_an_answer_on_all_ports() -> None:
    rules = (rule("tcp", 80, 90), rule("tcp", 91, 100), rule("6", 85, 95), rule("udp", 53, 53), rule("tcp", 443, 443, "10.0.0.0/8"), rule("icmp", -1, -1))
    assert open_ports(plan(host(), group(*rules))) == {"tcp . 80-100", "udp . 53"}
    assert open_ports(plan(host(), group(*rules, egress=(rule("tcp", 0, 65535),)))) == {"tcp . 80-100"}


def test_no_packet_of_the_way_back_sets_a_bit() -> None:
    text = render(plan(host(), group(OPEN)).node("vpc").ruleset)  # type: ignore[arg-type]
    assert "ct direction original ct mark set" in text
    assert "ct direction reply ct mark set ct mark" not in text
    assert "notrack" not in text


def test_an_interface_that_forwards_has_its_groups_in_a_namespace_of_its_own() -> None:
    built = plan(host(source_dest_check=False), group(OPEN))
    groups = {element for found in table(built, "vpc").maps if found.name in ("sender_groups", "receiver_groups") for element in found.elements}
    assert ('"e-x"', "return") in groups
    port = table(built, "port-eni-x")
    assert {key for found in port.maps if found.name == "receiver_groups" for key, _ in found.elements} == {'"guest"', '"fabric"'}
    assert any(chain.name.startswith("union.ingress") for chain in port.chains)
    ends = {(end.node, end.name) for link in built.links for end in (link.a, link.b)}
    assert {("port-eni-x", "guest"), ("port-eni-x", "fabric"), ("x", "eth0"), ("vpc", "e-x")} <= ends


def test_timeouts_of_single_interfaces_stand_in_a_table_of_their_own_the_shortest_last() -> None:
    assert not any(found.name == "idle_timeouts" for found in plan(host(), group()).node("vpc").ruleset.tables)  # type: ignore[union-attr]
    timers = table(plan(host(connection_tracking_specification=ConnectionTrackingSpecification(tcp_established_timeout_s=60)), group()), "vpc", "idle_timeouts")
    assert [timeout.name for timeout in timers.timeouts if timeout.protocol == "tcp"] == ["tcp_350", "tcp_60"]
    statements = [rule.statement for rule in timers.chains[0].rules if "tcp_" in rule.statement]
    assert [statement.split('"')[1] for statement in statements] == ["tcp_350", "tcp_350", "tcp_60", "tcp_60"]


def test_a_guest_with_two_interfaces_routes_by_source() -> None:
    built = plan(host(), group(), NetworkInterface(id="eni-y", subnet_id="public", private_ip_address="10.0.0.78", instance_id="x", secondary_private_ip_addresses=("10.0.0.79",)))
    rules = {(rule.source, rule.table) for rule in built.node("x").rules}
    assert rules == {(IPv4Network("10.0.1.77"), 1000), (IPv4Network("10.0.0.78"), 1001), (IPv4Network("10.0.0.79"), 1001)}
    assert {(route.table, route.device) for route in built.node("x").routes if route.destination.prefixlen == 0} == {(254, "eth0"), (1000, "eth0"), (1001, "eth1")}
    assert plan(host(), group()).node("x").rules == ()


def test_a_nat_instance_masquerades_on_eth0() -> None:
    built = plan(host(source_dest_check=False, user_data=IpForwarding(masquerade=True)), group())
    assert [rule.statement for chain in table(built, "x", "user_data").chains for rule in chain.rules] == ['oifname "eth0" masquerade']
    assert ("ipv4/ip_forward", "1") in built.node("x").sysctls


def test_a_rule_may_name_a_prefix_list() -> None:
    listed = PrefixList(id="pl-x", region="eu-west-1", max_entries=5, entries=(PrefixListEntry(cidr="192.0.2.0/25"), PrefixListEntry(cidr="192.0.2.128/25")))
    built = plan(host(), group(SecurityGroupRule(ip_protocol="tcp", from_port=443, to_port=443, prefix_list_id="pl-x")), listed)
    elements = {key for found in table(built, "vpc").maps if found.name.startswith("ports.union.ingress") and "x" in found.name for key, _ in found.elements}
    assert elements == {"192.0.2.0/24 . tcp . 443"}
