"""A Gateway Load Balancer node as a daemon: TUN devices towards its endpoints, UDP towards its appliances.

    endpoint ═ tun ─▶ FlowTable ─▶ header in front ─▶ UDP, one of 8 source ports, to the appliance's 6081
    endpoint ═ tun ◀─ the flow of the cookie ◀─ same header, from that appliance and that port? ◀─ UDP 6081

A packet that an appliance changed in its header, sends from another port, or makes up is dropped and counted (what AWS does with it is not documented;
assumed). Inner packets over 8,500 bytes are dropped without a word, none is fragmented ("Gateway Load Balancers", documented). If this process dies its TUN devices have nobody
to read them: packets to them are lost, and nothing passes uninspected. NOT MODELLED: IPv6 inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import socket
import struct
import time
from collections.abc import Callable

from services.common.events import GWLB_PACKETS, TARGET_HEALTH
from services.common.health import State, TargetHealth
from services.common.health_check import TCP, checked
from services.common.runtime import Runtime
from services.gwlb.config import Appliance, Config, Endpoint
from services.gwlb.flows import COOKIE_AT, Flow, FlowTable
from services.gwlb.geneve import HEADER_BYTES, PORT

LARGEST_INNER_BYTES = 8500
RECEIVE_BYTES = 9216
BURST = 64
FIRST_OUTER_PORT = 60000
LOOK_EVERY_S = 1.0
SOCKET_BUFFER_BYTES = 8 << 20
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


def attach(tun: str) -> int:
    """A non-blocking descriptor of the TUN device `tun` of this namespace, made if it is not there. Raises OSError."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", tun.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Node:
    """One node. Counts of what was passed on and dropped are told every second in which they changed."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self._runtime, self._tasks = runtime, tasks
        self._cookies: dict[bytes, Flow] = {}
        self._health: dict[str, TargetHealth] = {}
        self._senders: dict[tuple[str, int], socket.socket] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._counts = {"to_appliance": 0, "from_appliance": 0, "no_flow": 0, "too_large": 0, "not_returned": 0}
        self._usable: tuple[str, ...] = ()
        self._take(config)
        self._receiver = self._socket(PORT)
        self._tables: list[tuple[Endpoint, int, FlowTable]] = []
        for endpoint in config.endpoints:
            table = FlowTable(
                endpoint.interface_number, endpoint.attachment_number, self._cookies, stickiness=config.stickiness, tcp_idle_s=runtime.scaled(config.tcp_idle_s),
                other_idle_s=runtime.scaled(config.other_idle_s), choose=self._choose, random_bits=random.getrandbits,
            )  # fmt: skip
            self._tables.append((endpoint, attach(endpoint.tun), table))

    def start(self) -> None:
        """Carry packets, and check appliances."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._receiver, self._returning())
        for _, tun, table in self._tables:
            loop.add_reader(tun, self._leaving(tun, table))
        self._check_appliances()

    async def configure(self, config: Config) -> None:
        """Take other appliances. Raises ValueError for other endpoints, which need another process."""
        if config.endpoints != self._config.endpoints:
            raise ValueError("endpoints changed")
        gone = {appliance.id for appliance in self._config.appliances} - {appliance.id for appliance in config.appliances}
        self._take(config)
        for name in gone:
            self._checks.pop(name).cancel()
        self._check_appliances()
        if gone and config.rebalance:
            asyncio.get_running_loop().call_later(self._runtime.scaled(config.deregistration_delay_s), self._rebalance)

    def stop(self) -> None:
        """Let go of everything."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._receiver)
        for _, tun, _ in self._tables:
            loop.remove_reader(tun)
            os.close(tun)
        for each in (self._receiver, *self._senders.values()):
            each.close()
        for task in self._checks.values():
            task.cancel()

    async def look_after(self) -> None:
        """Forget idle flows and tell counts, until cancelled."""
        told = dict(self._counts)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for _, _, table in self._tables:
                table.expire(time.monotonic())
            if self._counts != told:
                told = dict(self._counts)
                self._runtime.events.emit(GWLB_PACKETS, flows=len(self._cookies), **told)

    # -- packets

    def _leaving(self, tun: int, table: FlowTable) -> Callable[[], None]:
        known, find, idle_after, counts, read, writev = table.known, table.find, table.idle_after, self._counts, os.read, os.writev

        def leave() -> None:
            now = time.monotonic()
            try:
                for _ in range(BURST):
                    packet = read(tun, RECEIVE_BYTES)
                    flow = known.get(packet[9:10] + packet[12:24]) if packet[0] == 0x45 and not (packet[6] & 0x3F or packet[7]) else None
                    if flow is None or now - flow.last > idle_after(flow):
                        flow = find(packet, now)
                        if flow is None:
                            counts["no_flow"] += 1
                            continue
                    else:
                        flow.last = now
                    if flow.sender < 0:
                        self._bind(flow, tun)
                    if len(packet) > LARGEST_INNER_BYTES:
                        counts["too_large"] += 1
                        continue
                    with contextlib.suppress(ConnectionRefusedError):  # an earlier packet's: nothing listens there
                        writev(flow.sender, (flow.header, packet))
                    counts["to_appliance"] += 1
            except BlockingIOError:
                return

        return leave

    def _returning(self) -> Callable[[], None]:
        cookies, counts, receive, write = self._cookies, self._counts, self._receiver.recvfrom, os.write

        def come_back() -> None:
            try:
                for _ in range(BURST):
                    datagram, place = receive(RECEIVE_BYTES)
                    flow = cookies.get(datagram[COOKIE_AT:HEADER_BYTES])
                    if flow is None or place != flow.place or datagram[:HEADER_BYTES] != flow.header or len(datagram) < HEADER_BYTES + 20:
                        counts["not_returned"] += 1
                        continue
                    write(flow.tun, memoryview(datagram)[HEADER_BYTES:])
                    counts["from_appliance"] += 1
            except BlockingIOError:
                return

        return come_back

    def _bind(self, flow: Flow, tun: int) -> None:
        address = str(self._addresses[flow.appliance])
        sender = self._senders.get((flow.appliance, flow.outer_port))
        if sender is None:
            sender = self._senders[flow.appliance, flow.outer_port] = self._socket(FIRST_OUTER_PORT + flow.outer_port)
            sender.connect((address, PORT))
        flow.sender, flow.tun, flow.place = sender.fileno(), tun, (address, FIRST_OUTER_PORT + flow.outer_port)

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
        for _, _, table in self._tables:
            table.rebalance(frozenset(self._usable))

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
