"""OpenID Connect at a balancer: a whole login over real sockets, against the stand-in provider and against scripted ones that fail."""

import asyncio
import base64
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.alb.config import Action, Authenticate, Forward, OnUnauthenticated, Rule
from services.alb.session import LARGEST_COOKIE_BYTES, Session, SessionTooLarge, session_lines, session_of
from services.alb.stickiness import Seal, cookies
from services.alb.user_claims import Signer
from services.common.config import Listen, Tls
from services.common.events import EventLog
from services.common.runtime import Runtime, listening_socket
from services.identity_provider.config import Client, User
from services.identity_provider.config import Config as ProviderConfig
from services.identity_provider.server import serve as serve_provider
from tests.unit.services.balancing import LOOPBACK, Balancer, ScriptedTarget, a_config, balancing, body, run, status

HOST = "shop.example.com"
KEY = "5a" * 32
AUTHENTICATE = Authenticate(
    issuer="https://127.0.0.1:1", authorization_endpoint="https://127.0.0.1:1/authorize", token_endpoint="https://127.0.0.1:1/token",
    user_info_endpoint="https://127.0.0.1:1/userinfo", client_id="shop", client_secret="secret",
)  # fmt: skip


class Files:
    """An authority, and certificates of it, as files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self._folder = folder
        self.trust_file = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.trust_file)
        self.context = ssl.create_default_context(cafile=self.trust_file)

    def tls(self, name: str) -> Tls:
        issued, stem = self.authority.issue_cert(name), self._folder / name
        issued.cert_chain_pems[0].write_to_path(f"{stem}.crt")
        issued.private_key_pem.write_to_path(f"{stem}.key")
        return Tls(host_names=(name,), certificate_file=f"{stem}.crt", key_file=f"{stem}.key")


@asynccontextmanager
async def providing(tmp_path: Path, files: Files, **more: Any) -> AsyncIterator[str]:
    """A stand-in provider; its issuer."""
    sock = listening_socket(Listen(address=LOOPBACK, port=0))
    port = sock.getsockname()[1]
    listen = Listen(address=LOOPBACK, port=port)
    config = ProviderConfig(
        name="idp", listen=listen, tls=files.tls("127.0.0.1"), issuer=f"https://127.0.0.1:{port}", clients=(Client(client_id="shop", client_secret="secret"),),
        users=(User(username="ada", password="lace", claims=(("email", "ada@example.com"), ("name", "Ada"))),), **more,
    )  # fmt: skip
    descriptor = os.open(tmp_path / "idp.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ready = asyncio.Event()
    serving = asyncio.ensure_future(serve_provider(config, Runtime(name="idp", events=EventLog("idp", descriptor), sockets={listen: sock}, on_ready=ready.set)))
    try:
        await asyncio.wait_for(ready.wait(), 5)
        yield config.issuer
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        os.close(descriptor)


def at(issuer: str, **more: Any) -> Authenticate:
    return replace(
        AUTHENTICATE, issuer=issuer, authorization_endpoint=f"{issuer}/authorize", token_endpoint=f"{issuer}/token", user_info_endpoint=f"{issuer}/userinfo", **more
    )


class Browser:
    """Keeps cookies for the balancer."""

    def __init__(self, balancer: Balancer, files: Files) -> None:
        self.jar: dict[str, str] = {}
        self._balancer, self._files = balancer, files

    async def get(self, target: str, *headers: str) -> bytes:
        cookie = "".join(f"Cookie: {'; '.join(f'{name}={value}' for name, value in self.jar.items())}\r\n" if self.jar else "")
        lines = "".join(f"{header}\r\n" for header in headers)
        answer = await self._balancer.exchange_tls(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{cookie}{lines}Connection: close\r\n\r\n".encode(), self._files.context, HOST)
        for name, value in re.findall(r"Set-Cookie: ([^=]+)=([^;]*);", answer.decode("latin-1")):
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        return answer


def location(response: bytes) -> str:
    found = re.search(rb"Location: ([^\r]+)\r\n", response)
    assert found, response
    return found[1].decode()


async def fetch(url: str, files: Files, body_sent: bytes = b"", method: str = "GET") -> bytes:
    """What the provider says."""
    authority, _, path = url.removeprefix("https://").partition("/")
    reader, writer = await asyncio.open_connection(*authority.split(":"), ssl=files.context)
    kind = "Content-Type: application/x-www-form-urlencoded\r\n" if body_sent else ""
    writer.write(f"{method} /{path} HTTP/1.1\r\nHost: {authority}\r\n{kind}Content-Length: {len(body_sent)}\r\nConnection: close\r\n\r\n".encode() + body_sent)
    answer = await reader.read()
    writer.close()
    return answer


def target_of(url: str) -> str:
    return "/" + url.removeprefix("https://").partition("/")[2]


@asynccontextmanager
async def logging_in(tmp_path: Path, files: Files, authenticate: Authenticate, *, time_scale: float = 1.0) -> AsyncIterator[tuple[Balancer, Browser, ScriptedTarget]]:
    """A balancer whose /private wants a login."""
    target = ScriptedTarget("web-a")
    rule = Rule(priority=1, path_pattern=("/private*",), action=Action(authenticate=authenticate, forward=Forward.to("tg")), origin="listener#1")
    tls = (files.tls(HOST),)
    async with balancing(tmp_path, target, tls=tls, time_scale=time_scale) as balancer:
        assert balancer.runtime.reload is not None
        config = a_config((target,), balancer.port, rules=(rule,), tls=tls)
        await balancer.runtime.reload(replace(config, trust_file=files.trust_file, arn="arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/alb/1"))
        yield balancer, Browser(balancer, files), target


def unpadded(text: bytes) -> Any:
    return json.loads(base64.urlsafe_b64decode(text))


def fields(head: bytes) -> dict[str, str]:
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:])}


def test_a_whole_login_and_what_the_target_learns(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with providing(tmp_path, files) as issuer, logging_in(tmp_path, files, at(issuer)) as (balancer, browser, target):
            assert body(await browser.get("/open")) == b"web-a"  # another rule's
            asked = await browser.get("/private/a?b=c", "x-amzn-oidc-identity: root")
            assert status(asked) == 302
            login = location(asked)
            assert login.startswith(f"{issuer}/authorize?client_id=shop&redirect_uri=https%3A%2F%2F{HOST}%3A{balancer.port}%2Foauth2%2Fidpresponse&response_type=code&scope=openid&state=")
            form = await fetch(login, files)
            assert status(form) == 200
            assert b'name="password"' in form
            assert status(await fetch(login, files, b"username=ada&password=wrong", "POST")) == 401
            back = location(await fetch(login, files, b"username=ada&password=lace", "POST"))
            done = await browser.get(target_of(back))
            assert status(done) == 302
            assert location(done) == f"https://{HOST}:{balancer.port}/private/a?b=c"
            assert browser.jar.keys() == {"AWSELBAuthSessionCookie-0"}  # the nonce is taken back
            assert b"Secure; HttpOnly" in done
            assert body(await browser.get("/private/a?b=c", "x-amzn-oidc-identity: root")) == b"web-a"
            told = fields(target.requests[-1])
            assert told["x-amzn-oidc-identity"] == "ada"
            header, claims, signature = told["x-amzn-oidc-data"].encode().split(b".")
            assert unpadded(claims) == {"sub": "ada", "email": "ada@example.com", "name": "Ada", "iss": issuer, "exp": unpadded(header)["exp"]}
            assert unpadded(header)["signer"].startswith("arn:aws:elasticloadbalancing")
            signer = Signer(bytes.fromhex(KEY), "")
            assert unpadded(header)["kid"] == signer.key_id
            raw = base64.urlsafe_b64decode(signature)
            key = load_pem_public_key(signer.public_pem)
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])), header + b"." + claims, ec.ECDSA(hashes.SHA256()))
            actions = [event["action"] for event in await balancer.requests()]
            assert actions == ["forward", "authenticate", "authenticate", "authenticate,forward"]
            assert status(await browser.get(target_of(back))) == 401  # neither the nonce nor the code is good for twice

    run(scenario())


def test_a_provider_that_logs_everybody_in_needs_no_form(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with providing(tmp_path, files, auto_login="ada") as issuer, logging_in(tmp_path, files, at(issuer)) as (_, browser, _target):
            back = location(await fetch(location(await browser.get("/private")), files))
            assert status(await browser.get(target_of(back))) == 302
            assert body(await browser.get("/private")) == b"web-a"
            browser.jar["AWSELBAuthSessionCookie-0"] = "made-up"
            assert status(await browser.get("/private")) == 302

    run(scenario())


def test_a_stale_access_token_is_renewed_on_the_way(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with providing(tmp_path, files, auto_login="ada", access_token_life_s=0.05) as issuer, logging_in(tmp_path, files, at(issuer)) as (_, browser, target):
            await browser.get(target_of(location(await fetch(location(await browser.get("/private")), files))))
            await asyncio.sleep(0.1)
            before = dict(browser.jar)
            assert body(await browser.get("/private")) == b"web-a"
            assert fields(target.requests[-1])["x-amzn-oidc-identity"] == "ada"
            assert browser.jar != before

    run(scenario())


def test_a_session_ends_with_its_timeout(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with providing(tmp_path, files, auto_login="ada") as issuer, logging_in(tmp_path, files, at(issuer, session_timeout_s=0.2)) as (_, browser, _target):
            await browser.get(target_of(location(await fetch(location(await browser.get("/private")), files))))
            await asyncio.sleep(0.3)
            assert status(await browser.get("/private")) == 302

    run(scenario())


@pytest.mark.parametrize(("what", "answer"), [(OnUnauthenticated.ALLOW, 200), (OnUnauthenticated.DENY, 401)])
def test_who_is_not_logged_in_may_be_let_through_or_refused(tmp_path: Path, what: OnUnauthenticated, answer: int):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with logging_in(tmp_path, files, replace(AUTHENTICATE, on_unauthenticated=what)) as (_, browser, target):
            assert status(await browser.get("/private", "X-Amzn-Oidc-Identity: root")) == answer
            assert all("x-amzn-oidc-identity" not in fields(head) for head in target.requests)

    run(scenario())


Reply = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def scripted(files: Files, replies: dict[str, bytes | None]) -> AsyncIterator[str]:
    """A provider that says what it is told to by path; None: nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        reply = replies[head.split(b" ")[1].decode()]
        if reply is None:
            await asyncio.sleep(5)
        else:
            code, _, content = reply.partition(b" ")
            writer.write(b"HTTP/1.1 %b X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (code, len(content), content))
        writer.close()

    tls = files.tls("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def id_token(issuer: str, **changes: object) -> str:
    claims = {"iss": issuer, "aud": "shop", "sub": "ada", "exp": 4e9, **changes}
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.e30"


TOKENS = b'200 {"access_token": "t", "id_token": "%s"}'
BROKEN = [
    ({"/token": b"400 {}"}, "code=1", 561, "AuthInvalidGrantError"),
    ({"/token": b"200 no json"}, "code=1", 500, "AuthInvalidTokenResponse"),
    ({"/token": b'200 {"access_token": "t"}'}, "code=1", 401, "AuthInvalidIdToken"),
    ({"/token": b'200 {"access_token": "t", "id_token": "a.b"}'}, "code=1", 401, "AuthInvalidIdToken"),
    ({"/token": None}, "code=1", 500, "AuthTokenEpRequestTimeout"),
    ({"/token": TOKENS, "/userinfo": b"403 {}"}, "code=1", 561, "AuthUserinfoEpRequestFailed"),
    ({"/token": TOKENS, "/userinfo": b"200 []"}, "code=1", 500, "AuthInvalidUserinfoResponse"),
    ({"/token": TOKENS, "/userinfo": None}, "code=1", 500, "AuthUserinfoEpRequestTimeout"),
    ({"/token": TOKENS, "/userinfo": b'200 {"x": "%b"}' % (b"y" * 12000)}, "code=1", 500, "AuthUserinfoResponseSizeExceeded"),
    ({}, "error=access_denied", 401, "AuthInvalidGrantError"),
    ({}, "error=server_error", 561, "AuthInvalidGrantError"),
    ({}, "nothing=1", 401, "AuthMissingCodeParam"),
]


@pytest.mark.parametrize(("replies", "answer", "code", "reason"), BROKEN)
def test_a_login_that_fails_says_why(tmp_path: Path, replies: dict[str, bytes | None], answer: str, code: int, reason: str):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with scripted(files, replies) as issuer:
            if replies.get("/token") is TOKENS:
                replies["/token"] = TOKENS % id_token(issuer).encode()
            async with logging_in(tmp_path, files, at(issuer), time_scale=20.0) as (balancer, browser, _):
                state = location(await browser.get("/private")).partition("state=")[2]
                assert status(await browser.get(f"/oauth2/idpresponse?{answer}&state={state}")) == code
                assert (await balancer.requests())[-1]["error_reason"] == reason
                replies.clear()
                assert body(await browser.get("/open")) == b"web-a"

    run(scenario())


def test_a_provider_that_cannot_be_reached_or_trusted_is_500(tmp_path: Path):
    async def scenario() -> None:
        files, stranger = Files(tmp_path), tmp_path / "stranger"
        stranger.mkdir()
        async with scripted(Files(stranger), {}) as untrusted:
            for issuer in ("https://127.0.0.1:1", untrusted):
                async with logging_in(tmp_path, files, at(issuer)) as (balancer, browser, _):
                    state = location(await browser.get("/private")).partition("state=")[2]
                    assert status(await browser.get(f"/oauth2/idpresponse?code=1&state={state}")) == 500
                    assert (await balancer.requests())[-1]["error_reason"] == "AuthTokenEpRequestFailed"

    run(scenario())


def test_only_the_browser_that_began_may_end_a_login_and_only_in_time(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with logging_in(tmp_path, files, AUTHENTICATE, time_scale=9000.0) as (balancer, browser, _):
            state = location(await browser.get("/private")).partition("state=")[2]
            other = Browser(balancer, files)
            for visitor, query in ((other, f"code=1&state={state}"), (browser, "code=1&state=made-up"), (browser, "code=1")):
                assert status(await visitor.get(f"/oauth2/idpresponse?{query}")) == 401
            await asyncio.sleep(0.15)
            assert status(await browser.get(f"/oauth2/idpresponse?code=1&state={state}")) == 401  # 15 minutes are over
            reasons = [event["error_reason"] for event in await balancer.requests()][1:]
            assert reasons == ["AuthInvalidAWSALBAuthNonce", "AuthInvalidStateParam", "AuthMissingStateParam", "AuthInvalidStateParam"]

    run(scenario())


def test_a_client_that_leaves_while_the_provider_is_asked_is_460(tmp_path: Path):
    async def scenario() -> None:
        files = Files(tmp_path)
        async with scripted(files, {"/token": None}) as issuer, logging_in(tmp_path, files, at(issuer)) as (balancer, browser, _):
            state = location(await browser.get("/private")).partition("state=")[2]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(browser.get(f"/oauth2/idpresponse?code=1&state={state}"), 0.3)
            await balancer.until(lambda: balancer.events("alb_request")[-1]["status"] == 460)

    run(scenario())


# -- pure


@pytest.mark.parametrize(("size", "pieces"), [(10, 1), (5_000, 2), (8_000, 3), (11_000, 4)])
def test_a_session_is_cut_into_cookies_of_at_most_4_k(size: int, pieces: int):
    seal = Seal(bytes(32), os.urandom)
    session = Session(subject="ada", access_token="t" * size, claims=msgspec.Raw(b"{}"), ends_at=100.0)
    lines = session_lines(seal, AUTHENTICATE, session, {}, 0.0)
    sent = {name: value for line in lines.split(b"\r\n")[:-1] for name, value in cookies(line.removeprefix(b"Set-Cookie: ").partition(b";")[0]).items()}
    assert all(len(name) + len(value) + 1 <= LARGEST_COOKIE_BYTES for name, value in sent.items())
    assert len(sent) == pieces
    assert session_of(seal, AUTHENTICATE, sent, 99.0) == session
    assert session_of(seal, AUTHENTICATE, sent, 101.0) is None
    assert session_of(seal, replace(AUTHENTICATE, client_id="other"), sent, 99.0) is None


def test_a_session_that_four_cookies_cannot_hold_is_refused_and_old_pieces_are_taken_back():
    seal = Seal(bytes(32), os.urandom)
    session = Session(subject="ada", access_token="t" * 13_000, claims=msgspec.Raw(b"{}"), ends_at=100.0)
    with pytest.raises(SessionTooLarge):
        session_lines(seal, AUTHENTICATE, session, {}, 0.0)
    short = msgspec.structs.replace(session, access_token="t")
    lines = session_lines(seal, AUTHENTICATE, short, {b"AWSELBAuthSessionCookie-1": b"old"}, 0.0)
    assert b"AWSELBAuthSessionCookie-1=; Expires=Thu, 01 Jan 1970" in lines
