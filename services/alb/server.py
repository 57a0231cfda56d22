"""An ALB node as a daemon: listeners, TLS, health checks, and new configurations without a restart.

Ready after the first round of health checks, whatever its result: fail-open answers meanwhile-unhealthy groups anyway.
A new configuration swaps rules, certificates and targets under the connections that are open; a listener that is gone stops listening, and its
connections end after the response in progress.

A client's connection is kept for so long (3,600 s by default), then closed after one more request ("Edit attributes for your ALB", documented). A target that is taken out
drains for its group's deregistration delay; what is in progress then fails (502).
Clients speak HTTP/2 where they offer it, over TLS only. NOT MODELLED: gRPC and HTTP/2 to targets (protocol versions GRPC and HTTP2 of a group).
A node may be several processes (`crew`): then this one, the chief, listens and checks, and hands connections over; helpers are told.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import random
import socket
import ssl
import time
from dataclasses import replace
from ipaddress import IPv4Address

from services.alb.affinity import Affinity
from services.alb.balancer import ListenerApplication
from services.alb.config import Attributes, Config, ListenerConfig, TargetGroup
from services.alb.crew import Board, Configured, Connection, Crew, Health, Helper, Message, configuration_in, fork, received
from services.alb.health_check import keep_checking
from services.alb.jwt_validation import Validation
from services.alb.login import Login
from services.alb.provider_calls import ProviderCalls
from services.alb.request_log import LoggedAs, RequestLog
from services.alb.running_listener import Acceptor, RunningListener, serve_connection
from services.alb.selection import REWEIGH_EVERY_S
from services.alb.stickiness import Seal
from services.alb.target_group import RunningGroup, RunningTarget
from services.alb.user_claims import Signer
from services.common import zone_health
from services.common.config import decode, encode
from services.common.events import FLUSH_AFTER_S, SHIELD_MITIGATION, TARGET_HEALTH, TARGET_MITIGATED
from services.common.health import Matcher, State, TargetHealth
from services.common.http import HTTP_1_1, HTTP_2, ByNegotiation, Http2Connection, Outbox, ServerConnection, ServerSettings, Timeouts
from services.common.main import loop_factory
from services.common.rate_rule import WINDOW_S, RateRule
from services.common.runtime import BACKLOG, Runtime
from services.common.server_certificates import ServerCertificates
from services.common.stub_resolver import StubResolver

GC_THRESHOLD = 20_000
"""A request leaves no cycles behind, so the collector need not look as often as its default of 700 objects makes it."""
ALPN = (HTTP_2, HTTP_1_1)
TARGET_CONNECT_S = 10.0
DRAIN_LOOK_S = 0.1
DRAINING, DEREGISTRATION = "draining", "Target.DeregistrationInProgress"
UNUSED, NOT_REGISTERED = "unused", "Target.NotRegistered"


class Node:
    """A node of a load balancer. `configure` takes any configuration after any other; `cookie_key` is a balancer's for life."""

    def __init__(self, runtime: Runtime, tasks: asyncio.TaskGroup, cookie_key: str, crew: Crew | None = None, board: Board | None = None) -> None:
        self._runtime = runtime
        self._crew = crew
        self._board = board if crew is None else crew.board
        self._helps = crew is None and board is not None
        self._cells: dict[str, int] = {}
        self._seal = Seal(bytes.fromhex(cookie_key), os.urandom) if cookie_key else None
        self._tasks = tasks
        self._log = RequestLog(runtime.events)
        self._outbox = Outbox()
        self._groups: dict[str, RunningGroup] = {}
        self._listeners: dict[str, RunningListener] = {}
        self._checks: dict[RunningTarget, asyncio.Task[None]] = {}
        self._login: Login | None = None
        self._validation: Validation | None = None
        self._address: IPv4Address | None = None
        self._checked = False
        self.zone_file = ""
        self._zone_told: bool | None = None

    async def configure(self, config: Config) -> None:
        """Take `config`. Raises ValueError or OSError for one that cannot be served, before anything is changed by it where that can be known."""
        for group in config.target_groups:
            Matcher.parse(group.health_check.matcher)
        self._log.access = _logged_as(config) if config.attributes.access_logs else None
        self._protect(config)
        if config.address != self._address:
            self._move(config.address)
        self._login, self._validation = self._login_of(config), self._validation_of(config)
        self._configure_groups(config)
        await self._configure_listeners(config)
        for gone in self._groups.keys() - {group.id for group in config.target_groups}:
            unused = self._groups.pop(gone)
            self._take_away(unused.targets)
            self._drain(unused, unused.targets)
        self.zone_file = config.zone_health_file
        self._tell_zone()
        if self._crew is not None:
            self._crew.configure(encode(config), {f"{each.config.id} {running.place}": running.cell for each in self._groups.values() for running in each.targets})
            for each in self._groups.values():
                for running in each.targets:
                    self._crew.tell(_health(each, running))

    async def take(self, message: Message, descriptor: int | None) -> None:
        """A helper's: what the chief says."""
        if isinstance(message, Configured) and descriptor is not None:
            self._cells = message.cells
            await self.configure(decode(configuration_in(descriptor), Config))
        elif isinstance(message, Connection) and descriptor is not None:
            listener, sock = self._listeners.get(message.listener), socket.socket(fileno=descriptor)
            if listener is None:
                sock.close()
            else:
                self._tasks.create_task(serve_connection(listener, sock))
        elif isinstance(message, Health) and (group := self._groups.get(message.group)) is not None:
            group.learn(message.place, TargetHealth(state=State(message.state), reason=message.reason), message.slow_since)

    def _protect(self, config: Config) -> None:
        """Take the rate rule of Shield Advanced; one that is as it was goes on with what it has learnt."""
        known, wanted = self._log.rate_rule, config.rate_rule
        if wanted is None:
            self._log.rate_rule = None
        elif known is None or known.config != wanted:
            tell = functools.partial(self._tell_mitigation, wanted.origin)
            self._log.rate_rule = RateRule(wanted, self._runtime.scaled(WINDOW_S), time.monotonic(), tell)

    def _tell_mitigation(self, protection: str, what: str, limit: int) -> None:
        self._runtime.events.emit(SHIELD_MITIGATION, protection=protection, mitigation=what, limit=limit)

    def _move(self, address: IPv4Address) -> None:
        """The balancer has scaled: this node stands for another one, at `address`, and what the old one had open is gone with it."""
        for group in self._groups.values():
            for running in group.targets:
                running.pool.cut()
        self._address = address

    async def first_round(self) -> None:
        """Wait until every target of now was checked once."""
        await asyncio.gather(*(ended.wait() for ended in self._first_ended.values()))
        self._checked = True
        self._tell_zone()

    def stop(self) -> None:
        """Stop listening and checking; connections end."""
        for listener in self._listeners.values():
            listener.stop()
            for connection in tuple(listener.connections):
                connection.transport.abort()
        for group in self._groups.values():
            self._take_away(group.targets)
            for running in group.targets:
                running.pool.abort()
        self._log.flush()

    def _configure_groups(self, config: Config) -> None:
        scaled = self._runtime.scaled
        idle_s = scaled(config.idle_timeout_s)
        timeouts = Timeouts(connect_s=scaled(TARGET_CONNECT_S), tls_s=scaled(TARGET_CONNECT_S), response_s=idle_s, idle_s=idle_s)
        self._first_ended: dict[RunningTarget, asyncio.Event] = {}
        for group_config in config.target_groups:
            group = self._groups.get(group_config.id)
            if group is None:
                group = self._groups[group_config.id] = RunningGroup(self._scaled_group(group_config), config.availability_zone, self._tell_health)
            before = group.config.health_check
            added, gone = group.configure(self._scaled_group(group_config), self._tasks, timeouts, self._outbox)
            self._take_away(gone)
            self._drain(group, gone)
            if group_config.health_check != before:
                self._stop_checks(group.targets)
            for running in group.targets:
                if running in added:
                    running.board = self._board
                    running.cell = self._crew.cell() if self._crew is not None else self._cells.get(f"{group.config.id} {running.place}", 0)
                    self._tell_health(group, running)
                if running not in self._checks and not self._helps:
                    ended = self._first_ended[running] = asyncio.Event()
                    self._checks[running] = self._tasks.create_task(keep_checking(group, running, self._tasks, scaled, ended.set))

    def _take_away(self, targets: tuple[RunningTarget, ...]) -> None:
        self._stop_checks(targets)
        for running in targets:
            running.pool.close()

    def _drain(self, group: RunningGroup, targets: tuple[RunningTarget, ...]) -> None:
        """Give requests in progress the deregistration delay to finish."""
        for running in targets:
            self._tell_state(group, running, DRAINING, DEREGISTRATION)
            self._tasks.create_task(self._drained(group, running))

    async def _drained(self, group: RunningGroup, running: RunningTarget) -> None:
        ends = asyncio.get_running_loop().time() + group.config.deregistration_delay_s
        while running.busy and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110 - a request's end is not worth an event each
            await asyncio.sleep(min(DRAIN_LOOK_S, group.config.deregistration_delay_s))
        running.pool.abort()
        self._tell_state(group, running, UNUSED, NOT_REGISTERED)

    async def keep_reweighing(self) -> None:
        """Mitigate anomalies every five seconds, until cancelled."""
        while True:
            await asyncio.sleep(self._runtime.scaled(REWEIGH_EVERY_S))
            for group in self._groups.values():
                for running in () if self._helps else group.reweigh():
                    self._runtime.events.emit(TARGET_MITIGATED, target_group=group.config.id, target=running.target.id)

    def _scaled_group(self, config: TargetGroup) -> TargetGroup:
        """The group's own times as our clock runs; those of health checks and cookies are scaled where they are used."""
        scaled = self._runtime.scaled
        return replace(config, slow_start_s=scaled(config.slow_start_s), deregistration_delay_s=scaled(config.deregistration_delay_s))

    def _stop_checks(self, targets: tuple[RunningTarget, ...]) -> None:
        for running in targets:
            task = self._checks.pop(running, None)
            if task is not None:
                task.cancel()

    async def _configure_listeners(self, config: Config) -> None:
        wanted = {listener.id: listener for listener in config.listeners}
        for id, running in tuple(self._listeners.items()):
            new = wanted.get(id)
            if new is None or (new.listen, bool(new.tls), new.client_trust_file) != (running.config.listen, bool(running.config.tls), running.config.client_trust_file):
                running.stop()
                del self._listeners[id]
        settings = ServerSettings(idle_timeout_s=self._runtime.scaled(config.idle_timeout_s), both_lengths=True)
        attributes = replace(config.attributes, client_keep_alive_s=self._runtime.scaled(config.attributes.client_keep_alive_s))
        for listener_config in config.listeners:
            listener = self._listeners.get(listener_config.id)
            if listener is not None:
                listener.application.configure(listener_config, config.dns_name, attributes, self._login, self._validation)
                if listener.certificates is not None and listener_config.tls != listener.config.tls:
                    listener.certificates.configure(listener_config.tls, ALPN, listener_config.client_trust_file)
                listener.config = listener_config
            else:
                self._listeners[listener_config.id] = await self._listen(listener_config, config.dns_name, attributes, settings)

    async def _listen(self, config: ListenerConfig, dns_name: str, attributes: Attributes, settings: ServerSettings) -> RunningListener:
        affinity = Affinity(self._groups, self._seal, random.random, time.time, self._runtime.scaled)
        application = ListenerApplication(config, dns_name, attributes, affinity, self._log, login=self._login, validation=self._validation)
        listener = RunningListener(config, application, ServerCertificates(config.tls, ALPN, config.client_trust_file) if config.tls else None)

        def connection(is_http2: bool = False) -> ServerConnection | Http2Connection:
            made = (
                Http2Connection(application, settings, listener.connections.discard)
                if is_http2
                else ServerConnection(application, settings, listener.connections.discard, self._outbox)
            )
            listener.connections.add(made)
            return made

        def negotiated() -> ByNegotiation:
            return ByNegotiation(connection)

        context = listener.certificates.context if listener.certificates is not None else None
        listener.protocol = negotiated if context is not None else connection
        if self._crew is not None:
            listener.server = Acceptor(self._runtime.socket_for(config.listen), listener, self._crew, self._tasks)
        elif not self._helps:
            sock = self._runtime.socket_for(config.listen)
            listener.server = await asyncio.get_running_loop().create_server(listener.protocol, sock=sock, ssl=context, backlog=BACKLOG)
        return listener

    def _calls(self, config: Config) -> ProviderCalls:
        return ProviderCalls(self._tasks, StubResolver(config.resolvers), ssl.create_default_context(cafile=config.trust_file or None), self._runtime.scaled)

    def _validation_of(self, config: Config) -> Validation | None:
        """What checks tokens, where a rule wants that."""
        wanted = any(rule.action.jwt_validation is not None for listener in config.listeners for rule in listener.rules)
        return Validation(self._calls(config), time.time) if wanted else None

    def _login_of(self, config: Config) -> Login | None:
        """What logs users in, where a rule wants that. Raises ValueError without a key."""
        if not any(rule.action.authenticate is not None for listener in config.listeners for rule in listener.rules):
            return None
        if self._seal is None:
            raise ValueError("rules that log users in need a cookie_key")
        return Login(
            seal=self._seal,
            signer=Signer(bytes.fromhex(config.cookie_key), config.arn),
            calls=self._calls(config),
            clock=time.time,
            scaled=self._runtime.scaled,
            random_bytes=os.urandom,
        )

    def _tell_health(self, group: RunningGroup, running: RunningTarget) -> None:
        self._tell_state(group, running, running.health.state.value, running.health.reason)
        self._tell_zone()
        if self._crew is not None:
            self._crew.tell(_health(group, running))

    def _tell_zone(self) -> None:
        """Tell DNS how this node's zone is, once every target was asked: healthy if all its groups have enough healthy targets ("Target group health"; of several groups: assumed)."""
        well = all(group.is_in_dns for group in self._groups.values())
        if self._checked and self.zone_file and well is not self._zone_told:
            zone_health.tell(self.zone_file, well)
            self._zone_told = well

    def _tell_state(self, group: RunningGroup, running: RunningTarget, state: str, reason: str) -> None:
        if self._helps:
            return
        self._runtime.events.emit(TARGET_HEALTH, target_group=group.config.id, target=running.target.id, state=state, reason=reason)


def _logged_as(config: Config) -> LoggedAs:
    arns = {name.lower(): arn for listener in config.listeners for tls, arn in zip(listener.tls, listener.certificate_arns, strict=True) for name in tls.host_names}
    default = next((arn for listener in config.listeners for arn in listener.certificate_arns), "")

    def certificate(server_name: str | None) -> str:
        name = (server_name or "").lower()
        return arns.get(name) or arns.get("*." + name.partition(".")[2]) or default

    return LoggedAs(balancer=config.load_balancer, resource=config.resource, target_groups={group.id: group.arn for group in config.target_groups}, certificate=certificate)


def _health(group: RunningGroup, running: RunningTarget) -> Health:
    return Health(group.config.id, running.place, running.state.value, running.health.reason, running.slow_since)


def prepare(config: Config, runtime: Runtime) -> Crew | None:
    """The crew of a node with several workers."""

    def help_with(link: socket.socket, board: Board) -> None:
        gc.freeze()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_help(config.cookie_key, runtime, link, board))
        runtime.events.flush_soon = None
        runtime.events.flush()

    return fork(config.workers - 1, help_with) if config.workers > 1 else None


async def _help(cookie_key: str, runtime: Runtime, link: socket.socket, board: Board) -> None:
    """Serve what the chief hands over, until it has gone."""
    gc.set_threshold(GC_THRESHOLD)
    loop = asyncio.get_running_loop()
    runtime.events.flush_soon = lambda flush: loop.call_later(FLUSH_AFTER_S, flush)
    link.setblocking(False)
    readable = asyncio.Event()
    loop.add_reader(link, readable.set)
    async with asyncio.TaskGroup() as tasks:
        node = Node(runtime, tasks, cookie_key, board=board)
        reweighing = tasks.create_task(node.keep_reweighing())
        while True:
            try:
                message = received(link)
            except BlockingIOError:
                readable.clear()
                await readable.wait()
                continue
            if message is None:
                break
            await node.take(*message)
        reweighing.cancel()
        node.stop()


async def _end(reason: str) -> None:
    """End the node; supervision begins it again."""
    raise RuntimeError(reason)


def _watch(crew: Crew, tasks: asyncio.TaskGroup) -> None:
    """A helper that has died ends the node."""

    def gone(helper: Helper) -> None:
        asyncio.get_running_loop().remove_reader(helper.link)
        tasks.create_task(_end(f"a helper of the node has died (process {helper.pid})"))

    for helper in crew.helpers:
        asyncio.get_running_loop().add_reader(helper.link, gone, helper)


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve `config` until cancelled; `runtime.reload` takes another one."""
    gc.set_threshold(GC_THRESHOLD)
    crew: Crew | None = runtime.prepared
    async with asyncio.TaskGroup() as tasks:
        node = Node(runtime, tasks, config.cookie_key, crew)

        async def reload(new: Config) -> None:
            if new.workers != config.workers:
                tasks.create_task(_end(f"{new.workers} workers in place of {config.workers}: this needs a new process"))
            await node.configure(new)

        if crew is not None:
            _watch(crew, tasks)
        try:
            await node.configure(config)
            tasks.create_task(node.keep_reweighing())
            tasks.create_task(zone_health.keep_saying(lambda: node.zone_file, zone_health.silence_s(runtime.scaled) / zone_health.BEATS))
            runtime.reload = reload
            await node.first_round()
            runtime.ready()
            await asyncio.get_running_loop().create_future()
        finally:
            node.stop()
