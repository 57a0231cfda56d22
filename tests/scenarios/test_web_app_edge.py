"""A request at the edge: cached or not, read or written, plain or encrypted. What CloudFront says, and what packets prove."""

import time

import pytest
from scapy.packet import Raw

from tests.scenarios.shop import POSTGRESQL, asks, sql

pytestmark = [pytest.mark.packets, pytest.mark.topology("web_app")]

SHOP = "https://shop.example.com"
JSON = ("-H", "Content-Type: application/json")


def test_the_first_request_is_a_miss_and_the_second_a_hit_that_no_gateway_sees(lab):
    client = lab["client"]
    with lab.capture("igw-shop") as capture:
        first = client.curl(f"{SHOP}/products/1")
    assert (first.status, first.cache) == (200, "Miss")
    assert capture.packets, "a miss goes to the origin, through the internet gateway"

    time.sleep(1.1)
    with lab.capture("igw-shop") as capture:
        second = client.curl(f"{SHOP}/products/1")
    assert (second.status, second.cache, second.text) == (200, "Hit", first.text)
    assert capture.packets == []
    assert "age" not in first.headers
    assert int(second.headers["age"]) >= 1


def test_every_edge_location_has_a_cache_of_its_own(lab):
    def results():
        return [lab[user].curl(f"{SHOP}/products/2").cache for user in ("client", "client-frankfurt", "client-newyork")]

    assert results() == ["Miss", "Miss", "Miss"]
    assert results() == ["Hit", "Hit", "Hit"]


def test_what_is_posted_reaches_postgresql_and_can_be_read_there(lab):
    with lab.capture("shop-db", filter=f"tcp port {POSTGRESQL}") as capture:
        written = lab["client"].curl(f"{SHOP}/products", *JSON, "-d", '{"name": "Green tea", "price_cents": 790}')
    assert written.status == 201
    statements = b"".join(bytes(packet[Raw]) for packet in capture.packets if packet.haslayer(Raw))
    assert b"INSERT INTO products" in statements
    assert b"Green tea" in statements
    assert sql(lab, "web-a", "SELECT price_cents FROM products WHERE name = 'Green tea'") == "790"


def test_a_cart_is_never_cached(lab):
    client, cart = lab["client"], f"{SHOP}/cart/anna"
    for _ in range(2):
        with lab.capture("alb-shop-a", "alb-shop-b", filter=f"src host {lab['edge-lhr'].address}") as capture:
            assert client.curl(cart).cache == "Miss"
        assert asks(capture.packets), "it goes to the origin each time"
    assert client.curl(cart, *JSON, "-d", '{"product_id": 2, "quantity": 3}').status == 200
    assert client.curl(cart).json()["items"][0]["quantity"] == 3


def test_plain_http_is_sent_to_https_with_the_method_kept_for_a_post(lab):
    client, plain = lab["client"], "http://shop.example.com/products?page=2"
    with lab.capture("igw-shop") as capture:
        get, post = client.curl(plain), client.curl(plain, "-d", "{}")
    assert (get.status, post.status) == (301, 307)
    assert get.headers["location"] == post.headers["location"] == f"{SHOP}/products?page=2"
    assert not asks(capture.packets), "the edge decides it alone"


def test_the_balancers_own_plain_listener_redirects_too(lab):
    answer = lab["client"].curl("http://origin.shop.example.com/products")
    assert (answer.status, answer.headers["location"]) == (301, "https://origin.shop.example.com:443/products")


def test_a_rule_of_the_balancer_answers_without_asking_an_instance(lab):
    with lab.capture("web-a", "web-b", filter="tcp dst port 80 and tcp[tcpflags] & tcp-push != 0") as capture:
        answer = lab["client"].curl(f"{SHOP}/status")
    assert (answer.status, answer.text) == (200, "the balancer is up\n")
    assert not [packet for packet in capture.packets if b"/status" in bytes(packet)]
