"""What a firewall's endpoint becomes: the stateless rules in nftables, the nodes around the stateful engine, and its place in the fabric."""

from dataclasses import replace

from services.common.config import decode
from services.suricata.config import Config
from testbed.compile import compile_plan
from testbed.model import PortRange, Protocol, StatelessRule
from testbed.plan import render
from testbed.resolve import resolve
from topologies.inspection_vpc import network_firewall


def changed(topology, resource_id, **fields):
    return replace(topology, resources=tuple(replace(each, **fields) if each.id == resource_id else each for each in topology.resources))


def text(topology, node):
    ruleset = compile_plan(resolve(topology)).node(node).ruleset
    assert ruleset is not None
    return render(ruleset)


def test_stateless_rules_go_by_priority_and_no_packet_is_remembered():
    rules = (
        StatelessRule(priority=20, action="aws:pass", protocols=(Protocol.UDP,), destination_ports=(PortRange(first=53, last=53), PortRange(first=50, last=60))),
        StatelessRule(priority=10, action="aws:drop", sources=("10.1.0.0/16", "10.0.0.0/8")),
    )
    said = text(changed(network_firewall(), "rg-telnet", stateless_rules=rules), "nfw-a")
    lines = [line.strip() for line in said.splitlines() if "rg-telnet" in line]
    assert lines == [
        'ip saddr { 10.0.0.0/8 } counter drop comment "rg-telnet#10"',
        'meta l4proto { 17 } th dport { 50-60 } meta mark set 0x1 counter accept comment "rg-telnet#20 aws:pass"',
    ]
    assert " ct " not in said


def test_an_endpoint_is_no_end_of_a_flow_in_the_fabric():
    said = text(network_firewall(), "vpc-inspection")
    for endpoint in ("nfw-a", "nfw-b"):
        assert said.count(f'"e-{endpoint}" : return') == 2, "in the maps of senders and of receivers"


def test_what_sends_to_the_engine_has_no_offloads_and_the_way_fails_closed():
    plan = compile_plan(resolve(network_firewall()))
    ends = {end.name: end for link in plan.links for end in (link.a, link.b) if end.node in ("nfw-a", "nfw-a-engine")}
    assert {name for name, end in ends.items() if not end.offloads} == {"to-engine"}
    assert plan.node("nfw-a").keeps_ttl
    assert all(route.device != "eth0" or route.table != 102 for route in plan.node("nfw-a").routes), "what is to be inspected goes nowhere else"


def test_rules_are_written_out_without_variables():
    plan = compile_plan(resolve(network_firewall()))
    config = decode(next(service.config for service in plan.services if service.name == "nfw-a.suricata"), Config)
    assert all("$" not in rule.text for rule in config.rules)
    assert any(rule.text.startswith("drop tls [10.1.0.0/16] any -> [!10.1.0.0/16] any") for rule in config.rules)
