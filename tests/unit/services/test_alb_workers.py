"""An ALB node of two processes: both serve, and are one node to targets, to clients and to who changes its rules."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.alb.config import Action, Algorithm, Config, FixedResponse, Forward, ListenerConfig, Rule, Target, TargetGroup
from services.alb.crew import CELLS, Board
from services.common.config import HealthCheck, Listen, encode

LOOPBACK = IPv4Address("127.0.0.1")
PATIENCE_S = 20


class TargetServer:
    """Answers health checks at once, and other requests when it may."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.may = threading.Event()
        self.may.set()
        self.checks = self.connections = self.waiting = 0
        self.is_well = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError):
            seen = False
            while data := sock.recv(65536):
                if b"HealthChecker" in data:
                    self.checks += 1
                    sock.sendall(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (200 if self.is_well else 500))
                    return
                self.connections += not seen
                seen = True
                self.waiting += 1
                self.may.wait(PATIENCE_S)
                body = str(self.port).encode()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
def targets():
    servers = TargetServer(), TargetServer()
    yield servers
    for server in servers:
        server.close()


class Running:
    """The daemon, as a process of its own."""

    def __init__(self, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._file = folder / "alb.json"
        self.config = Config(
            name="alb", load_balancer="alb", dns_name="alb.example", address=LOOPBACK, availability_zone="eu-west-1a", workers=2,
            listeners=(ListenerConfig(id="listener", listen=Listen(address=LOOPBACK, port=self.port), rules=(Rule(priority=0, action=Action(forward=Forward.to("tg"))),)),),
            target_groups=(_group("tg", ()),),
        )  # fmt: skip
        self.write(self.config)
        self.process = subprocess.Popen([sys.executable, "-m", "services.alb", "--config", str(self._file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.events = (json.loads(line) for line in self.process.stdout)
        self.until(lambda event: event["event"] == "ready")

    def write(self, config):
        self.config = config
        self._file.write_text(encode(config))

    def until(self, holds):
        return next(event for event in self.events if holds(event))

    @property
    def helper(self):
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    def reload(self, **changes):
        self.write(replace(self.config, **changes))
        self.process.send_signal(signal.SIGHUP)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def get(self):
        connection = self.connection()
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


    def balance(self, *targets, **group):
        """Forward to these targets from now on, once all are known to be well."""
        (listener,) = self.config.listeners
        name = f"tg-{'-'.join(str(target.port) for target in targets)}"
        forward = Rule(priority=0, action=Action(forward=Forward.to(name)))
        self.reload(listeners=(replace(listener, rules=(forward,)),), target_groups=(_group(name, targets, **group),))
        well = set()
        while len(well) < len(targets):
            well.add(self.until(lambda event: event.get("target_group") == name and event.get("state") == "healthy")["target"])
        wait_for(lambda: {self.get()[1] for _ in range(4)} <= {str(target.port) for target in targets})
        for target in targets:
            target.connections = target.waiting = 0

    def end(self):
        """Kill the chief; the helper goes with it."""
        helper = self.helper
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        wait_for(lambda: not Path(f"/proc/{helper}").exists() or Path(f"/proc/{helper}/stat").read_text().split()[2] == "Z")


def _group(name, targets, **more):
    return TargetGroup(id=name, targets=tuple(Target(id=f"t-{each.port}", address=LOOPBACK, port=each.port) for each in targets), health_check=HealthCheck(interval_s=0.2, timeout_s=2), **more)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    running = Running(tmp_path_factory.mktemp("alb"))
    yield running
    running.end()


def wait_for(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def open_connections(daemon, count):
    connections = [daemon.connection() for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def sockets(pid):
    return sum(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink())


def test_both_serve_and_a_target_is_checked_once_an_interval(daemon, targets):
    (target, _) = targets
    daemon.balance(target)
    processes = daemon.process.pid, daemon.helper
    began, before, idle = time.monotonic(), target.checks, [sockets(pid) for pid in processes]
    target.may.clear()
    with open_connections(daemon, 8) as connections:
        for connection in connections:
            connection.request("GET", "/")
        wait_for(lambda: target.waiting == 8)
        assert all(sockets(pid) >= before + 4 for pid, before in zip(processes, idle, strict=True)), "half of the clients each"
        target.may.set()
        assert [connection.getresponse().status for connection in connections] == [200] * 8
    wait_for(lambda: target.checks >= before + 3)
    assert target.checks - before <= (time.monotonic() - began) / 0.2 + 2, "not once by each process"


def test_least_outstanding_requests_is_the_nodes(daemon, targets):
    daemon.balance(*targets, algorithm=Algorithm.LEAST_OUTSTANDING_REQUESTS)
    for target in targets:
        target.may.clear()
    with open_connections(daemon, 6) as connections:
        for number, connection in enumerate(connections, start=1):
            connection.request("GET", "/")
            wait_for(lambda number=number: sum(target.waiting for target in targets) == number)
        assert [target.waiting for target in targets] == [3, 3]
        for target in targets:
            target.may.set()
        assert Counter(int(connection.getresponse().read()) for connection in connections) == {target.port: 3 for target in targets}


def test_what_one_learns_of_a_targets_health_all_know(daemon, targets):
    well, ill = targets
    daemon.balance(*targets)
    ill.is_well = False
    daemon.until(lambda event: event["event"] == "target_health" and event["state"] == "unhealthy")
    wait_for(lambda: {daemon.get()[1] for _ in range(8)} == {str(well.port)})


def test_a_new_configuration_is_everybodys(daemon):
    (listener,) = daemon.config.listeners
    fixed = Rule(priority=0, action=Action(fixed_response=FixedResponse(status_code=418, message_body="new")))
    daemon.reload(listeners=(replace(listener, rules=(fixed,)),))
    wait_for(lambda: {daemon.get() for _ in range(4)} == {(418, "new")})


def test_a_target_that_is_taken_out_has_drained_when_all_have_finished(daemon, targets):
    gone, kept = targets
    daemon.balance(gone)
    gone.may.clear()
    with open_connections(daemon, 2) as connections:
        for connection in connections:
            connection.request("GET", "/")
        wait_for(lambda: gone.waiting == 2)
        (group,) = daemon.config.target_groups
        daemon.reload(target_groups=(replace(group, targets=(Target(id="t-kept", address=LOOPBACK, port=kept.port),)),))
        daemon.until(lambda event: event.get("state") == "draining" and event["target"] == f"t-{gone.port}")
        wait_for(lambda: {daemon.get()[1] for _ in range(4)} == {str(kept.port)})
        gone.may.set()
        assert [connection.getresponse().read() for connection in connections] == [str(gone.port).encode()] * 2
        daemon.until(lambda event: event.get("state") == "unused" and event["target"] == f"t-{gone.port}")


def test_a_helper_that_dies_ends_the_node(tmp_path):
    daemon = Running(tmp_path)
    os.kill(daemon.helper, signal.SIGKILL)
    assert daemon.process.wait(PATIENCE_S) == 1
    daemon.process.stdout.close()


def test_each_process_writes_its_own_cells():
    board = Board(2)
    for process, outstanding in ((0, 3), (1, 4)):
        board.own = process
        board.write(CELLS - 1, outstanding)
    assert (board.total(CELLS - 1), board.total(0)) == (7, 0)
