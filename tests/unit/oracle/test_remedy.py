"""What the model says would let a packet pass, and that it does when it is done."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from testbed.model import Direction, NetworkAcl, NetworkAclEntry, PortRange, Protocol, SecurityGroup, SecurityGroupRule, Topology, Verdict
from testbed.oracle import Oracle
from testbed.resolve import resolve
from topologies.web_app import web_app


def changed(topology: Topology, resource_id: str, **fields) -> Topology:
    return replace(topology, resources=tuple(replace(r, **fields) if getattr(r, "id", "") == resource_id else r for r in topology.resources))


def asked(topology: Topology, source: str, destination: str, port: int, source_port: int = 40000, protocol: str = "tcp"):
    resolved = resolve(topology)
    oracle = Oracle(resolved)
    address = next((i.address for i in resolved.interfaces if i.node == destination), None) or IPv4Address(destination)
    walk = oracle.ask(source, address, protocol, source_port, port)
    return walk, oracle.advise(walk), oracle


def test_a_group_rule_is_asked_for_from_the_other_ends_group_and_helps():
    topology = web_app()
    walk, advice, _ = asked(topology, "web-a", "web-b", 80)
    assert advice.remedy == "add to sg-web an ingress rule tcp 80 from sg-web"
    (group,) = (g for g in topology.of(SecurityGroup) if g.id == "sg-web")
    rules = (*group.security_group_ingress, SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id="sg-web"))
    after, nothing, _ = asked(changed(topology, "sg-web", security_group_ingress=rules), "web-a", "web-b", 80)
    assert walk.outcome.value == "dropped" and after.outcome.value == "delivered"
    assert (nothing.cause, nothing.remedy) == ("", "")


def test_a_reply_lost_at_a_network_acl_is_told_as_the_ephemeral_port_classic_and_the_rule_helps():
    topology = web_app()
    (acl,) = topology.of(NetworkAcl)
    narrow = tuple(e for e in acl.entries if e.direction is Direction.INBOUND)
    broken = changed(topology, "acl-database", entries=narrow)
    _, advice, _ = asked(broken, "web-a", "shop-db", 5432)
    assert "stateless" in advice.cause and "40000" in advice.cause
    assert advice.remedy == "add to acl-database an outbound rule that allows tcp for ports 1024-65535 to 10.0.10.0/24"
    rule = NetworkAclEntry(rule_number=100, direction=Direction.OUTBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block=IPv4Network("10.0.10.0/24"), port_range=PortRange(first=1024, last=65535))
    after, _, _ = asked(changed(broken, "acl-database", entries=(*narrow, rule)), "web-a", "shop-db", 5432)
    assert after.outcome.value == "delivered"


def test_a_numbered_deny_is_to_be_removed_or_undercut():
    topology = web_app()
    (acl,) = topology.of(NetworkAcl)
    deny = NetworkAclEntry(rule_number=50, direction=Direction.INBOUND, rule_action=Verdict.DENY, cidr_block=IPv4Network("10.0.10.0/24"))
    _, advice, _ = asked(changed(topology, "acl-database", entries=(deny, *acl.entries)), "web-a", "shop-db", 5432)
    assert advice.remedy.startswith("remove acl-database's inbound rule 50, or allow tcp 5432 from 10.0.10.0/24 under a lower number")


def test_rules_in_words():
    oracle = Oracle(resolve(web_app()))
    assert oracle.describe("sg-db#ingress[0]") == "tcp/5432 from sg-web"
    assert oracle.describe("sg-alb#egress[0]") == "all traffic to 0.0.0.0/0"
    assert oracle.describe("acl-database#100", "outbound") == "outbound allows tcp/1024-65535 to 10.0.10.0/23"
    assert oracle.describe("acl-database#*", "inbound") == "inbound denies what no rule allows"
    assert [oracle.describe(origin) for origin in ("sg-db#ingress no rule", "rtb-private-a", "sg-gone#ingress[0]", "sg-db#ingress[7]")] == ["", "", "", ""]
