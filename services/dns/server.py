"""The DNS daemon's sockets: authorities and resolvers on their listeners, over UDP and TCP.

    UDP  readable ─► up to `BURST` datagrams at once ─► service ─► reply from the same socket
    TCP  connection ─► length, message ─► service ─► length, reply; again until the client is silent for `IDLE_TIMEOUT_S`

A new configuration takes effect between two datagrams: services are made first, then exchanged all at once; sockets that stay are never closed.
A configuration that cannot be read changes nothing.
Sources: RFC 7766 (DNS over TCP); Route 53 developer guide, "DNS constraints and behaviors" (UDP and TCP).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from services.common.config import ConfigError, Listen, Transport
from services.common.runtime import BACKLOG, Runtime
from services.common.zone_health import is_healthy, silence_s
from services.dns.config import Config, Resolver
from services.dns.failover import LOOK_S, health_files, in_force
from services.dns.location import LocationTable
from services.dns.outbound import OutboundSocket
from services.dns.server_authority import AuthorityService
from services.dns.server_resolver import ResolverService
from services.dns.wire import TCP_BYTES
from services.dns.zone import Authority, Zone

log = logging.getLogger(__name__)

BURST = 64
"""Datagrams taken at one wake-up: enough to save wake-ups, few enough to let others have their turn."""
IDLE_TIMEOUT_S = 10.0
RECEIVE_BYTES = 4 << 20
Service = AuthorityService | ResolverService


async def serve(config: Config, runtime: Runtime) -> None:
    """Answer until cancelled. Raises ConfigError or OSError if the first configuration cannot be put in force."""
    async with asyncio.TaskGroup() as group:
        daemon = _Daemon(runtime, group)
        try:
            await daemon.take(config)
            runtime.reload = daemon.reload
            group.create_task(daemon.keep_looking())
            runtime.ready()
            await asyncio.Event().wait()
        finally:
            daemon.close()


class _Daemon:
    def __init__(self, runtime: Runtime, group: asyncio.TaskGroup) -> None:
        self._runtime, self._group = runtime, group
        self._config: Config | None = None
        self._told = Config(name=runtime.name)
        self._health: dict[str, bool] = {}
        self._services: dict[Listen, Service] = {}
        self._closers: dict[Listen, Callable[[], None]] = {}
        self._endpoints: dict[Listen, OutboundSocket] = {}

    async def reload(self, config: Config) -> None:
        """Put `config` in force, or say why not and go on as before."""
        try:
            await self.take(config)
        except (ConfigError, OSError) as error:
            log.error("%s; the old configuration stays in force", error)

    async def take(self, config: Config) -> None:
        """Put `config` in force, with balancers' zones as they are now."""
        health = {file: self._is_healthy(file) for file in health_files(config)}
        await self.apply(in_force(config, health.__getitem__))
        self._told, self._health = config, health

    async def keep_looking(self) -> None:
        """Follow the health of balancers' zones, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._health and {file: self._is_healthy(file) for file in self._health} != self._health:
                await self.reload(self._told)

    def _is_healthy(self, file: str) -> bool:
        return is_healthy(file, silence_s(self._runtime.scaled))

    async def apply(self, config: Config) -> None:
        services = self._make(config)
        opened: dict[Listen, socket.socket] = {}
        try:
            for listen in services.keys() - self._closers.keys():
                opened[listen] = self._runtime.socket_for(listen)
        except OSError:
            for sock in opened.values():
                sock.close()
            raise
        for listen in self._closers.keys() - services.keys():
            self._closers.pop(listen)()
        self._services, self._config = services, config
        for listen, sock in opened.items():
            self._closers[listen] = self._listen_udp(listen, sock) if listen.transport is Transport.UDP else await self._listen_tcp(listen, sock)

    def close(self) -> None:
        for close in self._closers.values():
            close()
        for endpoint in self._endpoints.values():
            endpoint.close()

    def _outbound(self, listen: Listen) -> OutboundSocket:
        """An outbound endpoint's socket, opened at its first question; several networks may share it."""
        if listen not in self._endpoints:
            self._endpoints[listen] = OutboundSocket(self._runtime.socket_for(listen))
        return self._endpoints[listen]

    def _make(self, config: Config) -> dict[Listen, Service]:
        """The service of every listener. Those that the new configuration leaves as they are keep their memory."""
        old = self._config
        services: dict[Listen, Service] = {}
        unchanged = old is not None and (old.authorities, old.locations, old.edge_location) == (config.authorities, config.locations, config.edge_location)
        if unchanged:
            services.update({listen: service for listen, service in self._services.items() if isinstance(service, AuthorityService)})
        else:
            locations = LocationTable(config.locations)
            zones = [[Zone(zone) for zone in authority.zones] for authority in config.authorities]
            everything = [zone for each in zones for zone in each]
            for authority, own in zip(config.authorities, zones, strict=True):
                made = AuthorityService(Authority(own, locations, everything), locations, self._runtime.events, config.edge_location)
                services.update(dict.fromkeys(authority.listen, made))
        renewed: list[tuple[ResolverService, Resolver]] = []
        for source in config.resolvers:
            fresh = ResolverService(source, self._runtime, self._group, config.edge_location, self._outbound)
            before = next((service for listen in source.listen if isinstance(service := self._services.get(listen), ResolverService)), None)
            if before is None or any(before is each for each, _ in renewed):
                services.update(dict.fromkeys(source.listen, fresh))
            else:
                renewed.append((before, source))
                services.update(dict.fromkeys(source.listen, before))
        for service, source in renewed:  # nothing can fail any more
            service.renew(source, config.edge_location)
        return services

    def _listen_udp(self, listen: Listen, sock: socket.socket) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # a longer queue is welcome, not needed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        receive = sock.recvfrom

        def send_to(reply: bytes, peer: tuple[str, int]) -> None:
            try:
                sock.sendto(reply, peer)
            except OSError as error:  # no route, or no room: a datagram may be lost
                log.debug("%s:%s: %s", *peer, error)

        def readable() -> None:
            service = self._services[listen]
            for _ in range(BURST):
                try:
                    data, peer = receive(TCP_BYTES)
                except OSError:
                    return
                if isinstance(service, AuthorityService):
                    reply = service.reply(data, peer, Transport.UDP)
                    if reply is not None:
                        send_to(reply, peer)
                else:
                    service.datagram(data, peer, lambda reply, peer=peer: send_to(reply, peer))  # type: ignore[misc]

        loop.add_reader(sock, readable)

        def close() -> None:
            loop.remove_reader(sock)
            sock.close()

        return close

    async def _listen_tcp(self, listen: Listen, sock: socket.socket) -> Callable[[], None]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer: tuple[str, int] = writer.get_extra_info("peername")
            try:
                while True:
                    async with asyncio.timeout(IDLE_TIMEOUT_S):
                        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    service = self._services.get(listen)
                    if service is None:
                        return
                    reply = service.reply(data, peer, Transport.TCP) if isinstance(service, AuthorityService) else await service.message(data, peer)
                    if reply is not None:
                        writer.write(len(reply).to_bytes(2) + reply)
                        async with asyncio.timeout(IDLE_TIMEOUT_S):
                            await writer.drain()
            except (OSError, asyncio.IncompleteReadError):  # silent for too long (TimeoutError is an OSError), or gone
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, sock=sock, backlog=BACKLOG)
        return server.close
