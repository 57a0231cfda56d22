"""A Network Load Balancer node's relay: it ends TLS, writes PROXY headers, and carries the bytes between a client and the target that the kernel's slots give.

    client ─▶ [TLS: SNI, ALPN] ─▶ slot: by the source's address where the group is sticky, else by chance ─▶ connect (mark = slot; the ruleset knows the target)
           ─▶ [PROXY header: the client's ends, and by which VPC endpoint it came] ─▶ [TLS to the target, its certificate unverified] ─▶ bytes both ways

A target that is not to be reached ends the client's connection by a reset. An idle connection is forgotten without a word; whoever sends then is reset. A new configuration
is for new connections; a listener that is gone resets its own. Whose target is gone or unhealthy: `services.nlb` has the kernel forget those flows, and the next write meets a reset.
Source: ELB user guide, "TLS listeners for your NLB", "Listeners for your NLB" (ALPN policies), "Edit target group attributes for your NLB", "Target groups for your NLB" (documented).
Assumed: 10 s for a handshake and for a target to answer; ALPN offers a TLS target what the client got. NOT MODELLED: access logs of TLS listeners; keepalives that one side sends
are answered here and count, but are not passed on to the other; with PROXY headers over TCP the client's handshake is this node's, so it succeeds even where no target answers.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
import zlib
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import cast

from services.common import proxy_protocol
from services.common.config import Listen
from services.common.health_check import unverified_tls
from services.common.proxy_protocol import End, Header
from services.common.runtime import BACKLOG, Runtime
from services.common.server_certificates import ServerCertificates
from services.nlb_relay.config import IDLE_S, TARGETS_ADDRESS, Config, Entrance, Listener
from services.nlb_relay.connection import Side

log = logging.getLogger(__name__)
HANDSHAKE_S = CONNECT_S = 10.0
"""Not scaled: how fast a handshake is, is this machine's affair."""
LOOKS_PER_TIMEOUT = 8
IP_TRANSPARENT, IP_BIND_ADDRESS_NO_PORT = 19, 24
Key = tuple[Entrance, str, int, bool]
"""What makes a listening socket: where, which listener, its port, and whether TLS ends there."""


@dataclass(slots=True, eq=False)
class Relayed:
    """One connection: the segments received when it was last seen to live, and when that was."""

    client: Side
    target: Side | None = None
    segments: int = 0
    alive_at: float = 0.0

    def sides(self) -> tuple[Side, ...]:
        """Those that are there."""
        return (self.client,) if self.target is None else (self.client, self.target)


@dataclass(slots=True)
class Running:
    """A listener at one entrance."""

    entrance: Entrance
    listener: Listener
    certificates: ServerCertificates | None
    server: asyncio.Server | None = None
    connections: set[Relayed] = field(default_factory=set)

    def stop(self) -> None:
        """Listen no more; what is open is reset."""
        if self.server is not None:
            self.server.close()
        for relayed in tuple(self.connections):
            for side in relayed.sides():
                side.reset()


class Node:
    """A node's listeners. `configure` takes any configuration after any other."""

    def __init__(self, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._running: dict[Key, Running] = {}

    async def configure(self, config: Config) -> None:
        """Listen as `config` says. Raises OSError where that cannot be."""
        wanted = {(entrance, listener.id, listener.port, bool(listener.tls)): listener for listener in config.listeners for entrance in config.entrances}
        for key in [key for key in self._running if key not in wanted]:
            self._running.pop(key).stop()
        for key, listener in wanted.items():
            running = self._running.get(key)
            if running is None:
                self._running[key] = await self._listen(key[0], listener)
                continue
            if running.certificates is not None and (listener.tls, listener.alpn) != (running.listener.tls, running.listener.alpn):
                running.certificates.configure(listener.tls, listener.alpn)
            running.listener = listener

    def stop(self) -> None:
        """End everything."""
        for running in self._running.values():
            running.stop()

    async def keep_forgetting(self) -> None:
        """Forget idle connections, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            idle = [self._runtime.scaled(running.listener.idle_timeout_s) for running in self._running.values()]
            await asyncio.sleep(min(idle, default=self._runtime.scaled(IDLE_S)) / LOOKS_PER_TIMEOUT)
            for running in self._running.values():
                limit = self._runtime.scaled(running.listener.idle_timeout_s)
                for relayed in tuple(running.connections):
                    _look(relayed, loop.time(), limit)

    async def _listen(self, entrance: Entrance, listener: Listener) -> Running:
        running = Running(entrance, listener, ServerCertificates(listener.tls, listener.alpn) if listener.tls else None)

        def accepted(side: Side) -> None:
            relayed = Relayed(side, alive_at=asyncio.get_running_loop().time())
            running.connections.add(relayed)
            opened[side] = relayed
            self._tasks.create_task(self._relay(running, relayed))

        def lost(side: Side) -> None:
            running.connections.discard(opened.pop(side))

        opened: dict[Side, Relayed] = {}
        context = None if running.certificates is None else running.certificates.context
        handshake = None if context is None else HANDSHAKE_S
        sock = self._runtime.socket_for(Listen(address=entrance.address, port=listener.port))
        running.server = await asyncio.get_running_loop().create_server(lambda: Side(accepted, lost), sock=sock, ssl=context, ssl_handshake_timeout=handshake, backlog=BACKLOG)
        return running

    async def _relay(self, running: Running, relayed: Relayed) -> None:
        """Reach a target and join the two; a client whose target cannot be reached is reset."""
        client, listener = relayed.client, running.listener
        try:
            async with asyncio.timeout(CONNECT_S):
                target = await self._reach(running.entrance, listener, client)
        except (OSError, ssl.SSLError) as error:  # TimeoutError is an OSError
            log.info("%s: no target of %s: %s", listener.id, listener.target_group, error)
            client.reset()
            return
        if not client.is_open:
            target.reset()
            return
        relayed.target = target
        target.join(client)

    async def _reach(self, entrance: Entrance, listener: Listener, client: Side) -> Side:
        loop = asyncio.get_running_loop()
        peer, own = map(client.transport.get_extra_info, ("peername", "sockname"))
        if peer is None or own is None:
            raise OSError("the client has gone")
        source, destination = End(IPv4Address(peer[0]), peer[1]), End(IPv4Address(own[0]), own[1])
        if not listener.slots:
            raise OSError("none is registered here")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, slot_of(source.address, listener, random.random()))
            if listener.keeps_client and not entrance.vpc_endpoint:
                sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((str(source.address), 0))
            await loop.sock_connect(sock, (str(TARGETS_ADDRESS), listener.port))
            if listener.proxy_protocol:
                tlvs = (proxy_protocol.vpc_endpoint_tlv(entrance.vpc_endpoint),) if entrance.vpc_endpoint else ()
                await loop.sock_sendall(sock, proxy_protocol.encode(Header(source=source, destination=destination, tlvs=tlvs)))
            context = _towards_target(client) if listener.encrypts else None
            name = "" if context is not None else None
            _, side = await loop.create_connection(lambda: Side(_nothing, _nothing), sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return side


def slot_of(source: IPv4Address, listener: Listener, chance: float) -> int:
    """The slot of a new connection: its source's where the group is sticky, else as `chance` (0 up to 1) has it."""
    return zlib.crc32(source.packed) % listener.slots if listener.by_source else int(chance * listener.slots)


def _look(relayed: Relayed, now: float, limit_s: float) -> None:
    segments = sum(side.segments for side in relayed.sides())
    if segments != relayed.segments:
        relayed.segments, relayed.alive_at = segments, now
    elif now - relayed.alive_at >= limit_s:
        for side in relayed.sides():
            side.forget()


def _nothing(_: Side) -> None:
    """A target's side comes and goes with its client's."""


def _towards_target(client: Side) -> ssl.SSLContext:
    context = unverified_tls()
    secure = client.transport.get_extra_info("ssl_object")
    negotiated = None if secure is None else cast("str | None", secure.selected_alpn_protocol())
    if negotiated is not None:
        context.set_alpn_protocols([negotiated])
    return context


async def serve(config: Config, runtime: Runtime) -> None:
    """Relay until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        node = Node(runtime, tasks)
        await node.configure(config)
        runtime.reload = node.configure
        runtime.ready()
        try:
            await node.keep_forgetting()
        finally:
            node.stop()
