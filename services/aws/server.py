"""The front of a Region's AWS services: every door to them, one process.

    internet ────────────── socket on the services plane ─┐
    gateway endpoint ────── socket in its own namespace  ─┼─▶ whose call, what, by which way ─▶ may it? ─▶ services.aws_state
    interface endpoint ──── socket in its own namespace  ─┘      (the socket knows the endpoint)       └no─▶ AWS's error

It holds nothing but a copy of resource-based policies, asked for again after each change: it can be killed at any time and loses nothing.
New doors in other namespaces need sockets that only a start can open: such a configuration ends the process, and its supervisor starts it again.
NOT MODELLED: throttling; a call to another Region's endpoint is not redirected there.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from dataclasses import dataclass, field

from services.aws.authorisation import ACCESS_DENIED, Refusal, Way, context, locks_out, principal, refusal
from services.aws.call import AwsCall, named_call, s3_call
from services.aws.config import Config, Door
from services.aws.errors import Answer, Protocol, access_denied, error, protocol
from services.aws.policy import PolicyError, Request, parse
from services.aws.resource_policy import ResourcePolicies
from services.common.config import Listen, Tls
from services.common.events import AWS_DATA_LOST, AWS_REQUEST
from services.common.http.admission import ServerSettings
from services.common.http.call import UpstreamRequest
from services.common.http.exchange import Exchange
from services.common.http.failure import UpstreamError
from services.common.http.head import HOP_BY_HOP, Headers, end_to_end
from services.common.http.server import ServerConnection
from services.common.http.upstream import Destination, Timeouts, UpstreamPool, WholeResponse
from services.common.runtime import Runtime

log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 64 * 1024 * 1024
ENDPOINT_IDLE_S = 350.0
"""A connection through an endpoint that is idle this long ends (facts: PrivateLink; secondary). The front closes it, where AWS's endpoint resets it."""
STATE_RESPONSE_S = 60.0
LIFE = b"x-testbed-life"
"""Header of the state's answers: another value, and it is another process, with nothing of what the one before held."""
NOT_PASSED_ON = HOP_BY_HOP | {b"content-length", b"date", b"server", LIFE}
SECURE, PLAIN = "https", "http"
MALFORMED = {
    "s3": ("MalformedPolicy", ""), "kms": ("MalformedPolicyDocument", ""), "dynamodb": ("Validation", ""), "sqs": ("InvalidAttributeValue", "Invalid value for the parameter Policy."),
}  # fmt: skip
"""What each service says to a policy that is none: its code, and its words where they say nothing of the policy."""


class Front:
    """The doors of a Region, and what stands behind them."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self.config = config
        self.runtime = runtime
        self.tasks = tasks
        self.doors_changed = asyncio.Event()
        self.policies = ResourcePolicies(config.region, self.ask)
        self._servers: list[asyncio.Server] = []
        destination = Destination(host=str(config.state.address), port=config.state.port, timeouts=Timeouts(response_s=STATE_RESPONSE_S))
        self._state = UpstreamPool(destination, tasks)
        self._applications: dict[tuple[str, str], Application] = {}
        self._life: bytes | None = None

    async def open(self) -> None:
        """Listen at every door."""
        contexts = Certificates(self.config.tls)
        for door in self.config.doors:
            for scheme, listens in ((SECURE, door.https), (PLAIN, door.http)):
                application = self._applications[_key(door), scheme] = Application(self, door, scheme)
                for listen in listens:
                    await self._listen(listen, application, contexts.context if scheme == SECURE else None)

    async def reload(self, config: Config) -> None:
        """Take other policies at once; other doors by ending."""
        if _listens(config) != _listens(self.config) or config.tls != self.config.tls or config.state != self.config.state:
            self.doors_changed.set()
            return
        self.config = config
        for door in config.doors:
            for scheme in (SECURE, PLAIN):
                self._applications[_key(door), scheme].door = door

    async def ask(self, service: str, request: UpstreamRequest, scheme: str = SECURE) -> WholeResponse:
        """The state's answer. Raises UpstreamError."""
        request.headers += [(b"X-Testbed-Service", service.encode()), (b"X-Testbed-Scheme", scheme.encode())]
        response = await self._state.fetch(request)
        self._note_life(response.head.fields.get(LIFE))
        return response

    def _note_life(self, life: bytes | None) -> None:
        """A state that has been started again is empty: say so, and trust nothing that was known of the one before."""
        if self._life not in (None, life):
            log.warning("the data of S3, DynamoDB, SQS and KMS in %s are lost: the process that held them was started again", self.config.region)
            self.runtime.events.emit(AWS_DATA_LOST, region=self.config.region)
            self.policies.forget_all()
        self._life = life

    def s3_host(self) -> bytes:
        """The name under which the state is asked for S3, whatever the client called it."""
        return f"s3.{self.config.region}.amazonaws.com".encode()

    async def _listen(self, listen: Listen, application: Application, tls: ssl.SSLContext | None) -> None:
        settings = ServerSettings(idle_timeout_s=self.runtime.scaled(ENDPOINT_IDLE_S))
        server = await asyncio.get_running_loop().create_server(lambda: ServerConnection(application, settings), sock=self.runtime.socket_for(listen), ssl=tls, backlog=4096)
        self._servers.append(server)

    def close(self) -> None:
        """Take no more connections."""
        for server in self._servers:
            server.close()
        self._state.abort()


@dataclass(slots=True)
class Application:
    """One door: it gathers each request and has it answered."""

    front: Front
    door: Door
    scheme: str

    def handle(self, exchange: Exchange) -> None:
        if exchange.ended:
            self.front.tasks.create_task(self._answer(exchange, exchange.body))
        else:
            exchange.events = _Gathering(self, exchange, [exchange.body])

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        code, spoken = ("BadRequest", Protocol.XML) if self.door.service == "s3" else ("Validation", Protocol.JSON)
        answer = error(self.door.service, spoken, status, code, reason, _request_id())
        return list(answer.headers), answer.body

    def gathered(self, exchange: Exchange, body: bytes) -> None:
        """The whole body is there."""
        exchange.events = None
        self.front.tasks.create_task(self._answer(exchange, body))

    async def _answer(self, exchange: Exchange, body: bytes) -> None:
        begun, request_id = time.perf_counter(), _request_id()
        service, spoken = self.door.service, protocol(self.door.service, exchange.head.fields.get(b"x-amz-target", b"").decode("latin-1"))
        call = self._call(exchange, body)
        why: Refusal | None = None
        try:
            request = self._request(exchange, call)
            why = await self._refusal(request, call)
            if why is not None:
                denied = why.code == ACCESS_DENIED
                _send(exchange, access_denied(service, spoken, why.message, request_id) if denied else error(service, spoken, 400, why.code, why.message, request_id), request_id)
            elif (malformed := _malformed_policy(call, request)) is not None:
                code, words = MALFORMED[service]
                _send(exchange, error(service, spoken, 400, code, words or malformed, request_id), request_id)
            else:
                await self._pass_on(exchange, call, body)
        except UpstreamError as fault:
            log.warning("the state does not answer: %s", fault)
            _send(exchange, error(service, spoken, 503, "ServiceUnavailable", "Please reduce your request rate.", request_id), request_id)
        finally:
            if call.changes_policy:
                self.front.policies.forget(service)
        self.front.runtime.events.emit(
            AWS_REQUEST, request_id=request_id, region=self.front.config.region, aws_service=service, action=call.action, resource=call.resource, status=exchange.status,
            endpoint=self.door.endpoint, vpc=self.door.vpc, peer=exchange.peer, local=exchange.connection.local, refused=None if why is None else why.message,
            duration_ms=round((time.perf_counter() - begun) * 1000, 3),
        )  # fmt: skip

    def _call(self, exchange: Exchange, body: bytes) -> AwsCall:
        head, config = exchange.head, self.front.config
        target = head.target.decode("latin-1")
        if self.door.service == "s3":
            return s3_call(head.method.decode(), target, head.fields.get(b"host", b"").decode("latin-1"), config.host_suffixes, body)
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.fields.items()}
        return named_call(self.door.service, target, fields, body, config.region, config.account)

    def _request(self, exchange: Exchange, call: AwsCall) -> Request:
        head, account = exchange.head, self.front.config.account
        caller = principal(head.fields.get(b"authorization", b"").decode("latin-1"), head.target.partition(b"?")[2].decode("latin-1"), account)
        way = Way(source=exchange.peer.rpartition(":")[0], secure=self.scheme == SECURE, endpoint=self.door.endpoint, vpc=self.door.vpc)
        return Request(principal=caller, account=account, action=call.action, resource=call.resource, context=context(way, caller, account, call.context))

    async def _refusal(self, request: Request, call: AwsCall) -> Refusal | None:
        own = None if self.door.policy is None else parse(self.door.policy)
        resource = None if call.holder is None else await self.front.policies.of(self.door.service, call.holder)
        return refusal(request, own, resource)

    async def _pass_on(self, exchange: Exchange, call: AwsCall, body: bytes) -> None:
        head = exchange.head
        gone = HOP_BY_HOP | {b"content-length", b"expect"} | ({b"host"} if self.door.service == "s3" else frozenset())
        headers = end_to_end(head.headers, head.fields, gone)
        if self.door.service == "s3":
            headers = [*headers, (b"Host", self.front.s3_host())]
        request = UpstreamRequest(head.method, call.path.encode("latin-1"), list(headers), body=body, content_length=len(body) if body or head.method in (b"PUT", b"POST") else None)
        response = await self.front.ask(self.door.service, request, self.scheme)
        length = response.head.content_length if head.method == b"HEAD" else len(response.body)
        exchange.start(response.head.status, end_to_end(response.head.headers, response.head.fields, NOT_PASSED_ON), length=length, body=response.body, ended=True)


@dataclass(slots=True)
class _Gathering:
    """A request whose body is still coming."""

    application: Application
    exchange: Exchange
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def request_continued(self, body: bytes, ended: bool) -> None:
        self.parts.append(body)
        self.size += len(body)
        if self.size > LARGEST_BODY_BYTES:
            self.exchange.close_after()
            service, request_id = self.application.door.service, _request_id()
            spoken = protocol(service, self.exchange.head.fields.get(b"x-amz-target", b"").decode("latin-1"))
            _send(self.exchange, error(service, spoken, 400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", request_id), request_id)
        elif ended:
            self.application.gathered(self.exchange, b"".join(self.parts))

    def request_aborted(self) -> None:
        """Nobody waits any more."""

    def response_paused(self) -> None:
        """A response is sent whole."""

    def response_resumed(self) -> None:
        """A response is sent whole."""


class Certificates:
    """Server contexts by SNI; the first certificate is for everybody else."""

    def __init__(self, tls: tuple[Tls, ...]) -> None:
        self._by_name = {name: made for made, names in ((_server_context(each), each.host_names) for each in reversed(tls)) for name in names}
        self._default = _server_context(tls[0])
        self.context = _server_context(tls[0])
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
        name = (server_name or "").lower()
        connection.context = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or self._default


def _server_context(tls: Tls) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(tls.certificate_file, tls.key_file)
    return made


def _malformed_policy(call: AwsCall, request: Request) -> str | None:
    """What is wrong with a policy that is about to be put on something: AWS refuses it, and so nothing here has to understand it later."""
    if call.policy is None:
        return None
    try:
        policy = parse(call.policy)
    except PolicyError as fault:
        return str(fault)
    if call.action.startswith("kms:") and locks_out(request, policy):
        return "The new key policy will not allow you to update the key policy in the future."
    return None


def _send(exchange: Exchange, answer: Answer, request_id: str) -> None:
    if not exchange.finished:
        exchange.respond(answer.status, [*answer.headers, (b"x-amz-request-id", request_id.encode()), (b"x-amzn-RequestId", request_id.encode())], answer.body)


def _request_id() -> str:
    return str(uuid.uuid4())


def _key(door: Door) -> str:
    return f"{door.service} {door.endpoint}"


def _listens(config: Config) -> set[Listen]:
    return {listen for door in config.doors for listen in (*door.https, *door.http)}


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled, or until the doors are others."""
    for door in config.doors:
        if door.policy is not None:
            parse(door.policy)
    async with asyncio.TaskGroup() as tasks:
        front = Front(config, runtime, tasks)
        await front.open()
        runtime.reload = front.reload
        runtime.ready()
        await front.doors_changed.wait()
        front.close()
