"""The names of the shop: who is sent where, what an alias at the apex looks like, and how long an answer lives."""

import time

import pytest

pytestmark = [pytest.mark.packets, pytest.mark.topology("web_app")]

SHOP, ORIGIN = "shop.example.com", "origin.shop.example.com"


def answers(node, name, type="A", *, server=None):
    """The records that a node is told, as (name, TTL, type, value)."""
    asked = node.run("dig", *([] if server is None else [f"@{server}"]), name, type, "+noall", "+answer").out
    records = [line.split(None, 4) for line in asked.splitlines()]
    return [(owner, int(ttl), kind, value) for owner, ttl, _class, kind, value in records]


@pytest.mark.parametrize(
    ("user", "edge", "pop"),
    [("client", "edge-lhr", "LHR50-C1"), ("client-frankfurt", "edge-fra", "FRA50-C1"), ("client-newyork", "edge-jfk", "JFK50-C1")],
)
def test_dns_sends_each_user_to_the_nearest_edge_location(lab, user, edge, pop):
    assert lab[user].dig(SHOP) == (str(lab[edge].address),)
    with lab.capture("edge-lhr", "edge-fra", "edge-jfk", filter=f"tcp port 443 and src host {lab[user].address}") as capture:
        answer = lab[user].curl(f"https://{SHOP}/products")
    assert answer.headers["x-amz-cf-pop"] == pop
    assert {packet.sniffed_on for packet in capture.packets} == {f"{edge}/eth0"}


def test_an_alias_at_the_apex_looks_like_plain_a_records(lab):
    assert [(owner, kind, value) for owner, _ttl, kind, value in answers(lab["client"], SHOP)] == [(f"{SHOP}.", "A", str(lab["edge-lhr"].address))]


def test_an_alias_to_a_balancer_is_the_public_address_of_each_of_its_nodes(lab):
    assert set(lab["client"].dig(ORIGIN)) == {str(interface.public_address) for interface in lab.resolved.interfaces_of("alb-shop")}


def test_www_is_a_cname_that_ends_at_the_same_edge_location(lab):
    assert lab["client"].dig(f"www.{SHOP}") == (str(lab["edge-lhr"].address), f"{SHOP}.")


def test_a_type_that_the_name_does_not_have_is_nodata_and_not_a_wrong_name(lab):
    asked = lab["client"].run("dig", SHOP, "AAAA").out
    assert "status: NOERROR" in asked
    assert "ANSWER: 0" in asked
    assert "SOA" in asked, "the SOA says how long the absence may be remembered"
    assert "status: NXDOMAIN" in lab["client"].run("dig", f"nothing.{SHOP}").out


def test_the_time_to_live_counts_down_at_the_providers_resolver_and_not_at_route_53(lab):
    ((_, first, _, _),) = answers(lab["client-newyork"], SHOP)
    time.sleep(1.1)
    with lab.capture("resolver-new-york", filter="udp port 53 or tcp port 53") as capture:
        ((_, second, _, _),) = answers(lab["client-newyork"], SHOP)
    assert second < first <= 60, "an alias to a distribution lives for 60 seconds"
    assert {packet["IP"].dst for packet in capture.packets} == {str(lab["resolver-new-york"].address), str(lab["client-newyork"].address)}, "nobody else was asked"
    name_server = lab["client-newyork"].dig(SHOP, "NS")[0]
    assert [ttl for _, ttl, _, _ in answers(lab["client-newyork"], SHOP, server=lab["client-newyork"].dig(name_server)[0])] == [60]


def test_a_resolver_follows_the_referrals_from_the_root_to_route_53(lab):
    with lab.capture("resolver-frankfurt", filter="udp port 53") as capture:
        assert lab["client-frankfurt"].dig(SHOP, "TXT") == ('"the testbed\'s shop"',)
        assert lab["client-frankfurt"].dig("origin.shop.example.com") != ()
    asked = {packet["IP"].dst for packet in capture.packets if packet["UDP"].dport == 53} - {str(lab["resolver-frankfurt"].address)}
    assert asked, "what it had not heard yet, it asked for"
    assert asked <= {str(address.ip) for node in ("edge-fra", "edge-lhr", "edge-jfk", "name-servers") for address in lab.plan.node(node).loopback} | {str(lab["name-servers"].address)}
