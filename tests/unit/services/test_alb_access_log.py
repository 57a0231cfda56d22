"""Access log lines: AWS's 33 fields, in order, from real requests."""

import re
import ssl
from dataclasses import replace
from pathlib import Path

import trustme

from services.alb.access_log import FIELDS, QUOTED
from services.alb.config import Action, Attributes, Redirect, Rule
from services.common.config import Tls
from tests.unit.services.balancing import Balancer, ScriptedTarget, a_config, balancing, run

_WORD = re.compile(r'"([^"]*)"|(\S+)')


def taken_apart(line: str) -> dict[str, str]:
    words = _WORD.findall(line)
    assert len(words) == len(FIELDS) == 33
    assert [bool(quoted) for quoted, _ in words] == [field in QUOTED for field in FIELDS]
    return {field: quoted or plain for field, (quoted, plain) in zip(FIELDS, words, strict=True)}


async def logged(balancer: Balancer) -> list[dict[str, str]]:
    await balancer.requests()
    return [taken_apart(str(event["line"])) for event in balancer.events("alb_access_log")]


async def log_on(balancer: Balancer, *targets: ScriptedTarget, tls: tuple[Tls, ...] = (), rules: tuple[Rule, ...] = (), arns: tuple[str, ...] = ()) -> None:
    config = a_config(targets, balancer.port, rules=rules, tls=tls)
    (listener,), (group,) = config.listeners, config.target_groups
    assert balancer.runtime.reload is not None
    await balancer.runtime.reload(
        replace(config, resource="app/alb/50dc6c495c0c9188", attributes=Attributes(access_logs=True), listeners=(replace(listener, certificate_arns=arns),), target_groups=(replace(group, arn="arn:tg"),))
    )


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a")) as balancer:
            await balancer.get()
            assert await logged(balancer) == []

    run(scenario())


def test_a_forwarded_request_fills_every_field_that_it_has(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            await log_on(balancer, target)
            sent = b'POST /p?q=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: a "quoted" one\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc'
            answer = await balancer.exchange(sent)
            (entry,) = await logged(balancer)
            place = f"127.0.0.1:{target.port}"
            assert {name: entry[name] for name in ("type", "elb", "target:port", "elb_status_code", "target_status_code", "received_bytes", "sent_bytes", "target_group_arn", "matched_rule_priority")} == {
                "type": "http", "elb": "app/alb/50dc6c495c0c9188", "target:port": place, "elb_status_code": "200", "target_status_code": "200", "received_bytes": str(len(sent)),
                "sent_bytes": str(len(answer)), "target_group_arn": "arn:tg", "matched_rule_priority": "0",
            }  # fmt: skip
            assert entry["request"] == f"POST http://shop.example.com:{balancer.port}/p?q=1 HTTP/1.1"
            assert entry["user_agent"] == r"a \x22quoted\x22 one"
            assert entry["trace_id"].startswith("Root=1-")
            assert (entry["actions_executed"], entry["classification"], entry["classification_reason"], entry["error_reason"]) == ("forward", "Compliant", "-", "-")
            assert entry["client:port"].startswith("127.0.0.1:")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"])
            assert entry["request_creation_time"] <= entry["time"]
            assert all(0 <= float(entry[name]) < 5 for name in ("request_processing_time", "target_processing_time", "response_processing_time"))

    run(scenario())


def test_what_never_reached_a_target_says_minus_one(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        redirect = Redirect(status_code=301, protocol="HTTPS", host="#{host}", port="443", path="/#{path}", query="#{query}")
        async with balancing(tmp_path, target) as balancer:
            await log_on(balancer, target, rules=(Rule(priority=7, action=Action(redirect=redirect), path_pattern=("/old",)),))
            await balancer.get("/old")
            (entry,) = await logged(balancer)
            assert [entry[name] for name in ("request_processing_time", "target_processing_time", "response_processing_time")] == ["-1"] * 3
            assert (entry["target:port"], entry["target_status_code"], entry["matched_rule_priority"]) == ("-", "-", "7")
            assert (entry["actions_executed"], entry["redirect_url"]) == ("redirect", "https://shop.example.com:443/old")

    run(scenario())


def test_tls_tells_cipher_protocol_name_and_certificate(tmp_path: Path):
    async def scenario() -> None:
        authority, target = trustme.CA(), ScriptedTarget("web-a")
        issued = authority.issue_cert("shop.example.com")
        tls = Tls(host_names=("shop.example.com",), certificate_file=str(tmp_path / "c.pem"), key_file=str(tmp_path / "k.pem"))
        issued.cert_chain_pems[0].write_to_path(tls.certificate_file)
        issued.private_key_pem.write_to_path(tls.key_file)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        async with balancing(tmp_path, target, tls=(tls,)) as balancer:
            await log_on(balancer, target, tls=(tls,), arns=("arn:cert",))
            await balancer.exchange_tls(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n", client, "shop.example.com")
            (entry,) = await logged(balancer)
            assert (entry["type"], entry["ssl_protocol"], entry["domain_name"], entry["chosen_cert_arn"]) == ("https", "TLSv1.3", "shop.example.com", "arn:cert")
            assert entry["ssl_cipher"].startswith("TLS_")

    run(scenario())


def test_an_ambiguous_request_is_logged_as_such(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            await log_on(balancer, target)
            await balancer.exchange(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            (entry,) = await logged(balancer)
            assert (entry["classification"], entry["classification_reason"]) == ("Ambiguous", "BothTeClPresent")

    run(scenario())
