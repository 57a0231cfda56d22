"""topologies/global_accelerator.py: one shop in two Regions, users on three continents, and balancers that answer for their targets (facts: section 12, and the chains of headers in section 11)."""

import time

import pytest

pytestmark = [pytest.mark.packets, pytest.mark.topology("global_accelerator")]

SHOP = "http://shop.example.com"
NEAREST = {"user-london": ("ga-edge-lhr", "web-eu"), "user-newyork": ("ga-edge-jfk", "web-us"), "user-singapore": ("ga-edge-sin", "web-eu")}
PATIENCE_S = 30.0


def until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def reachable(lab):
    """Every user's city has a way to the static addresses."""
    until(lambda: all(served_by(lab, user) for user in NEAREST), "somebody reaches no shop")


def served_by(lab, user):
    return lab[user].curl(f"{SHOP}/", "--connect-timeout", "2").headers.get("x-served-by")


@pytest.mark.parametrize("user", NEAREST)
def test_every_continent_has_the_same_addresses_its_own_edge_and_the_region_nearest_to_that(lab, user):
    edge, server = NEAREST[user]
    assert lab[user].dig("shop.example.com") == tuple(str(address) for address in lab.resolved.accelerators[0].addresses)
    with lab.capture(*(each for each, _ in NEAREST.values()), filter=f"tcp dst port 80 and host {lab[user].address}") as capture:
        assert served_by(lab, user) == server
    assert {packet.sniffed_on.partition("/")[0] for packet in capture.packets} == {edge}


def test_the_application_hears_of_the_client_by_the_balancer_which_sees_it(lab):
    """Client, Global Accelerator, ALB: X-Forwarded-For is the client alone, and no address of Global Accelerator's."""
    with lab.capture("web-us", filter="tcp dst port 80") as capture:
        assert served_by(lab, "user-newyork") == "web-us"
    payloads = b"".join(bytes(packet["TCP"].payload) for packet in capture.packets).lower()
    assert f"x-forwarded-for: {lab['user-newyork'].address}\r\n".encode() in payloads


def test_balancers_whose_targets_fail_leave_their_users_to_the_other_region(lab):
    lab.fail("web-us", "cut")
    try:
        until(lambda: served_by(lab, "user-newyork") == "web-eu", "never moved")
    finally:
        lab.heal()
    until(lambda: served_by(lab, "user-newyork") == "web-us", "never back")


def test_the_model_agrees_across_the_accelerator_and_its_balancer(lab):
    told = lab.explain("user-singapore", "ga-shop", port=80)
    assert told.passed
    assert told.agrees, told.oracle
    assert [hop.node for hop in told.hops] == ["ga-edge-sin", "ga-vpc-eu", "vpc-eu", "vpc-eu", "ga-vpc-eu", "ga-edge-sin"]
    assert not any("igw-eu" in words for hop in told.hops for words in hop.said), "replies return as they came"
