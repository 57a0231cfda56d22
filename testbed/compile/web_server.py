"""A web server of known capacity on an instance becomes a daemon there."""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import Listen, encode
from services.web_server.config import Config
from testbed.model.instance import WebServer
from testbed.plan import ServiceSpec

KIND = "web_server"
ANY_ADDRESS = IPv4Address("0.0.0.0")


def service(server: WebServer, instance: str, node: str) -> ServiceSpec:
    """The daemon on an instance's node."""
    config = Config(name=instance, listen=Listen(address=ANY_ADDRESS, port=server.port), requests_per_second=server.requests_per_second)
    return ServiceSpec(name=f"{instance}.{KIND}", kind=KIND, node=node, config=encode(config), origin=instance)
