"""Site-to-Site VPN over real IKE and ESP (facts: section 7; misconceptions 22 and 23): see topologies/vpn_link.py."""

import os
import signal
import socket
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from testbed.engine import syscalls
from testbed.model import CustomerDeviceTunnel, OnPremisesSite, Topology, VpnConnection, VpnTunnelOptions
from testbed.observe.capture import Capture
from testbed.observe.probe import Answer
from testbed.observe.vpn_telemetry import DOWN, UP, VpnTelemetry
from tests.scenarios.sending import listening
from topologies.vpn_link import vpn_link

PC, WEB = IPv4Address("192.168.10.10"), IPv4Address("10.0.1.10")
ENDPOINTS = ("198.19.12.49", "198.19.12.72")
PORT = 80
SECRET = b"the plain text of a payslip"
NAT_T = 4500
PATIENCE_S = 15.0


def changed(kind: type, topology: Topology, **fields: object) -> Topology:
    return replace(topology, resources=tuple(replace(each, **fields) if isinstance(each, kind) else each for each in topology.resources))


def hurried() -> Topology:
    """The link, with dead peers noticed in 2.5 s."""
    return replace(vpn_link(), time_scale=20)


def ping(lab: Any, source: str, destination: IPv4Address, *options: str) -> bool:
    with lab.popen(source, ["ping", "-q", "-c", "1", "-W", "1", *options, str(destination)]) as program:
        return program.wait() == 0


def ping_until_answered(lab: Any, source: str, destination: IPv4Address) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if ping(lab, source, destination):
            return True
    return False


def send_text(lab: Any, source: str, address: IPv4Address, text: bytes) -> bytes:
    """What a TCP server at `address`, behind its node's name, has read once `source` has said `text` and closed."""
    node, received = ("web" if address == WEB else "pc"), bytearray()
    with listening(lab, node, PORT) as server:

        def read() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(65536):
                    received.extend(data)

        reader = threading.Thread(target=read)
        reader.start()
        with lab.socket(source, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect((str(address), PORT))
            client.sendall(text)
        reader.join(10)
    return bytes(received)


@pytest.mark.topology.with_args(hurried)
def test_both_tunnels_are_up_and_carry_pings_both_ways(lab):
    assert all(VpnTelemetry(lab).wait_for(UP, "vpn-office", number, PATIENCE_S) for number in (1, 2))  # AWS's end tells of it a moment after it works
    tunnels = VpnTelemetry(lab).tunnels("vpn-office")
    assert [(tunnel.tunnel, tunnel.status, tunnel.status_message, tunnel.accepted_route_count) for tunnel in tunnels] == [(1, UP, "IPSEC IS UP", 1), (2, UP, "IPSEC IS UP", 1)]
    assert ping(lab, "pc", WEB)
    assert ping(lab, "web", PC)
    assert not ping(lab, "lonely", PC)


@pytest.mark.topology.with_args(hurried)
def test_exam_encrypted_hybrid_with_a_quick_setup_is_a_vpn(lab):
    """Belief: private traffic needs a private line. Truth: a VPN goes over any line that there is already; the internet sees ESP where the LAN sees the text."""
    with Capture(lab, ("city-london/dublin",)) as internet, Capture(lab, ("router-office/l-pc",)) as lan:
        assert send_text(lab, "pc", WEB, SECRET) == SECRET
        assert internet.wait_for(6)
    inside, outside = b"".join(frame.data for frame in lan.frames), b"".join(frame.data for frame in internet.frames)
    assert SECRET in inside
    assert SECRET not in outside
    packets = [packet for packet in internet.packets if IP in packet]
    assert packets and all(UDP in packet and NAT_T in (packet[UDP].sport, packet[UDP].dport) for packet in packets)
    assert {packet[IP].src for packet in packets} | {packet[IP].dst for packet in packets} <= {*ENDPOINTS, "198.18.7.254"}


@pytest.mark.topology.with_args(hurried)
def test_large_transfers_pass_since_the_router_clamps_segments(lab):
    text = os.urandom(300_000)
    with Capture(lab, ("web/eth0",), filter="tcp") as capture:
        assert send_text(lab, "pc", WEB, text) == text
    offered = [dict(packet[TCP].options)["MSS"] for packet in capture.packets if TCP in packet and packet[TCP].flags & 0x02 and packet[IP].src == str(PC)]
    assert offered and set(offered) == {1360}


@pytest.mark.topology.with_args(hurried)
def test_what_comes_out_of_a_tunnel_is_joined_before_the_gateway(lab):
    with syscalls.network_namespace(lab.node("vgw").namespace.descriptor):
        devices = syscalls.filesystem("sysfs")
    try:
        said = {name: Path(f"/proc/self/fd/{devices}/class/net/{name}/threaded").read_text().strip() for name in ("t-vpn-office-1", "t-vpn-office-2", "vpc")}
    finally:
        os.close(devices)
    assert said == {"t-vpn-office-1": "1", "t-vpn-office-2": "1", "vpc": "0"}


@pytest.mark.topology.with_args(hurried)
def test_trap_23_a_vpn_carries_1500_bytes(lab):
    """Belief: a path carries 1500 bytes, or says so. Truth: a packet that is too long for the tunnel vanishes without a word (row 23); TCP is saved by MSS clamping, see above."""
    with Capture(lab, ("web/eth0",), filter="icmp") as capture:
        assert ping(lab, "web", PC, "-M", "do", "-s", str(1400 - 28))
        assert not ping(lab, "web", PC, "-M", "do", "-s", str(1401 - 28))
        assert ping(lab, "web", PC, "-M", "dont", "-s", "3000")
    assert {packet[ICMP].type for packet in capture.packets if ICMP in packet} == {8, 0}


@pytest.mark.topology.with_args(hurried)
def test_explain_crosses_the_tunnel_and_the_model_agrees(lab):
    found = lab.explain("pc", "web", protocol="icmp")
    assert found.passed and found.agrees
    assert [hop.node for hop in found.hops if hop.leg == "request"] == ["router-office", "vpn-office-tunnel-1", "vgw", "vpc"]
    refused = lab.explain("pc", "web", port=22)
    assert not refused.passed and refused.agrees and refused.cause_origin == "sg-web#ingress no rule"
    unconnected = lab.explain("lonely", "pc", protocol="icmp")
    assert not unconnected.passed and unconnected.agrees


@pytest.mark.topology.with_args(hurried)
def test_rekeying_loses_nothing(lab):
    socket_of = "unix:///run/testbed/ipsec/vpn-office-tunnel-1.vici"
    with lab.popen("web", ["ping", "-q", "-i", "0.01", "-c", "60", "-W", "1", str(PC)], stdout=-1) as program:
        for what in ("--child", "--ike"):
            name = "esp" if what == "--child" else "vpn-office-tunnel-1"
            with lab.popen("vpn-office-tunnel-1", ["swanctl", "--rekey", what, name, "--uri", socket_of], stdout=-1) as rekeying:
                assert rekeying.wait() == 0
        said = program.communicate()[0].decode()
    assert " 0% packet loss" in said


@pytest.mark.topology.with_args(hurried)
def test_a_killed_charon_comes_back_and_so_does_its_tunnel(lab):
    service = next(status for status in lab.ps() if status.name == "vpn-office-tunnel-2.ipsec")
    before = VpnTelemetry(lab).tunnels("vpn-office")[1].last_status_change
    charon = int(lab.popen(service.node, ["pgrep", "-P", str(service.pid)], stdout=-1).communicate()[0].split()[0])
    os.kill(charon, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while VpnTelemetry(lab).tunnels("vpn-office")[1].last_status_change <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert VpnTelemetry(lab).wait_for(UP, "vpn-office", 2, PATIENCE_S)
    assert next(status for status in lab.ps() if status.name == "vpn-office-tunnel-2.ipsec").restarts == 1
    left = lab.popen("vpn-office-tunnel-2", ["ip", "-o", "link"], stdout=-1).communicate()[0].decode()
    assert left.count("ipsec") == 1


@pytest.mark.topology.with_args(hurried)
def test_a_dead_tunnel_is_noticed_and_the_other_takes_over_then_both_dead(lab):
    with lab.popen("vpn-office-tunnel-1", ["ip", "link", "set", "eth0", "down"]) as cut:
        cut.wait()
    assert VpnTelemetry(lab).wait_for(DOWN, "vpn-office", 1, PATIENCE_S)
    assert ping_until_answered(lab, "web", PC) and ping_until_answered(lab, "pc", WEB)
    with lab.popen("vpn-office-tunnel-2", ["ip", "link", "set", "eth0", "down"]) as cut:
        cut.wait()
    assert VpnTelemetry(lab).wait_for(DOWN, "vpn-office", 2, PATIENCE_S)
    with Capture(lab, ("city-london/dublin",)) as internet:
        assert not ping(lab, "pc", WEB)
    assert not any(IP in packet and packet[IP].dst == str(WEB) for packet in internet.packets)


def asymmetric() -> Topology:
    """The office prefers the second tunnel, AWS the first; and by BGP."""
    devices = (CustomerDeviceTunnel(metric=200), CustomerDeviceTunnel(metric=100))
    topology = changed(VpnConnection, vpn_link(), customer_device=devices, static_routes_only=False, static_routes=())
    return replace(topology, name="asymmetric")


@pytest.mark.topology.with_args(asymmetric)
def test_trap_22_both_tunnels_share_the_load_of_a_virtual_private_gateway(lab):
    """Belief: two tunnels, twice the bandwidth. Truth: AWS sends by its own one, whichever the request came by (row 22)."""
    assert ping_until_answered(lab, "pc", WEB)  # BGP
    with Capture(lab, ("vgw/t-vpn-office-1", "vgw/t-vpn-office-2"), filter="icmp") as capture:
        assert ping(lab, "pc", WEB)
    by = {packet[ICMP].type: packet.sniffed_on for packet in capture.packets if ICMP in packet}
    assert by == {8: "vgw/t-vpn-office-2", 0: "vgw/t-vpn-office-1"}
    assert lab.explain("pc", "web", protocol="icmp").agrees


@pytest.mark.topology.with_args(asymmetric)
def test_trap_22_a_reverse_path_filter_on_the_customers_router_may_be_strict(lab):
    """Belief: what comes by another way than it should is forged. Truth: then AWS's answers are dropped (row 22)."""
    assert ping_until_answered(lab, "pc", WEB)
    lab.change(changed(OnPremisesSite, asymmetric(), reverse_path_filter="strict"))
    with Capture(lab, ("vgw/t-vpn-office-1",), filter="icmp") as capture:
        assert not ping(lab, "pc", WEB)
        assert capture.wait_for(1)
    assert lab.explain("pc", "web", protocol="icmp").agrees
    lab.change(asymmetric())
    assert ping(lab, "pc", WEB)


def mistaken() -> Topology:
    """A wrong key in one tunnel, proposals that do not meet in the other."""
    options = (VpnTunnelOptions(pre_shared_key="the_right_key"), VpnTunnelOptions(phase1_dh_group_numbers=(14, 15)))
    devices = (CustomerDeviceTunnel(pre_shared_key="the_wrong_key"), CustomerDeviceTunnel())
    return replace(changed(VpnConnection, vpn_link(), vpn_tunnel_options=options, customer_device=devices), name="mistaken")


@pytest.mark.topology.with_args(mistaken)
def test_tunnels_that_cannot_come_up_say_why(lab):
    tunnels = VpnTelemetry(lab).tunnels("vpn-office")
    assert [(tunnel.status, tunnel.details) for tunnel in tunnels] == [
        (DOWN, "vpn-office tunnel 1: the pre-shared keys differ"),
        (DOWN, "vpn-office tunnel 2: IKE (phase 1): no proposal in common"),
    ]
    found = lab.explain("pc", "web", protocol="icmp")
    assert not found.passed and found.agrees
    assert found.sent.answer is Answer.SILENT


@pytest.mark.topology.with_args(mistaken)
def test_what_is_mended_while_the_lab_runs_brings_the_tunnels_up(lab):
    lab.change(changed(VpnConnection, mistaken(), vpn_tunnel_options=(VpnTunnelOptions(pre_shared_key="the_wrong_key"), VpnTunnelOptions())))
    try:
        assert all(VpnTelemetry(lab).wait_for(UP, "vpn-office", number, PATIENCE_S) for number in (1, 2))
        assert ping_until_answered(lab, "pc", WEB)
    finally:
        lab.change(mistaken())
