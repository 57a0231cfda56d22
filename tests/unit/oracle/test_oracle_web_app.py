"""The web application's own promises, as the oracle tells them."""

import pytest

from testbed.oracle import Oracle
from testbed.resolve import resolve
from tests import addresses
from topologies.web_app import web_app

from .lab import ping, tcp, verdict

RESOLVED = resolve(web_app())
ALB_A = addresses.public(RESOLVED, "alb-shop-a")
WEB_A, WEB_B, DATABASE = (addresses.private(RESOLVED, node) for node in ("web-a", "web-b", "shop-db"))
CLIENT = next(str(user.address) for user in RESOLVED.users if user.node == "client")


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(RESOLVED)


@pytest.mark.parametrize(
    ("source", "destination", "port"),
    [("client", ALB_A, 443), ("client-newyork", ALB_A, 80), ("edge-lhr", ALB_A, 443), ("alb-shop-a", WEB_A, 80), ("alb-shop-a", WEB_B, 80), ("web-a", DATABASE, 5432), ("web-b", CLIENT, 443)],
)
def test_the_path_of_a_request_is_open(oracle, source, destination, port):
    assert verdict(tcp(oracle, source, destination, port))[0] == "delivered"


@pytest.mark.parametrize(
    ("source", "destination", "port", "origin"),
    [
        ("client", ALB_A, 22, "sg-alb#ingress no rule"),
        ("client", WEB_A, 80, f"internet: nobody has {WEB_A}"),
        ("web-a", WEB_B, 80, "sg-web#ingress no rule"),
        ("web-a", DATABASE, 22, "acl-database#*"),
        ("alb-shop-a", DATABASE, 5432, "acl-database#*"),
        ("shop-db", CLIENT, 443, "acl-database#*"),
    ],
)
def test_everything_beside_it_is_closed_by_a_named_rule(oracle, source, destination, port, origin):
    assert verdict(tcp(oracle, source, destination, port)) == ("dropped", "request", origin)


def test_the_database_cannot_be_pinged(oracle):
    assert verdict(ping(oracle, "web-a", DATABASE)) == ("dropped", "request", "acl-database#*")
