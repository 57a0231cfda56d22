"""What the userspace wire does to frames: a line by itself, then real packets between two namespaces of a sandbox.

The packets are sent by this file run as a program inside `unshare`; it prints what it saw, and the tests judge it.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from testbed.engine.line import BUFFER_S, HELD_BYTES_LIMIT, VNET_HEADER_BYTES, Line
from testbed.engine.syscalls import CLONE_NEWNET, network_namespace, unshare
from testbed.engine.wire import WireChange, WireSpec, change_wire, create_tap, hold

MS, S = 1_000_000, 1_000_000_000
IDEAL = {"delay_ms": 0.0, "jitter_ms": 0.0, "loss_percent": 0.0, "rate_mbit": None}


def line(**parameters) -> Line:
    made = Line(3, 4, random.Random(7))
    made.set(**IDEAL | parameters)
    return made


def frame(number: int, payload_bytes: int = 100) -> bytes:
    return bytes(VNET_HEADER_BYTES) + number.to_bytes(4, "big") + bytes(payload_bytes - 4)


def number(held: bytes) -> int:
    return int.from_bytes(held[VNET_HEADER_BYTES : VNET_HEADER_BYTES + 4], "big")


def everything(of: Line, now: int) -> list[int]:
    return [number(held) for held in iter(lambda: of.leave(now), None)]


def test_a_frame_leaves_when_its_delay_has_passed_and_not_before():
    wire = line(delay_ms=20)
    assert wire.enter(frame(1), now=5 * MS)
    assert wire.leave(25 * MS - 1) is None
    assert wire.leave(25 * MS) == frame(1)


def test_frames_keep_their_order_whatever_the_jitter():
    wire = line(delay_ms=10, jitter_ms=9)
    for n in range(500):
        wire.enter(frame(n), now=n * 100_000)
    dues = [due for due, _ in wire.held]
    assert dues == sorted(dues)
    assert everything(wire, S) == list(range(500))


def test_jitter_stays_within_its_bounds_and_uses_them():
    delays = []
    for n in range(500):
        wire = line(delay_ms=10, jitter_ms=4)
        wire.random = random.Random(n)
        wire.enter(frame(n), now=0)
        delays.append(wire.held[0][0] / MS)
    assert 6 <= min(delays) < 6.5
    assert 13.5 < max(delays) <= 14


def test_the_share_of_frames_that_is_lost_is_the_one_asked_for():
    wire = line(loss_percent=25)
    passed = sum(wire.enter(frame(n), now=0) for n in range(4000))
    assert 2880 < passed < 3120
    assert wire.dropped == 4000 - passed


def test_a_limited_rate_spaces_frames_by_their_time_on_the_wire():
    wire = line(delay_ms=5, rate_mbit=8)
    for n in range(3):
        wire.enter(frame(n, payload_bytes=1000), now=0)
    assert [due for due, _ in wire.held] == [6 * MS, 7 * MS, 8 * MS]


def test_a_wire_of_limited_rate_drops_what_its_buffer_cannot_hold():
    wire = line(rate_mbit=8)
    passed = sum(wire.enter(frame(n, payload_bytes=1000), now=0) for n in range(1000))
    assert passed == BUFFER_S * 1000 + 1


def test_a_flood_is_bounded_in_memory():
    wire = line(delay_ms=1000)
    large = bytes(1024 * 1024)
    passed = sum(wire.enter(large, now=0) for _ in range(100))
    assert passed == HELD_BYTES_LIMIT // len(large) + 1


def test_a_shorter_delay_does_not_let_later_frames_overtake():
    wire = line(delay_ms=100)
    wire.enter(frame(1), now=0)
    wire.set(**IDEAL | {"delay_ms": 1})
    wire.enter(frame(2), now=0)
    assert wire.leave(50 * MS) is None
    assert everything(wire, 100 * MS) == [1, 2]


# Real packets.


def sandboxed(scenario: str) -> dict:
    """What `scenario` saw in a sandbox of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs the programs unshare and ip")
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    enter = ["unshare", *(() if os.geteuid() == 0 else ("-U", "-r")), "-n", "-m", "-p", "-i", "-u", "--fork", "--mount-proc", "--kill-child", "--"]
    if subprocess.run([*enter, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root or unprivileged user namespaces")
    root = Path(__file__).parents[3]
    done = subprocess.run([*enter, sys.executable, __file__, scenario], capture_output=True, text=True, timeout=60, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.packets
def test_twenty_milliseconds_each_way_are_forty_there_and_back_until_the_wire_is_changed():
    seen = sandboxed("delay")
    assert seen["rtt_ms"] >= 40
    assert 10 <= seen["changed_rtt_ms"] < seen["rtt_ms"]


@pytest.mark.packets
def test_packets_arrive_in_order_over_a_jittering_wire():
    assert sandboxed("order")["received"] == list(range(300))


@pytest.mark.packets
def test_a_killed_wire_is_replaced_without_the_interfaces_noticing():
    seen = sandboxed("replacement")
    assert seen["interfaces_after"] == seen["interfaces_before"]
    assert seen["answer_while_dead"] is None
    assert seen["rtt_after_ms"] >= 40


@pytest.mark.packets
@pytest.mark.parametrize("scenario", ["whole_segments", "lossy"])
def test_a_tcp_stream_arrives_unharmed(scenario):
    seen = sandboxed(scenario)
    assert seen["received"] == seen["sent"]


@pytest.mark.packets
def test_the_other_wires_go_on_when_one_is_deleted():
    assert sandboxed("deletion")["rtt_ms"] >= 40


class Network:
    """Two namespaces with addresses 10.9.0.1 and .2, and the process that holds the wire between them."""

    def __init__(self, **parameters):
        self.a = os.open("/proc/self/ns/net", os.O_RDONLY)
        unshare(CLONE_NEWNET)
        self.b = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.wires = [WireSpec(a=(self.a, "wire-a"), b=(self.b, "wire-b"), **parameters)]
        for end, (netns, name) in enumerate((self.wires[0].a, self.wires[0].b)):
            create_tap(netns, name)
            self.ip(netns, "address", "add", f"10.9.0.{end + 1}/24", "dev", name)
            self.ip(netns, "link", "set", "dev", name, "up")
        self.start()

    def ip(self, netns, *arguments):
        with network_namespace(netns):
            return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout

    def start(self):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.control.close()
            hold(self.wires, theirs)
            os._exit(0)
        theirs.close()
        while not all("LOWER_UP" in self.ip(netns, "-o", "link", "show", "dev", name) for wire in self.wires[:1] for netns, name in (wire.a, wire.b)):
            time.sleep(0.005)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def socket(self, netns, kind, address=None):
        with network_namespace(netns):
            made = socket.socket(socket.AF_INET, kind)
        made.settimeout(5)
        if address is not None:
            made.bind((address, 9000))
        return made

    def echo(self):
        server = self.socket(self.b, socket.SOCK_DGRAM, "10.9.0.2")
        server.settimeout(None)

        def answer():
            while True:
                data, peer = server.recvfrom(2048)
                server.sendto(data, peer)

        threading.Thread(target=answer, daemon=True).start()

    def rtt_ms(self, times=5):
        client = self.socket(self.a, socket.SOCK_DGRAM)
        client.connect(("10.9.0.2", 9000))
        client.send(b"neighbours find each other")
        client.recv(2048)
        taken = []
        for n in range(times):
            started = time.perf_counter()
            client.send(b"%d" % n)
            client.recv(2048)
            taken.append((time.perf_counter() - started) * 1000)
        return min(taken)  # other load only ever makes it longer

    def stream(self, sent):
        server = self.socket(self.b, socket.SOCK_STREAM, "10.9.0.2")
        server.listen()
        received = hashlib.sha256()

        def receive():
            connection, _ = server.accept()
            while data := connection.recv(65536):
                received.update(data)

        receiver = threading.Thread(target=receive)
        receiver.start()
        client = self.socket(self.a, socket.SOCK_STREAM)
        client.settimeout(30)
        client.connect(("10.9.0.2", 9000))
        client.sendall(sent)
        client.close()
        receiver.join()
        return {"sent": hashlib.sha256(sent).hexdigest(), "received": received.hexdigest()}


def delay():
    network = Network(delay_ms=20)
    network.echo()
    rtt_ms = network.rtt_ms()
    change_wire(network.control, WireChange(index=0, delay_ms=5))
    time.sleep(0.01)
    return {"rtt_ms": rtt_ms, "changed_rtt_ms": network.rtt_ms()}


def order():
    network = Network(delay_ms=6, jitter_ms=6)
    server = network.socket(network.b, socket.SOCK_DGRAM, "10.9.0.2")
    client = network.socket(network.a, socket.SOCK_DGRAM)
    client.connect(("10.9.0.2", 9000))
    client.send(b"neighbours find each other")
    server.recv(64)
    for n in range(300):
        client.send(b"%d" % n)
        time.sleep(0.0002)
    return {"received": [int(server.recv(64)) for _ in range(300)]}


def replacement():
    network = Network(delay_ms=20)
    network.echo()
    network.rtt_ms(1)
    before = [network.ip(netns, "-o", "-4", "address", "show", "scope", "global") for netns in (network.a, network.b)]
    network.kill()
    client = network.socket(network.a, socket.SOCK_DGRAM)
    client.settimeout(0.2)
    answer = None
    with contextlib.suppress(TimeoutError):
        client.sendto(b"is anybody there?", ("10.9.0.2", 9000))
        answer = client.recv(64).decode()
    network.start()
    after = [network.ip(netns, "-o", "-4", "address", "show", "scope", "global") for netns in (network.a, network.b)]
    return {"interfaces_before": before, "interfaces_after": after, "answer_while_dead": answer, "rtt_after_ms": network.rtt_ms()}


def whole_segments():
    return Network(delay_ms=2).stream(random.Random(1).randbytes(20_000_000))


def lossy():
    return Network(delay_ms=1, loss_percent=1, rate_mbit=200).stream(random.Random(1).randbytes(1_000_000))


def deletion():
    network = Network(delay_ms=20)
    network.kill()
    for netns in (network.a, network.b):
        create_tap(netns, "doomed")
    network.wires.append(WireSpec(a=(network.a, "doomed"), b=(network.b, "doomed")))
    network.start()
    network.echo()
    network.rtt_ms(1)
    network.ip(network.a, "link", "delete", "dev", "doomed")
    return {"rtt_ms": network.rtt_ms()}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()), flush=True)
    os._exit(0)
