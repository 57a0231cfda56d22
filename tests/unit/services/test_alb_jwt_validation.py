"""jwt-validation at a balancer: which tokens open the way, and what a broken issuer does."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from services.alb.config import Action, Forward, JwtValidation, Rule
from services.alb.jwt_validation import read_keys, read_token
from services.alb.oidc import Refused
from tests.unit.services.balancing import ScriptedTarget, a_config, balancing, body, run, status
from tests.unit.services.test_alb_login import HOST, Browser, Files, scripted

KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
ISSUER = "https://login.example.com"


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8))


def jwks(key: rsa.RSAPrivateKey = KEY) -> bytes:
    numbers = key.public_key().public_numbers()
    return json.dumps({"keys": [{"kty": "EC", "kid": "e"}, {"kty": "RSA", "kid": "k", "n": number(numbers.n), "e": number(numbers.e)}]}).encode()


def token(key: rsa.RSAPrivateKey = KEY, header: dict[str, Any] | None = None, **changes: object) -> str:
    claims = {"iss": ISSUER, "sub": "ada", "exp": time.time() + 60, "scope": "read write", **changes}
    signed = f"{text(json.dumps({'alg': 'RS256', 'kid': 'k', **(header or {})}).encode())}.{text(json.dumps(claims).encode())}"
    return f"{signed}.{text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@asynccontextmanager
async def validating(tmp_path: Path, files: Files, endpoint: str) -> AsyncIterator[tuple[Browser, ScriptedTarget]]:
    """A balancer that wants a token with the scope ``write``."""
    target, tls = ScriptedTarget("web-a"), (files.tls(HOST),)
    wanted = JwtValidation(issuer=ISSUER, jwks_endpoint=endpoint, claims=(("scope", ("write", "admin")),))
    rule = Rule(priority=1, path_pattern=("/private",), action=Action(jwt_validation=wanted, forward=Forward.to("tg")), origin="listener#1")
    async with balancing(tmp_path, target, tls=tls, time_scale=20.0) as balancer:
        assert balancer.runtime.reload is not None
        await balancer.runtime.reload(replace(a_config((target,), balancer.port, rules=(rule,), tls=tls), trust_file=files.trust_file))
        yield Browser(balancer, files), target


def test_a_good_token_opens_the_way_and_nothing_else_does(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with scripted(files, {"/jwks": b"200 " + jwks()}) as issuer, validating(tmp_path, files, f"{issuer}/jwks") as (browser, target):
            for _ in range(2):  # the second time with keys that are known
                assert body(await browser.get("/private", f"Authorization: Bearer {token()}")) == b"web-a"
            good, bad = len(target.requests), [
                token(OTHER), token(header={"alg": "none"}), token(header={"alg": "HS256"}), token(header={"kid": "other"}), token(iss="https://else"),
                token(exp=time.time() - 1), token(exp="never"), token(nbf=time.time() + 60), token(scope="read"), token(scope=7), token()[:-4] + "AAAA", "a.b.c", "e30.e30.e30", "x",
            ]  # fmt: skip
            assert [status(await browser.get("/private", f"Authorization: Bearer {each}")) for each in bad] == [401] * len(bad)
            assert status(await browser.get("/private")) == 401
            assert status(await browser.get("/private", f"Authorization: Basic {token()}")) == 401
            assert len(target.requests) == good
            assert body(await browser.get("/open")) == b"web-a"

    run(scenario())


@pytest.mark.parametrize(("reply", "code"), [(b"404 {}", 562), (b"200 no json", 562), (b'200 {"keys": [{"kty": "RSA", "kid": "k"}]}', 562), (b'200 {"keys": 7}', 562), (b'200 {"keys": []}', 401), (None, 500)])
def test_an_issuer_whose_keys_cannot_be_had(tmp_path: Path, reply: bytes | None, code: int):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with scripted(files, {"/jwks": reply}) as issuer, validating(tmp_path, files, f"{issuer}/jwks") as (browser, target):
            assert status(await browser.get("/private", f"Authorization: Bearer {token()}")) == code
            assert body(await browser.get("/open")) == b"web-a"
            assert len(target.requests) == 1

    run(scenario())


@given(st.one_of(st.binary(max_size=60), st.from_regex(rb"\A[Bb]earer [A-Za-z0-9_\-=]{0,20}\.[A-Za-z0-9_\-=]{0,20}\.[A-Za-z0-9_\-=]{0,9}\Z")))
def test_any_authorization_is_a_token_or_refused(field: bytes):
    try:
        read_token(field)
    except Refused as refused:
        assert refused.status == 401


@given(st.one_of(st.binary(max_size=60), st.builds(lambda value: json.dumps({"keys": value}).encode(), st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kty", "kid", "n", "e"]), inner | st.just("RSA"), max_size=4), max_leaves=8))))
def test_any_answer_of_an_issuer_is_keys_or_562(answer: bytes):
    try:
        read_keys(200, answer)
    except Refused as refused:
        assert refused.status == 562
