"""Captures, seen by real packets between two namespaces and by the programs that read them."""

import socket
import subprocess
from pathlib import Path

import pytest

from testbed.observe.bpf import FilterError, compile_filter
from testbed.observe.capture import Capture
from testbed.observe.packets import Frame, header_of
from testbed.observe.pcapng import PcapngWriter


def exchange(lab, text: bytes = b"hello", port: int = 7000) -> None:
    """One UDP datagram from left to right, received."""
    with lab.socket("right", socket.AF_INET, socket.SOCK_DGRAM) as right, lab.socket("left", socket.AF_INET, socket.SOCK_DGRAM) as left:
        right.bind(("192.0.2.2", port))
        right.settimeout(2)
        left.sendto(text, ("192.0.2.2", port))
        assert right.recv(100) == text


@pytest.mark.packets
def test_a_packet_is_seen_at_both_ends_in_order_of_the_kernels_time(namespace_lab):
    with Capture(namespace_lab, ("right", "left"), filter="udp port 7000") as capture:
        exchange(namespace_lab)
        assert capture.wait_for(2)
    assert [(f.where, f.outgoing) for f in capture.frames] == [("left/eth0", True), ("right/eth0", False)]
    assert all(header_of(f).receiver == "192.0.2.2:7000" for f in capture.frames)
    assert 0 <= capture.frames[1].time_ns - capture.frames[0].time_ns < 50_000_000


@pytest.mark.packets
def test_a_filter_keeps_everything_else_out(namespace_lab):
    with Capture(namespace_lab, ("right/eth0",), filter="udp port 7001") as capture:
        exchange(namespace_lab, port=7000)
        exchange(namespace_lab, port=7001)
        assert capture.wait_for(1)
    assert [header_of(f).destination_port for f in capture.frames] == [7001]


@pytest.mark.packets
def test_packets_are_scapys(namespace_lab):
    with Capture(namespace_lab, ("right",), filter="udp") as capture:
        exchange(namespace_lab, b"scapy reads this")
        assert capture.wait_for(1)
    packet = capture.packets[0]
    assert packet["UDP"].dport == 7000
    assert bytes(packet["UDP"].payload) == b"scapy reads this"
    assert packet.sniffed_on == "right/eth0"


@pytest.mark.packets
def test_loopback_packets_are_seen_once(namespace_lab):
    with Capture(namespace_lab, ("left/lo",), filter="udp") as capture, namespace_lab.socket("left", socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 7002))
        sock.sendto(b"x", ("127.0.0.1", 7002))
        sock.recv(1)
        assert capture.wait_for(1)
    assert len(capture.frames) == 1


@pytest.mark.packets
def test_a_sink_that_fails_ends_the_capture_and_its_failure_is_told(namespace_lab):
    def broken_pipe(frames):
        raise BrokenPipeError

    capture = Capture(namespace_lab, ("right",), filter="udp", sink=broken_pipe)
    exchange(namespace_lab)
    with pytest.raises(BrokenPipeError):
        capture.stop()


def test_an_unknown_filter_word_is_explained_by_tcpdump():
    with pytest.raises(FilterError, match="syntax error"):
        compile_filter("tcp pot 80")


def test_tcpdump_reads_what_is_written_with_names_and_nanoseconds(tmp_path: Path):
    data = bytes.fromhex("ffffffffffff0200000000010800" "4500001c00010000401166ce0a0000010a000002" "303900350008bbe2")
    path = tmp_path / "two.pcapng"
    with path.open("wb") as stream:
        writer = PcapngWriter(stream)
        for node, time_ns in (("client", 1_700_000_000_123_456_789), ("web-a", 1_700_000_000_123_456_999)):
            writer.write(Frame(time_ns=time_ns, node=node, interface="eth0", outgoing=False, data=data, length_bytes=len(data)))
        writer.flush()
    shown = subprocess.run(("tcpdump", "--nano", "-tt", "-n", "-r", str(path)), capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["1700000000.123456789", "1700000000.123456999"]
    assert "10.0.0.1.12345 > 10.0.0.2.53" in shown[0]
    assert b"client/eth0" in path.read_bytes() and b"web-a/eth0" in path.read_bytes()
