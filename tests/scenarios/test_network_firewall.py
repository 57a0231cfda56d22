"""AWS Network Firewall: what each of its engines drops, lets pass and tells, in an inspection VPC and between a VPC and the internet."""

import json
import os
import signal
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP

from testbed.model import (
    ElasticIp,
    FirewallPolicy,
    Instance,
    Internet,
    InternetGateway,
    NetworkFirewall,
    PortRange,
    Protocol,
    Route,
    RouteTable,
    RuleGroup,
    RuleGroupReference,
    SecurityGroup,
    SecurityGroupRule,
    StatefulRule,
    StatelessRule,
    Subnet,
    Topology,
    User,
    Vpc,
)
from testbed.observe.probe import Answer
from testbed.oracle import Probe
from tests.scenarios.firewalls import HTTP, HTTPS, NEEDS_SURICATA, client_hello, events, heard, http_request, soon, told
from tests.scenarios.shop import public_address, resource, with_resources
from topologies.inspection_vpc import network_firewall

pytestmark = [pytest.mark.packets, NEEDS_SURICATA]

SILENCE_S = 0.3
BOTH = ("nfw-a", "nfw-b")
SMTP, TELNET = 25, 23


def walk(lab, source, destination, port, protocol=Protocol.TCP):
    return lab.oracle.walk(Probe(source=source, destination=destination, protocol=protocol, source_port=40000, destination_port=port))


@pytest.mark.topology.with_args(network_firewall)
class TestInspectionVpc:
    """topologies/inspection_vpc.py:network_firewall."""

    def test_an_allowed_domain_passes_by_its_name_in_http(self, lab):
        request = http_request("www.example.com")
        assert heard(lab, "client", "server", HTTP, request) == request

    def test_any_other_connects_and_is_never_heard(self, lab):
        assert heard(lab, "client", "server", HTTP, http_request("www.example.org")) == b""
        alert = told(lab, dropping(lab, "HTTP"), *BOTH)
        assert (alert["action"], alert["message"]) == ("blocked", "not matching any HTTP allowlisted FQDNs")

    def test_and_by_the_server_name_in_tls(self, lab):
        hello = client_hello("shop.example.com")
        assert heard(lab, "client", "server", HTTPS, hello) == hello
        assert heard(lab, "client", "server", HTTPS, client_hello("shop.example.net")) == b""
        assert told(lab, dropping(lab, "TLS"), *BOTH)["action"] == "blocked"

    def test_the_model_says_that_the_firewall_will_be_asked(self, lab):
        address = lab["server"].address
        hops = [hop.origin for hop in walk(lab, "client", address, HTTP).request.hops if hop.stage == "network-firewall"]
        assert hops == ["policy stateless default aws:forward_to_sfe", "policy asks the firewall: rg-signatures, rg-domains"]
        fate = lab.reach(port=HTTP).fate("client", "server")
        assert (fate.passes, fate.origin) == (True, "policy asks the firewall: rg-signatures, rg-domains")

    def test_the_other_direction_is_not_home(self, lab):
        request = http_request("www.example.org")
        assert heard(lab, "server", "client", HTTP, request) == request

    def test_a_signature_drops_and_tells_in_aws_words(self, lab):
        assert heard(lab, "client", "server", HTTP, http_request("www.example.org", "/../etc/passwd")) == b""
        alert = told(lab, "rg-signatures#1", *BOTH)
        line = json.loads(alert["line"])
        assert set(line) == {"firewall_name", "availability_zone", "event_timestamp", "event"}
        assert (line["firewall_name"], line["event"]["event_type"], line["event"]["dest_port"]) == ("nfw", "alert", HTTP)
        assert line["event"]["alert"] | {"category": ""} == {"action": "blocked", "gid": 1, "signature_id": 1, "rev": 1, "signature": "path traversal", "category": "", "severity": 3}

    def test_a_stateful_rule_by_port_is_named_by_group_and_sid(self, lab):
        assert lab["client"].tcp("server", SMTP, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert walk(lab, "client", lab["server"].address, SMTP).origin == "rg-signatures#2"
        assert told(lab, "rg-signatures#2", *BOTH)["destination"] == f"{lab['server'].address}:{SMTP}"

    def test_explain_finds_it_too(self, lab):
        explanation = lab.explain("client", "server", port=SMTP, timeout_s=SILENCE_S)
        assert (explanation.passed, explanation.agrees) == (False, True)
        assert explanation.cause_origin == "rg-signatures#2"

    def test_the_stateless_engine_drops_before_suricata_sees_anything(self, lab):
        with lab.capture("nfw-a-engine", "nfw-b-engine", filter=f"tcp port {TELNET}") as capture:
            explanation = lab.explain("client", "server", port=TELNET, timeout_s=SILENCE_S)
        assert capture.packets == []
        assert (explanation.cause_origin, explanation.agrees) == ("rg-telnet#10", True)

    def test_it_is_no_hop_and_changes_nothing(self, lab):
        with lab.capture("server", filter="tcp") as capture:
            assert lab["client"].tcp("server", HTTP).answer is Answer.REFUSED
        (syn,) = (packet for packet in capture.packets if packet[TCP].flags == "S")
        assert (syn[IP].src, syn[IP].ttl) == (str(lab["client"].address), 64)

    def test_much_data_arrives_as_it_was(self, lab):
        message = http_request("www.example.com") + os.urandom(40_000)
        received = heard(lab, "client", "server", HTTP, message)
        assert received
        assert message.startswith(received)
        assert len(received) > 1500

    def test_without_appliance_mode_each_endpoint_sees_half_a_flow(self, lab):
        before = lab.topology
        lab.change(with_resources(before, resource(before, "attach-inspection", appliance_mode_support=False)))
        try:
            assert lab["client"].tcp("server", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
            found = walk(lab, "client", lab["server"].address, HTTP)
            assert (found.leg.value, found.origin) == ("reply", "policy stream exception policy: nfw-b has not seen the flow begin")
        finally:
            lab.change(before)

    def test_other_rules_are_read_without_a_restart(self, lab):
        before, services = lab.topology, lab.ps()
        group = resource(before, "rg-signatures")
        lab.change(with_resources(before, replace(group, rules_string='drop tcp any any -> any 8025 (msg:"another"; sid:9;)')))
        try:
            assert soon(lambda: all("rule reload complete" in (lab.log_directory / f"{endpoint}.suricata.log").read_text() for endpoint in BOTH))
            assert lab["client"].tcp("server", SMTP).answer is Answer.REFUSED
            assert lab["client"].tcp("server", 8025, timeout_s=SILENCE_S).answer is Answer.SILENT
            assert [service.pid for service in lab.ps()] == [service.pid for service in services]
        finally:
            lab.change(before)

    def test_it_fails_closed_until_it_is_back(self, lab):
        for endpoint in BOTH:
            lab.fail(f"{endpoint}.suricata")
        try:
            assert soon(lambda: lab["client"].ping("server", timeout_s=SILENCE_S).answer is Answer.SILENT)
        finally:
            lab.heal()
        assert soon(lambda: all(service.state == "ready" for service in lab.ps()))
        assert lab["client"].ping("server").answer is Answer.ANSWERED

    def test_a_killed_suricata_is_brought_back(self, lab):
        before = next(service for service in lab.ps() if service.name == "nfw-a.suricata")
        (child,) = lab["nfw-a-engine"].run("pgrep", "-P", str(before.pid)).out.split()
        os.kill(int(child), signal.SIGKILL)
        assert soon(lambda: next((s.state, s.restarts) for s in lab.ps() if s.name == before.name) == ("ready", before.restarts + 1))
        assert lab["client"].ping("server").answer is Answer.ANSWERED


def flows_to(lab, port):
    return [event for event in events(lab, "firewall_flow", "nfw-a") if event["destination"].endswith(f":{port}")]


def dropping(lab, protocol):
    """The name of the generated rule that drops what no allowed domain names."""
    group = resource(lab.topology, "rg-domains")
    return next(f"rg-domains#{rule.sid}" for rule in group.rules() if rule.action == "drop" and rule.protocol == protocol.lower())


def edge():
    """A web server behind a firewall between its subnet and the internet gateway, in both directions; rules in strict order."""
    region = "eu-west-1"
    rules = (
        StatefulRule(action="drop", protocol="tcp", destination_port="8080", rule_options='msg:"not this one"; sid:1;'),
        StatefulRule(action="pass", protocol="tcp", destination_port="[80,8000:8100]", rule_options='msg:"web"; sid:2;'),
        StatefulRule(action="drop", protocol="tcp", destination_port="8081", rule_options='msg:"too late"; sid:3;'),
        StatefulRule(action="pass", protocol="icmp", rule_options='msg:"pings"; sid:4;'),
        StatefulRule(action="pass", protocol="http", destination_port="9000", rule_options='msg:"get"; http.method; content:"GET"; sid:5;'),
    )
    return Topology(
        name="edge",
        resources=(
            Internet(),
            User(id="visitor", city="Paris"),
            Vpc(id="vpc", region=region, cidr_block="10.0.0.0/16"),
            InternetGateway(id="igw", vpc_id="vpc"),
            Subnet(id="subnet-web", vpc_id="vpc", cidr_block="10.0.1.0/24", availability_zone=f"{region}a"),
            Subnet(id="subnet-app", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone=f"{region}a"),
            Subnet(id="subnet-firewall", vpc_id="vpc", cidr_block="10.0.9.0/24", availability_zone=f"{region}a"),
            RouteTable(id="rtb-edge", vpc_id="vpc", gateway_associations=("igw",), routes=(Route(destination_cidr_block="10.0.1.0/24", vpc_endpoint_id="vpce-nfw-a"),)),
            RouteTable(
                id="rtb-web", vpc_id="vpc", associations=("subnet-web",),
                routes=(Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-nfw-a"), Route(destination_cidr_block="10.0.2.0/24", vpc_endpoint_id="vpce-nfw-a")),
            ),
            RouteTable(id="rtb-app", vpc_id="vpc", associations=("subnet-app",), routes=(Route(destination_cidr_block="10.0.1.0/24", vpc_endpoint_id="vpce-nfw-a"),)),
            RouteTable(id="rtb-firewall", vpc_id="vpc", associations=("subnet-firewall",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"),)),
            SecurityGroup(id="sg-web", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)),
            SecurityGroup(id="sg-app", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-web"),)),
            Instance(id="web", subnet_id="subnet-web", security_group_ids=("sg-web",)),
            Instance(id="app", subnet_id="subnet-app", security_group_ids=("sg-app",)),
            ElasticIp(id="eip", region=region, instance_id="web"),
            RuleGroup(id="rg-stateless", type="STATELESS", stateless_rules=(StatelessRule(priority=5, action="aws:pass", protocols=(Protocol.UDP,), destination_ports=(PortRange(first=53, last=53),)),)),
            RuleGroup(id="rg-strict", type="STATEFUL", rule_order="STRICT_ORDER", stateful_rules=rules),
            FirewallPolicy(
                id="policy", rule_order="STRICT_ORDER", stateful_default_actions=("aws:drop_established", "aws:alert_established"),
                stateless_rule_group_references=(RuleGroupReference(resource_arn="rg-stateless", priority=1),),
                stateful_rule_group_references=(RuleGroupReference(resource_arn="rg-strict", priority=1),),
            ),
            NetworkFirewall(id="nfw", vpc_id="vpc", subnet_mappings=("subnet-firewall",), firewall_policy_arn="policy"),
        ),
    )  # fmt: skip


@pytest.mark.topology.with_args(edge)
class TestBetweenInternetAndVpc:
    """North-south by the internet gateway's route table, east-west by a route more specific than local, in strict order."""

    def test_what_comes_from_the_internet_crosses_the_endpoint_both_ways(self, lab):
        address = public_address(lab, "web")
        with lab.capture("nfw-a", filter="icmp") as capture:
            assert lab["visitor"].ping(address).answer is Answer.ANSWERED
        private = str(lab["web"].address)
        assert {private} <= {packet[IP].dst for packet in capture.packets} & {packet[IP].src for packet in capture.packets}, "between the internet gateway and the instance"
        assert walk(lab, "visitor", address, None, Protocol.ICMP).outcome.value == "delivered"

    @pytest.mark.parametrize(("port", "answer", "origin"), [(80, Answer.REFUSED, ""), (8080, Answer.SILENT, "rg-strict#1"), (8081, Answer.REFUSED, "")])
    def test_the_first_rule_that_takes_a_packet_decides(self, lab, port, answer, origin):
        """8080 by a drop before the pass that also has it; 8081 by that pass, before the drop."""
        address = public_address(lab, "web")
        assert lab["visitor"].tcp(address, port, timeout_s=SILENCE_S).answer is answer
        found = walk(lab, "visitor", address, port)
        assert (found.outcome.value == "delivered") is (answer is Answer.REFUSED)
        assert not origin or found.origin == origin

    def test_established_flows_that_no_rule_passes_are_dropped_once_they_say_something(self, lab):
        address = str(public_address(lab, "web"))
        get, post = http_request("x"), http_request("x").replace(b"GET", b"PUT")
        assert heard(lab, "visitor", "web", 9000, get, address) == get, "passed by rg-strict#5"
        assert heard(lab, "visitor", "web", 9000, post, address) == b""
        assert heard(lab, "visitor", "web", 9001, get, address) == b"", "the handshake passes, what follows does not"
        assert told(lab, "policy aws:drop_established", "nfw-a")["action"] == "blocked"
        assert walk(lab, "visitor", public_address(lab, "web"), 9001).request.hops[-1].verdict.value == "allow"

    def test_trap_13_a_reference_to_a_group_survives_a_network_firewall(self, lab):
        """Belief: sg-app admits members of sg-web, and web is one. Truth: its packets come through the endpoint, which is no member; a CIDR block admits them (row 13)."""
        assert lab["web"].tcp("app", 80, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert walk(lab, "web", lab["app"].address, 80).origin == "sg-app#ingress no rule"
        before = lab.topology
        lab.change(with_resources(before, resource(before, "sg-app", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.1.0/24"),))))
        assert lab["web"].tcp("app", 80).answer is Answer.REFUSED
        lab.change(before)

    def test_flows_are_told_when_they_are_over(self, lab):
        request = http_request("x")
        assert heard(lab, "visitor", "web", HTTP, request, str(public_address(lab, "web"))) == request
        assert soon(lambda: flows_to(lab, HTTP))
        found = flows_to(lab, HTTP)[-1]
        line = json.loads(found["line"])
        assert line["event"]["event_type"] == "netflow"
        assert line["event"]["netflow"]["pkts"] == found["packets"]
