"""A Gateway Load Balancer node as a daemon: TUN devices towards its endpoints, UDP towards its appliances.

    endpoint ═ tun ─▶ FlowTable ─▶ header in front ─▶ UDP, one of 8 source ports, to the appliance's 6081
    endpoint ═ tun ◀─ the flow of the header ◀─ a socket for each appliance and port ◀─ UDP 6081

A packet that an appliance changed in its header, sends from another port, or makes up is dropped and counted (what AWS does with it is not documented;
assumed). Inner packets over 8,500 bytes are dropped without a word, none is fragmented ("Gateway Load Balancers", documented). If this process dies its TUN devices have nobody
to read them: packets to them are lost, and nothing passes uninspected. NOT MODELLED: IPv6 inside.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable

from services.common.events import GWLB_PACKETS, TARGET_HEALTH
from services.common.health import State, TargetHealth
from services.common.health_check import TCP, checked
from services.common.runtime import Runtime
from services.gwlb.config import Appliance, Config, Endpoint
from services.gwlb.flows import Flow, FlowTable
from services.gwlb.geneve import HEADER_BYTES, PORT
from services.gwlb.tun import attach

log = logging.getLogger(__name__)

LARGEST_INNER_BYTES = 8500
WHOLE = frozenset((b"\x00\x00", b"\x40\x00"))
"""An IPv4 header's flags and offset in a packet that is no fragment."""
SHORTEST_BYTES = HEADER_BYTES + 20
PLAIN_IPV4 = 0x45
"""The first byte of an IPv4 packet without options."""
RECEIVE_BYTES = 9216
BURST = 64
FIRST_OUTER_PORT = 60000
LOOK_EVERY_S = 1.0
SOCKET_BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


class _Carried:
    """An endpoint that is served: its device's descriptor (-1 while the device is not there) and its flows."""

    __slots__ = ("endpoint", "table", "tun")

    def __init__(self, endpoint: Endpoint, table: FlowTable) -> None:
        self.endpoint, self.table, self.tun = endpoint, table, -1


class Node:
    """One node. Counts of what was passed on and dropped are told every second in which they changed."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self._runtime, self._tasks = runtime, tasks
        self._headers: dict[bytes, Flow] = {}
        self._health: dict[str, TargetHealth] = {}
        self._pairs: dict[tuple[str, int], tuple[socket.socket, socket.socket]] = {}
        """Of an appliance and an outer port: the socket to it, and the one from it."""
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._counts = {"to_appliance": 0, "from_appliance": 0, "no_flow": 0, "too_large": 0, "refused": 0, "not_returned": 0}
        self._usable: tuple[str, ...] = ()
        self._take(config)
        self._receiver = self._socket(PORT)
        self._carried: dict[str, _Carried] = {}

    def start(self) -> None:
        """Carry packets, and check appliances. Raises OSError."""
        asyncio.get_running_loop().add_reader(self._receiver, self._strange)
        for endpoint in self._config.endpoints:
            self._carry(endpoint)
        self._check_appliances()

    async def configure(self, config: Config) -> None:
        """Take other endpoints and appliances; flows of what stays go on. What makes a flow changes for all of them at once: then they begin anew."""
        before = self._config
        gone = {appliance.id for appliance in before.appliances} - {appliance.id for appliance in config.appliances}
        anew = (before.stickiness, before.tcp_idle_s) != (config.stickiness, config.tcp_idle_s)
        self._take(config)
        for endpoint in before.endpoints:
            if anew or endpoint not in config.endpoints:
                self._leave(endpoint.id)
        for endpoint in config.endpoints:
            if endpoint.id not in self._carried:
                self._carry(endpoint)
        for name in gone:
            self._checks.pop(name).cancel()
            self._health.pop(name, None)
        self._check_appliances()
        if gone and config.rebalance:
            asyncio.get_running_loop().call_later(self._runtime.scaled(config.deregistration_delay_s), self._rebalance)

    def stop(self) -> None:
        """Let go of everything."""
        for name in tuple(self._carried):
            self._leave(name)
        for each in (self._receiver, *(sock for pair in self._pairs.values() for sock in pair)):
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        for task in self._checks.values():
            task.cancel()

    async def look_after(self) -> None:
        """Forget idle flows and tell counts, until cancelled."""
        told = dict(self._counts)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for carried in self._carried.values():
                carried.table.expire(time.monotonic())
                if carried.tun < 0:
                    self._attach(carried)
            if self._counts != told:
                told = dict(self._counts)
                self._runtime.events.emit(GWLB_PACKETS, flows=len(self._headers), **told)

    # -- endpoints

    def _carry(self, endpoint: Endpoint) -> None:
        config, scaled = self._config, self._runtime.scaled
        table = FlowTable(
            endpoint.interface_number, endpoint.attachment_number, self._headers, stickiness=config.stickiness, tcp_idle_s=scaled(config.tcp_idle_s),
            other_idle_s=scaled(config.other_idle_s), choose=self._choose, random_bits=random.getrandbits,
        )  # fmt: skip
        self._carried[endpoint.id] = _Carried(endpoint, table)
        self._attach(self._carried[endpoint.id])

    def _attach(self, carried: _Carried) -> None:
        """Take the endpoint's device, if it is there: a live change makes it before or after this."""
        try:
            carried.tun = attach(carried.endpoint.tun, carried.endpoint.namespace)
        except FileNotFoundError:
            return
        asyncio.get_running_loop().add_reader(carried.tun, self._leaving(carried))

    def _detach(self, carried: _Carried) -> None:
        if carried.tun >= 0:
            asyncio.get_running_loop().remove_reader(carried.tun)
            os.close(carried.tun)
            carried.tun = -1
        carried.table.forget_all()

    def _leave(self, name: str) -> None:
        self._detach(self._carried.pop(name))

    # -- packets

    def _leaving(self, carried: _Carried) -> Callable[[], None]:
        tun, find, counts, read, writev, clock = carried.tun, carried.table.find, self._counts, os.read, os.writev, time.monotonic
        known, turns = [carried.table.known.get(protocol, {}) for protocol in range(256)], range(BURST)

        def leave() -> None:
            now = clock()
            passed = 0
            try:
                for _ in turns:
                    packet = read(tun, RECEIVE_BYTES)
                    flow = known[packet[9]].get(packet[12:24]) if packet[0] == PLAIN_IPV4 and packet[6:8] in WHOLE else None
                    if flow is not None and now <= flow.until:
                        flow.until = now + flow.idle_s
                    elif (flow := find(packet, now)) is None:
                        counts["no_flow"] += 1
                        continue
                    if flow.sender < 0:
                        self._bind(flow, tun)
                    if len(packet) > LARGEST_INNER_BYTES:
                        counts["too_large"] += 1
                        continue
                    try:
                        writev(flow.sender, (flow.header, packet))
                    except ConnectionRefusedError:  # an earlier packet's: nothing listens there
                        counts["refused"] += 1
                    passed += 1
            except BlockingIOError:
                return
            except OSError:  # the device has gone, by a live change
                self._detach(carried)
            finally:
                counts["to_appliance"] += passed

        return leave

    def _returning(self, hearer: int) -> Callable[[], None]:
        """What one appliance sends from one port; the kernel has looked at both. Header and packet are read apart, so that the one is looked up and the other passed on whole."""
        headers, counts, readv, write = self._headers, self._counts, os.readv, os.write
        head, body, turns = bytearray(HEADER_BYTES), bytearray(RECEIVE_BYTES), range(BURST)
        buffers, view = (head, body), memoryview(body)

        def come_back() -> None:
            passed = 0
            try:
                for _ in turns:
                    length = readv(hearer, buffers)
                    flow = headers.get(bytes(head))
                    if flow is None or flow.hearer != hearer or length < SHORTEST_BYTES:
                        counts["not_returned"] += 1
                        continue
                    write(flow.tun, view[: length - HEADER_BYTES])
                    passed += 1
            except BlockingIOError:
                return
            except OSError as error:  # a packet that the device does not take: no IP; or refused by an appliance
                counts["not_returned"] += 1
                log.debug("%s", error)
            finally:
                counts["from_appliance"] += passed

        return come_back

    def _strange(self) -> None:
        """GENEVE from a port, or an address, of which no flow of this node knows."""
        try:
            for _ in range(BURST):
                self._receiver.recv(RECEIVE_BYTES)
                self._counts["not_returned"] += 1
        except BlockingIOError:
            return

    def _bind(self, flow: Flow, tun: int) -> None:
        address, port = str(self._addresses[flow.appliance]), FIRST_OUTER_PORT + flow.outer_port
        pair = self._pairs.get((address, port))
        if pair is None:
            sender, hearer = self._socket(port), self._socket(PORT)
            sender.connect((address, PORT))
            hearer.connect((address, port))
            self._pairs[address, port] = pair = (sender, hearer)
            asyncio.get_running_loop().add_reader(hearer, self._returning(hearer.fileno()))
        flow.sender, flow.hearer, flow.tun = pair[0].fileno(), pair[1].fileno(), tun

    def _socket(self, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for force, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                made.setsockopt(socket.SOL_SOCKET, force, SOCKET_BUFFER_BYTES)
            except PermissionError:  # not in a user namespace: as much as there is for everyone
                made.setsockopt(socket.SOL_SOCKET, plain, SOCKET_BUFFER_BYTES)
        made.bind((str(self._config.address), port))
        return made

    # -- appliances

    def _take(self, config: Config) -> None:
        self._config = config
        self._addresses = {**getattr(self, "_addresses", {}), **{appliance.id: appliance.address for appliance in config.appliances}}
        self._find_usable()

    def _find_usable(self) -> None:
        config = self._config
        here = [appliance.id for appliance in config.appliances if config.cross_zone or appliance.availability_zone in ("", config.availability_zone)]
        healthy = [name for name in here if self._health.get(name, TargetHealth()).state is State.HEALTHY]
        self._usable = tuple(healthy or here)

    def _choose(self, flow_hash: int) -> str | None:
        return self._usable[flow_hash // 8 % len(self._usable)] if self._usable else None

    def _rebalance(self) -> None:
        for carried in self._carried.values():
            carried.table.rebalance(frozenset(self._usable))

    def _check_appliances(self) -> None:
        for appliance in self._config.appliances:
            if appliance.id not in self._checks:
                self._checks[appliance.id] = self._tasks.create_task(self._keep_checking(appliance))

    async def _keep_checking(self, appliance: Appliance) -> None:
        loop = asyncio.get_running_loop()
        while True:
            check, began = self._config.health_check, loop.time()
            result = await checked(check, TCP, appliance.address, PORT, self._runtime.scaled(check.timeout_s), self._tasks)
            before = self._health.get(appliance.id, TargetHealth())
            after = self._health[appliance.id] = before.after(result, healthy_threshold=check.healthy_threshold, unhealthy_threshold=check.unhealthy_threshold)
            if after.state is not before.state:
                self._find_usable()
                self._runtime.events.emit(TARGET_HEALTH, target_group=PORT, target=appliance.id, state=after.state.value, reason=after.reason)
                if self._config.rebalance:
                    self._rebalance()
            await asyncio.sleep(max(0.0, began + self._runtime.scaled(check.interval_s) - loop.time()))


async def serve(config: Config, runtime: Runtime) -> None:
    """Carry packets until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        node = Node(config, runtime, tasks)
        try:
            node.start()
            runtime.reload = node.configure
            runtime.ready()
            await node.look_after()
        finally:
            node.stop()
