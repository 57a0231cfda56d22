"""Network ACLs to the letter: replies are judged like anything else, neighbours never are, and a protocol is a number.

Traps 1 and 2 of tests/scenarios/README.md, "What people get wrong".
"""

import itertools

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from testbed.model import Direction, FlowLog, NetworkAcl, NetworkAclEntry, PortRange, Protocol, Route, RouteTable, SecurityGroup, SecurityGroupRule, Verdict
from testbed.observe.probe import Answer
from testbed.oracle import Oracle, Outcome, Probe
from tests.scenarios.sending import listening, send_raw
from tests.scenarios.shop import public_address, resource, with_resources
from topologies.sg_vs_nacl import APP, BASTION, HTTP, SERVICE

pytestmark = [pytest.mark.packets, pytest.mark.topology("sg_vs_nacl")]

SILENCE_S = 0.3
SOON_S = 5.0
ANYWHERE = "0.0.0.0/0"
ESP, EXPERIMENTAL = 50, 253
EVERYTHING = SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE)


@pytest.fixture
def change(lab):
    """Change the running lab; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lambda *changed: lab.change(with_resources(lab.topology, *changed))
    if lab.topology is not before:
        lab.change(before)


def entry(number, direction, action=Verdict.ALLOW, cidr_block=ANYWHERE, protocol=Protocol.ANY, ports=None, **icmp):
    port_range = None if ports is None else PortRange(first=ports[0], last=ports[-1])
    return NetworkAclEntry(rule_number=number, direction=direction, rule_action=action, cidr_block=cidr_block, protocol=protocol, port_range=port_range, **icmp)


def acl(subnet, *entries):
    return NetworkAcl(id=f"acl-{subnet}", vpc_id="vpc-lab", associations=(subnet,), entries=entries)


def open_group(group_id):
    return SecurityGroup(id=group_id, vpc_id="vpc-lab", security_group_ingress=(EVERYTHING,))


def test_trap_01_a_network_acl_that_opens_port_80_is_enough(lab, change):
    """Belief: inbound (and outbound) port 80 in the ACL is enough for a web server.

    Truth: an ACL keeps no state. The server's answer goes to the client's ephemeral port, which needs an outbound rule of its own (row 1).
    """
    both_ways = tuple(entry(100, direction, protocol=Protocol.TCP, ports=(HTTP,)) for direction in Direction)
    change(acl("public", *both_ways), FlowLog(id="fl-web", resource_id="eni-web", max_aggregation_interval=60))
    outside, log = public_address(lab, "web"), lab.flow_logs("eni-web")
    with listening(lab, "web", HTTP), lab.capture("web", "igw-lab", "client", filter=f"tcp port {HTTP}") as capture:
        assert lab["client"].tcp(outside, HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
        seen = {(packet.sniffed_on.partition("/")[0], str(packet[TCP].flags)) for packet in capture.packets}
        assert ("web", "SA") in seen, "the server answers"
        assert not {("igw-lab", "SA"), ("client", "SA")} & seen, "and its answer ends at the subnet's border"
        assert [flags for node, flags in seen if node == "client"] == ["S"], "the client hears nothing"
        asked, answered = (log.wait_for(1, SOON_S, **{port: str(HTTP)})[0] for port in ("dstport", "srcport"))
        assert (asked["action"], answered["action"]) == ("ACCEPT", "REJECT"), "two lines of the flow log for one exchange"
        change(acl("public", *both_ways, entry(110, Direction.OUTBOUND, protocol=Protocol.TCP, ports=(1024, 65535))))
        assert lab["client"].tcp(outside, HTTP).answer is Answer.ANSWERED


def test_trap_02_a_network_acl_protects_neighbours_from_each_other(lab, change):
    """Belief: an ACL that denies everything isolates the hosts of its subnet.

    Truth: it is asked at the subnet's border only; inside, it does not exist (row 2).
    """
    change(acl("public"), open_group("sg-neighbour"))
    with lab.capture("neighbour", filter="icmp") as capture:
        assert lab["bastion"].ping("neighbour").answer is Answer.ANSWERED
    assert [packet[ICMP].type for packet in capture.packets] == [8, 0]
    change(resource(lab.topology, "neighbour", subnet_id="private", private_ip_address="10.0.1.30"))
    with lab.capture("bastion", "neighbour", filter="icmp") as capture:
        assert lab["bastion"].ping("neighbour", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert [packet.sniffed_on for packet in capture.packets] == ["bastion/eth0"], "across the border the very same ping is dropped"


def test_exam_security_groups_are_stateful_and_network_acls_are_stateless(lab, change):
    """Belief: both are firewalls, so both let the answer out that belongs to what they let in.

    Truth: a security group does, though it has no egress rule at all; a network ACL does not, until a rule speaks of the answer.
    """
    change(resource(lab.topology, "sg-app", security_group_egress=()))
    with listening(lab, "app", SERVICE), lab.capture("app", "web", filter=f"tcp src port {SERVICE}") as capture:
        assert lab["web"].tcp("app", SERVICE).answer is Answer.ANSWERED
    assert {packet.sniffed_on for packet in capture.packets if packet[TCP].flags == "SA"} == {"app/eth0", "web/eth0"}, "no egress rule, and the answer passes"
    change(acl("private", entry(100, Direction.INBOUND)))
    with listening(lab, "app", SERVICE), lab.capture("app", "web", filter=f"tcp src port {SERVICE}") as capture:
        assert lab["web"].tcp("app", SERVICE, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets if packet[TCP].flags == "SA"} == {"app/eth0"}, "no outbound entry, and it ends at the subnet's border"
    change(acl("private", entry(100, Direction.INBOUND), entry(100, Direction.OUTBOUND, protocol=Protocol.TCP, ports=(1024, 65535))))
    with listening(lab, "app", SERVICE):
        assert lab["web"].tcp("app", SERVICE).answer is Answer.ANSWERED


def test_a_change_cuts_a_session_that_security_groups_would_let_live(lab, change):
    change(open_group("sg-app"))
    with listening(lab, "app", SERVICE) as listener, lab["web"].socket() as near:
        near.settimeout(1)
        near.connect((APP, SERVICE))
        far, _ = listener.accept()
        with far:
            far.settimeout(SILENCE_S)
            change(acl("private", entry(100, Direction.INBOUND), entry(100, Direction.OUTBOUND), entry(50, Direction.INBOUND, Verdict.DENY, protocol=Protocol.TCP, ports=(SERVICE,))))
            near.sendall(b"more")
            with pytest.raises(TimeoutError):
                far.recv(100)


def test_the_lowest_number_decides_whatever_the_order_in_which_they_are_written(lab, change):
    change(open_group("sg-app"))
    entries = (
        entry(32766, Direction.INBOUND),
        entry(200, Direction.INBOUND, Verdict.DENY, cidr_block="10.0.0.0/24", protocol=Protocol.ICMP),
        entry(100, Direction.INBOUND, cidr_block=f"{BASTION}/32", protocol=Protocol.ICMP),
        entry(1, Direction.OUTBOUND),
    )
    for order in (entries, entries[::-1]):
        change(acl("private", *order))
        assert lab["bastion"].ping("app").answer is Answer.ANSWERED
        assert lab["web"].ping("app", timeout_s=SILENCE_S).answer is Answer.SILENT
        assert lab["web"].tcp("app", SERVICE).answer is Answer.REFUSED


@pytest.mark.parametrize("fillers", [0, 15], ids=["short list", "interval maps"])
def test_protocols_are_numbers_and_icmp_has_codes(lab, change, fillers):
    more = tuple(entry(1000 + n, Direction.INBOUND, Verdict.DENY, cidr_block=f"192.0.2.{n}/32") for n in range(fillers))
    entries = (
        entry(10, Direction.INBOUND, protocol=EXPERIMENTAL),
        entry(20, Direction.INBOUND, protocol=Protocol.ICMP, icmp_type=3, icmp_code=4),
        entry(30, Direction.INBOUND, protocol=Protocol.ICMP, icmp_type=8, icmp_code=-1),
        entry(40, Direction.INBOUND, Verdict.DENY, protocol=ESP),
        entry(50, Direction.INBOUND, cidr_block="10.0.0.0/24", protocol=Protocol.UDP),
    )
    change(open_group("sg-app"), acl("private", *entries, *more, entry(100, Direction.OUTBOUND)))
    oracle, app = Oracle(lab.resolved), lab["app"].address
    sent = [(number, None, None) for number in (ESP, EXPERIMENTAL, 254)] + [(1, icmp_type, code) for icmp_type, code in ((3, 4), (3, 3), (8, 0), (8, 3), (13, 0))]
    with lab.capture("app", filter=f"dst host {APP}") as capture:
        for number, icmp_type, code in sent:
            head = IP(src=BASTION, dst=APP, proto=number)
            send_raw(lab, "bastion", head / ICMP(type=icmp_type, code=code, id=1) / b"x" if icmp_type is not None else head / b"payload")
        capture.wait_for(4, SILENCE_S)
    arrived = {(packet[IP].proto, packet[ICMP].type, packet[ICMP].code) if packet.haslayer(ICMP) else (packet[IP].proto, None, None) for packet in capture.packets}
    probes = {(number, icmp_type, code): Probe(source="bastion", destination=app, protocol=Protocol(number), icmp_type=icmp_type, icmp_code=code) for number, icmp_type, code in sent}
    assert arrived == {key for key, probe in probes.items() if oracle.walk(probe).request.outcome is Outcome.DELIVERED}
    assert arrived == {(EXPERIMENTAL, None, None), (1, 3, 4), (1, 8, 0), (1, 8, 3)}


def test_no_border_is_crossed_on_the_way_to_a_next_hop_in_the_same_subnet(lab, change):
    """By way of a middlebox of the own subnet: "not as it is routed within a subnet"."""
    via = RouteTable(id="rtb-public", vpc_id="vpc-lab", associations=("public",), routes=(Route(destination_cidr_block=ANYWHERE, instance_id="neighbour"),))
    closed_outward = acl("public", entry(100, Direction.INBOUND))
    change(via, closed_outward, open_group("sg-neighbour"), open_group("sg-web"), resource(lab.topology, "neighbour", source_dest_check=False))
    with lab.capture("neighbour", filter="icmp and dst host 192.0.2.1") as capture:
        lab["bastion"].ping("192.0.2.1", timeout_s=SILENCE_S)
    assert "neighbour/eth0" in {packet.sniffed_on for packet in capture.packets}
    assert Oracle(lab.resolved).walk(Probe(source="bastion", destination=lab["client"].address, protocol=Protocol.ICMP)).request.hops[1].origin.startswith("rtb-public")


def test_the_oracle_says_the_same_of_ephemeral_ports(lab, change):
    change(open_group("sg-app"), acl("private", entry(1, Direction.INBOUND), entry(1, Direction.OUTBOUND, protocol=Protocol.TCP, ports=(32768, 60999))))
    oracle = Oracle(lab.resolved)
    with listening(lab, "app", SERVICE):
        for port in itertools.chain((1024, 32767), (32768, 60999), (61000,)):
            with lab["web"].socket() as sock:
                sock.bind(("0.0.0.0", port))
                sock.settimeout(SILENCE_S)
                connected = sock.connect_ex((APP, SERVICE)) == 0
            probe = Probe(source="web", destination=lab["app"].address, protocol=Protocol.TCP, destination_port=SERVICE, source_port=port)
            assert connected == (oracle.walk(probe).outcome is Outcome.DELIVERED), port
