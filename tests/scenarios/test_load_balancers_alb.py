"""An Application Load Balancer in a lab: what reaches which target, and what clients see when targets, zones and logins come and go."""

import base64
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import msgspec
import pytest

from testbed.model import FixedResponse, ListenerRule
from tests.scenarios.shop import public_address, resource, with_resources
from tests.scenarios.two_zones import WEB, ZONAL, two_zones

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(two_zones)]
SHOP = "http://shop.example.com"
ALB = "alb-a.alb"
TARGET = Path(__file__).with_name("target.py")
SERVERS = (("web-a", WEB), ("web-b", WEB), ("api-a", WEB), ("web-a", ZONAL), ("web-b", ZONAL))


def until(condition: Callable[[], bool], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def events(lab, kind: str, service: str = ALB) -> list[dict[str, object]]:
    lines = (lab.log_directory / f"{service}.jsonl").read_bytes().splitlines()
    return [event for event in map(msgspec.json.decode, lines) if event["event"] == kind]


def healthy(lab, service: str = ALB) -> dict[tuple[str, str], bool]:
    """By (group, target) that is registered, as one node last said."""
    states = {(str(event["target_group"]), str(event["target"])): event["state"] for event in events(lab, "target_health", service)}
    return {target: state == "healthy" for target, state in states.items() if state not in ("draining", "unused")}


@pytest.fixture(scope="module", autouse=True)
def servers(lab) -> Iterator[None]:
    """The targets' programs; ready when both balancers' nodes have seen all of them."""
    running = [lab[node].popen(sys.executable, str(TARGET), node, str(port), stderr=subprocess.DEVNULL) for node, port in SERVERS]
    groups = {"alb": 3, "alb-zonal": 2}
    until(lambda: all(Counter(healthy(lab, f"{balancer}-{zone}.alb").values())[True] == count for balancer, count in groups.items() for zone in "ab"))
    yield
    for server in running:
        server.kill()
        server.wait()


@pytest.fixture
def sick(lab) -> Iterator[Callable[[str, int], None]]:
    """Makes a target's health checks fail until the test's end."""
    told: list[tuple[str, int]] = []

    def say(node: str, port: int, status: int) -> None:
        assert lab[node].curl(f"http://127.0.0.1:{port}/control?health={status}").status == 200

    def make(node: str, port: int = WEB) -> None:
        told.append((node, port))
        say(node, port, 500)

    yield make
    for node, port in told:
        say(node, port, 200)
    until(lambda: all(healthy(lab).values()) and all(healthy(lab, "alb-zonal-a.alb").values()) and all(healthy(lab, "alb-zonal-b.alb").values()))


@pytest.fixture
def at_a(lab) -> tuple[str, ...]:
    """Options by which curl asks one node of the balancer, whatever DNS says."""
    address = public_address(lab, "alb-a")
    return tuple(option for port in (80, 443, 8443) for option in ("--resolve", f"shop.example.com:{port}:{address}"))


@contextmanager
def changed(lab, name: str, **fields: object) -> Iterator[None]:
    """While a resource has other properties."""
    before = lab.topology
    lab.change(with_resources(before, resource(before, name, **fields)))
    try:
        yield
    finally:
        lab.change(before)
    until(lambda: asked(lab, "/api/", "--resolve", f"shop.example.com:80:{public_address(lab, 'alb-a')}") == "api-a")


def told(lab, name: str) -> tuple[str, ...]:
    """What Route 53 answers to a client now; a resolver would remember for a minute of AWS's."""
    return lab["client"].dig(name, server=str(lab.resolved.route53_servers[0].address))


def asked(lab, path: str, *options: str) -> str:
    answer = lab["client"].curl(f"{SHOP}{path}", *options)
    return answer.text if answer.status == 200 else str(answer.status)


def test_the_path_decides_the_group(lab, at_a):
    assert {asked(lab, "/api/products", *at_a) for _ in range(3)} == {"api-a"}
    assert {asked(lab, "/", *at_a) for _ in range(4)} == {"web-a", "web-b"}


def test_weights_share_out_the_requests(lab, at_a):
    done = lab["client"].run("curl", "-s", *at_a, "-w", "\n", *[f"{SHOP}/weighted"] * 60)
    seen = Counter(done.out.split())
    assert seen.total() == 60
    assert 30 <= seen["api-a"] <= 57


def test_a_transform_changes_what_the_target_gets_and_the_log_says_so(lab, at_a):
    assert asked(lab, "/old/slow?seconds=0", *at_a) == "api-a"
    until(lambda: any('"/new/slow?seconds=0"' in str(event["line"]) for event in events(lab, "alb_access_log")))


def test_trap_sticky_a_session_survives_its_target(lab, at_a, sick, tmp_path):
    """Belief: stickiness keeps sessions. Truth: it keeps a client at a target while that is well; afterwards the client stays with another one, and does not go back."""
    jar = ("-c", str(tmp_path / "jar"), "-b", str(tmp_path / "jar"), *at_a)
    first = asked(lab, "/", *jar)
    assert [asked(lab, "/", *jar) for _ in range(5)] == [first] * 5
    sick(first)
    other = "web-b" if first == "web-a" else "web-a"
    until(lambda: asked(lab, "/", *jar) == other)
    assert [asked(lab, "/", *jar) for _ in range(5)] == [other] * 5


def test_trap_503_a_balancer_whose_targets_are_all_unhealthy_answers_503(lab, at_a, sick):
    """Belief: no healthy target, 503. Truth: it fails open, and asks them all; 503 is for a group in which nothing is registered."""
    sick("api-a")
    until(lambda: not healthy(lab)["tg-api", "api-a"])
    assert asked(lab, "/api/", *at_a) == "api-a"
    with changed(lab, "tg-api", targets=()):
        until(lambda: asked(lab, "/api/", *at_a) == "503")


def test_trap_weighted_groups_fail_over_to_each_other(lab, at_a):
    """Belief: of two weighted groups the one takes over from the other. Truth: a group without targets keeps its share, and answers it with 503."""
    with changed(lab, "tg-api", targets=()):
        until(lambda: asked(lab, "/api/", *at_a) == "503")
        done = lab["client"].run("curl", "-s", "-o", "/dev/null", *at_a, "-w", "%{http_code}\n", *[option for _ in range(40) for option in (f"{SHOP}/weighted", "-o", "/dev/null")])
        assert {"200", "503"} == set(done.out.split())


def test_trap_source_ip_a_rule_sees_the_client_behind_a_proxy(lab, at_a):
    """Belief: a source-ip condition asks for the client, X-Forwarded-For says who that is. Truth: it asks for the peer of the connection, and for nothing else."""
    forwarded = ("-H", "X-Forwarded-For: 203.0.113.9")
    listener = next(each for each in lab.topology.resources if each.id == "http")
    by_source = ListenerRule(priority=1, path_pattern=("/source",), source_ip=(IPv4Network("203.0.113.9/32"),), actions=(FixedResponse(status_code=418),))
    by_header = ListenerRule(priority=2, path_pattern=("/header",), http_header=(("X-Forwarded-For", "203.0.113.9"),), actions=(FixedResponse(status_code=418),))
    with changed(lab, "http", rules=(by_source, by_header, *listener.rules)):
        until(lambda: asked(lab, "/header", *forwarded, *at_a) == "418")
        assert asked(lab, "/source", *forwarded, *at_a) in ("web-a", "web-b")


def test_trap_502_and_504_say_the_same(lab, at_a):
    """Belief: either way the target is broken. Truth: 502 says that it answered by a reset or by what is no response, 504 that it did not answer in time."""
    assert asked(lab, "/api/reset", *at_a) == "502"
    began = time.monotonic()
    assert asked(lab, "/api/slow?seconds=5", *at_a) == "504"
    assert time.monotonic() - began < 4.5, "its 20 s are 2 here"


def test_trap_draining_a_request_ends_with_the_registration_of_its_target(lab, at_a):
    """Belief: who is deregistered is cut off. Truth: what is in progress may finish within the deregistration delay; new requests go elsewhere at once."""
    client = lab["client"].popen("curl", "-s", "-w", "%{http_code}", *at_a, f"{SHOP}/api/slow?seconds=1", stdout=-1)
    time.sleep(0.3)
    before = lab.topology
    lab.change(with_resources(before, resource(before, "tg-api", targets=("web-b",))))
    until(lambda: asked(lab, "/api/", *at_a) == "web-b")
    out, _ = client.communicate(timeout=20)
    assert out == b"api-a200"
    states = [event["state"] for event in events(lab, "target_health") if event["target"] == "api-a"]
    assert "draining" in states
    lab.change(before)
    until(lambda: asked(lab, "/api/", *at_a) == "api-a")


def test_clients_may_speak_http_2(lab, at_a):
    done = lab["client"].run("curl", "-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--http2", *at_a, "https://shop.example.com/api/")
    assert done.out == "2 200"
    until(lambda: any(str(event["line"]).startswith("h2 ") for event in events(lab, "alb_access_log")))


def test_a_login_leads_through_the_provider_and_back(lab, at_a, tmp_path):
    jar = ("-L", "-c", str(tmp_path / "jar"), "-b", str(tmp_path / "jar"), *at_a)
    answer = lab["client"].curl("https://shop.example.com/private/a", *jar)
    assert answer.status == 200, answer
    assert answer.headers["x-got-x-amzn-oidc-identity"] == "ada"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    key_id = msgspec.json.decode(base64.urlsafe_b64decode(answer.headers["x-got-x-amzn-oidc-data"].partition(".")[0]))["kid"]
    assert lab["client"].curl(f"https://public-keys.auth.elb.eu-west-1.amazonaws.com/{key_id}").text.startswith("-----BEGIN PUBLIC KEY-----")
    deadline = time.monotonic() + 30.0
    while len(events(lab, "identity_request", "idp.identity_provider")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)  # a daemon's lines are gathered for some milliseconds
    hops = [(event["path"], event["status"]) for event in events(lab, "identity_request", "idp.identity_provider")]
    assert hops == [("/authorize", 302), ("/token", 200), ("/userinfo", 200)]
    assert lab["client"].curl("https://shop.example.com/private/a", *jar).status == 200
    assert len(events(lab, "identity_request", "idp.identity_provider")) == 3, "the session's cookie is enough"


def test_a_login_fails_where_the_balancer_cannot_reach_the_provider(lab, at_a, tmp_path):
    before = lab.topology
    group = next(r for r in before.resources if r.id == "sg-alb")
    lab.change(with_resources(before, replace(group, security_group_egress=tuple(replace(rule, cidr_ip="10.7.0.0/16") for rule in group.security_group_ingress))))
    answer = lab["client"].curl("https://shop.example.com/private/a", "-L", "-c", str(tmp_path / "jar"), "-b", str(tmp_path / "jar"), *at_a)
    assert answer.status == 500, answer
    lab.change(before)


def test_mutual_tls_lets_in_whom_the_authority_knows(lab, at_a):
    stem = "/run/testbed/tls/idp.identity_provider-0"
    assert lab["client"].curl("https://shop.example.com:8443/", *at_a).status == 0
    answer = lab["client"].curl("https://shop.example.com:8443/", "--cert", f"{stem}.crt", "--key", f"{stem}.key", *at_a)
    assert answer.status == 200, answer
    assert "login.example.com" in answer.headers["x-got-x-amzn-mtls-clientcert-subject"]


def test_a_zone_without_healthy_targets_leaves_dns_and_with_none_left_all_are_answered(lab, sick):
    both = tuple(sorted(str(public_address(lab, f"alb-zonal-{zone}")) for zone in "ab"))
    assert told(lab, "zonal.example.com.") == both
    sick("web-a", ZONAL)
    until(lambda: told(lab, "zonal.example.com.") == (str(public_address(lab, "alb-zonal-b")),))
    name = dict(lab.resolved.load_balancer_names)["alb-zonal"]
    assert told(lab, f"eu-west-1a.{name}.") == (str(public_address(lab, "alb-zonal-a")),)
    sick("web-b", ZONAL)
    until(lambda: told(lab, "zonal.example.com.") == both)


def test_trap_static_an_application_balancer_keeps_its_addresses(lab):
    """Belief: note down what DNS says once. Truth: its addresses are the service's, and others after it has scaled; its name follows."""
    before = lab.topology
    old = told(lab, "shop.example.com.")
    lab.change(with_resources(before, resource(before, "alb", scalings=1)))
    new = tuple(sorted(str(public_address(lab, f"alb-{zone}")) for zone in "ab"))
    assert not set(old) & set(new)
    until(lambda: told(lab, "shop.example.com.") == new)
    until(lambda: asked(lab, "/api/") == "api-a")
    lab.change(before)
    until(lambda: told(lab, "shop.example.com.") == old)


def test_every_request_has_its_line_in_the_access_log(lab, at_a):
    count = len(events(lab, "alb_access_log"))
    assert asked(lab, "/api/seen", *at_a) == "api-a"
    until(lambda: len(events(lab, "alb_access_log")) > count)
    line = str(events(lab, "alb_access_log")[-1]["line"])
    assert line.startswith("http ")
    assert " app/alb/" in line
    assert '"GET http://shop.example.com:80/api/seen HTTP/1.1"' in line
    assert f"{lab['api-a'].address}:80" in line
