"""What instance metadata answers, request by request, and which tokens it takes."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from services.imds.answer import answer
from services.imds.config import Instance, Interface
from services.imds.metadata import look_up, tree
from services.imds.token import Tokens

TOKENS = Tokens(b"k" * 32)
ETH0 = Interface(
    id="eni-web", device_number=0, mac="02:01:0a:00:00:0a", addresses=(IPv4Address("10.0.0.10"), IPv4Address("10.0.0.11")), public=((IPv4Address("10.0.0.10"), IPv4Address("198.51.100.10")),),
    security_groups=("sg-a", "sg-b"), subnet_id="public-a", subnet_cidr_block=IPv4Network("10.0.0.0/24"), vpc_id="vpc-main", vpc_cidr_blocks=(IPv4Network("10.0.0.0/16"), IPv4Network("10.1.0.0/16")),
)  # fmt: skip
WEB = Instance(id="web", account="111122223333", region="eu-west-1", availability_zone="eu-west-1a", interfaces=(ETH0,))
TTL = b"x-aws-ec2-metadata-token-ttl-seconds"


def ask(instance, method, path, now_s=0.0, **fields):
    return answer(instance, method, path, {name.replace("_", "-").encode(): value for name, value in fields.items()}, TOKENS, now_s)


def token(instance=WEB, ttl_s=60, now_s=0.0):
    return answer(instance, "PUT", "/latest/api/token", {TTL: b"%d" % ttl_s}, TOKENS, now_s)


def get(path, instance=WEB, now_s=0.0, with_token=None):
    good = token(instance, now_s=now_s).body if with_token is None else with_token
    return answer(instance, "GET", path, {b"x-aws-ec2-metadata-token": good.encode()}, TOKENS, now_s)


def test_a_token_has_its_lifetime_and_goes_as_many_hops_as_the_instance_says():
    assert [(said.status, said.token_left_s, said.hops) for said in (token(), token(replace(WEB, http_put_response_hop_limit=3), ttl_s=21600))] == [(200, 60, 1), (200, 21600, 3)]


def test_other_answers_go_as_far_as_any_packet():
    assert get("/latest/meta-data/").hops is None
    assert get("/latest/meta-data/", with_token="bad").hops is None


@pytest.mark.parametrize("ttl", [None, b"", b"0", b"21601", b"-1", b"1.5", b"sixty", b"9" * 5000])
def test_a_lifetime_outside_its_bounds_is_400(ttl):
    assert answer(WEB, "PUT", "/latest/api/token", {} if ttl is None else {TTL: ttl}, TOKENS, 0.0).status == 400


def test_a_forwarded_put_is_403():
    assert answer(WEB, "PUT", "/latest/api/token", {TTL: b"60", b"x-forwarded-for": b""}, TOKENS, 0.0).status == 403


@pytest.mark.parametrize(("method", "path"), [("GET", "/latest/api/token"), ("PUT", "/latest/meta-data/"), ("POST", "/latest/api/token"), ("DELETE", "/")])
def test_other_methods_are_405(method, path):
    assert ask(WEB, method, path).status == 405


def test_a_token_ends_at_its_time():
    given = token(ttl_s=10, now_s=100.0).body
    assert [get("/latest/", now_s=at, with_token=given).status for at in (100.0, 109.9, 110.0, 1000.0)] == [200, 200, 401, 401]
    assert get("/latest/", now_s=105.0, with_token=given).token_left_s == 5


def test_a_token_of_another_instance_of_another_key_or_none_at_all_is_401():
    foreign, older = token(replace(WEB, id="app")).body, Tokens(b"x" * 32).issue("web", 60, 0.0)
    for bad in (foreign, older, "", "nonsense", token().body[:-1], token().body + "A", "\xff"):
        assert get("/latest/meta-data/", with_token=bad).status == 401
    assert ask(WEB, "GET", "/latest/meta-data/").status == 401


def test_where_tokens_are_optional_none_is_needed_and_a_bad_one_still_refused():
    optional = replace(WEB, http_tokens="optional")
    assert ask(optional, "GET", "/latest/meta-data/instance-id").body == "web"
    assert get("/latest/meta-data/", optional, with_token="bad").status == 401


def test_whoever_is_no_instance_or_has_it_switched_off_gets_403():
    assert ask(None, "GET", "/latest/meta-data/").status == 403
    assert token(replace(WEB, http_endpoint="disabled")).status == 403


def test_the_tree_holds_the_interface():
    mac = "/latest/meta-data/network/interfaces/macs/02:01:0a:00:00:0a/"
    assert get(mac + "local-ipv4s").body == "10.0.0.10\n10.0.0.11"
    assert get(mac + "ipv4-associations/198.51.100.10").body == "10.0.0.10"
    assert get(mac + "vpc-ipv4-cidr-blocks").body == "10.0.0.0/16\n10.1.0.0/16"
    assert get("/latest/meta-data/security-groups").body == "sg-a\nsg-b"
    assert get("/latest/meta-data/local-hostname").body == "ip-10-0-0-10.eu-west-1.compute.internal"
    assert json.loads(get("/latest/dynamic/instance-identity/document").body)["privateIp"] == "10.0.0.10"


def test_listings_show_what_is_below_and_values_have_nothing_below():
    root = tree(WEB)
    assert look_up(root, "/latest") == look_up(root, "/latest/") == "dynamic/\nmeta-data/"
    assert "placement/" in (look_up(root, "/latest/meta-data/") or "").splitlines()
    assert look_up(root, "/").splitlines()[-1] == "latest"
    for nothing in ("/latest/user-data", "/latest/meta-data/iam/", "/latest/meta-data/mac/", "/latest/meta-data/mac/x", "/2007", "/latest/../latest"):
        assert look_up(root, nothing) is None


def test_user_data_are_there_where_given():
    assert get("/latest/user-data", replace(WEB, user_data="#!/bin/sh\n")).body == "#!/bin/sh\n"
