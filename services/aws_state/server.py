"""S3, DynamoDB, SQS and KMS of one Region, as moto does them: what buckets, tables, queues and keys hold lives in this process.

It is asked by `services.aws` alone, which has decided who may. Clients meet the front, whose death loses nothing. The death of this process loses the Region's data,
as nothing on AWS would: it is back with the topology's buckets, and each answer bears the number of its life, by which the front sees and says that it is another one.
moto is imported by this package alone, in a zygote of its own (`engine.zygote`), so that no other daemon carries its memory and a new life begins without importing it again.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from services.aws_state.config import Bucket, Config
from services.common.runtime import Runtime

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

log = logging.getLogger(__name__)
SERVICES = ("dynamodb", "kms", "s3", "sqs")
LIFE = "X-Testbed-Life"
WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Dispatch:
    """A WSGI application for each service; the front says which is meant, and whether its client used TLS (addresses of queues begin with it)."""

    def __init__(self, applications: dict[str, WsgiApplication], life: str) -> None:
        self._applications = applications
        self._life = (LIFE, life)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = environ.get("HTTP_X_TESTBED_SCHEME", "https")

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, self._life], *more)

        return self._applications[environ["HTTP_X_TESTBED_SERVICE"]](environ, start)


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled."""
    server = await asyncio.to_thread(_make, config, runtime)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    runtime.ready()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        server.shutdown()


def _make(config: Config, runtime: Runtime) -> BaseWSGIServer:
    os.environ["MOTO_ACCOUNT_ID"] = config.account  # moto reads it at each request
    moto = importlib.import_module("moto.server")
    application = importlib.import_module("moto.moto_server.werkzeug_app")
    serving = importlib.import_module("werkzeug.serving")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    dispatch = Dispatch({service: moto.create_backend_app(service) for service in SERVICES}, secrets.token_hex(8))
    importlib.import_module("moto.moto_api._internal").mock_random.seed()  # the life before, forked from the same zygote, gave its queues and keys the identifiers that would come now
    _leave_permission_to_the_front()
    _seed(config)
    sock = runtime.socket_for(config.listen)
    sock.setblocking(True)
    made: BaseWSGIServer = serving.make_server(str(config.listen.address), config.listen.port, dispatch, threaded=True, request_handler=_keep_alive(application.MotoRequestHandler), fd=sock.detach())
    return made


def _keep_alive(handler: type[Any]) -> type[Any]:
    """moto's request handler with connections that stay."""
    return type("Handler", (handler,), {"protocol_version": "HTTP/1.1"})


def _leave_permission_to_the_front() -> None:
    """moto judges by bucket policies too, without their conditions: it would deny what a policy opens to an endpoint alone."""
    models, access = importlib.import_module("moto.s3.models"), importlib.import_module("moto.iam.access_control")
    models.FakeBucket.get_permission = lambda bucket, action, resource: access.PermissionResult.PERMITTED


def _seed(config: Config) -> None:
    backends = importlib.import_module("moto.backends")
    s3 = backends.get_backend("s3")[config.account]["aws"]
    for bucket in config.buckets:
        _bucket(s3, bucket, config.region)


def _bucket(s3: Any, bucket: Bucket, region: str) -> None:
    s3.create_bucket(bucket.name, region)
    if bucket.policy is not None:
        s3.put_bucket_policy(bucket.name, bucket.policy.encode())
