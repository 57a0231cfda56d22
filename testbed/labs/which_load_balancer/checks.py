"""Checks of "Which load balancer?"."""

import socket
from contextlib import ExitStack

from testbed.labs.checking import CheckedLab, check
from testbed.labs.exercise import Variant
from testbed.labs.which_load_balancer.requests import HTTP, Arrived, request

PATIENCE_S = 1.5


def game_port(variant: Variant) -> int:
    """The game's port for this student."""
    return int(variant.render("7777"))


def played(lab: CheckedLab, variant: Variant, address: object) -> tuple[bool, str]:
    """Whether a datagram of client to `address` is answered by game, and whose address game saw."""
    port = game_port(variant)
    with ExitStack() as stack:
        server, client = (stack.enter_context(lab[name].socket(kind=socket.SOCK_DGRAM)) for name in ("game", "client"))
        server.bind(("0.0.0.0", port))
        for sock in (server, client):
            sock.settimeout(PATIENCE_S)
        client.connect((str(address), port))
        try:
            client.send(b"move")
            _, sender = server.recvfrom(100)
            server.sendto(b"seen", sender)
            return client.recv(100) == b"seen", str(sender[0])
        except OSError:
            return False, ""


@check(step=1, points=3)
def test_paths(lab: CheckedLab) -> None:
    """lb-shop gives /images/logo to images, and everything else to web."""
    address = lab.public_address("lb-shop-a")
    assert lab["client"].tcp(address or "web", HTTP).passed
    assert address is not None
    assert lab.soon(lambda: request(lab, address, "/images/logo").server == "images"), "/images/logo does not come to images"
    assert request(lab, address, "/basket").server == "web", "/basket does not come to web"


@check(step=1, points=1, negative=True)
def test_servers_have_no_other_way_in(lab: CheckedLab) -> None:
    """Nobody on the internet reaches web past the balancers."""
    assert not lab.reaches("client", "web", 8080)


@check(step=2, points=2)
def test_datagrams(lab: CheckedLab, variant: Variant) -> None:
    """A datagram of client to eip-game-a is answered by game."""
    address = lab.elastic_address("eip-game-a")
    assert address is not None, "eip-game-a leads nowhere"
    assert lab.soon(lambda: played(lab, variant, address)[0])


@check(step=2, points=1)
def test_players_are_seen(lab: CheckedLab, variant: Variant) -> None:
    """game sees the address of its player, not the balancer's."""
    address = lab.elastic_address("eip-game-a")
    assert address is not None, "eip-game-a leads nowhere"
    answered, source = played(lab, variant, address)
    assert answered and source == str(lab["client"].address)


@check(step=2, points=1, negative=True)
def test_game_has_no_other_way_in(lab: CheckedLab) -> None:
    """Nobody on the internet reaches game past its balancer (tried: TCP port 8080)."""
    assert not lab.reaches("client", "game", 8080)


@check(step=3, points=3)
def test_paths_at_a_fixed_address(lab: CheckedLab) -> None:
    """By eip-front-a, too, /images/logo comes to images and everything else to web, with client's address in X-Forwarded-For."""
    address = lab.elastic_address("eip-front-a")
    assert address is not None, "eip-front-a leads nowhere"
    assert lab.soon(lambda: request(lab, address, "/images/logo").server == "images"), "/images/logo does not come to images"
    arrived: Arrived = request(lab, address, "/basket")
    assert arrived.server == "web", "/basket does not come to web"
    assert arrived.field("X-Forwarded-For") == str(lab["client"].address)
