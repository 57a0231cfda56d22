"""The daemon on real sockets: root, com and a shop's servers on addresses of their own, and resolvers which know only the root."""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from dnslib import EDNS0, DNSRecord, EDNSOption

from services.common.config import Listen, Transport
from services.common.events import EventLog
from services.common.runtime import Runtime
from services.dns.config import Authority, Config, LocalZone, Location, NetworkLocation, Placed, Record, Resolver, Zone
from services.dns.limit import PacketLimit
from services.dns.server import serve

ROOT, COM, SHOP, PROVIDER, VPC, DEAD = (f"127.0.53.{n}" for n in range(1, 7))
SOA = "ns.example. admin.example. 1 7200 900 1209600 86400"
LONDON, NEW_YORK = Location(latitude=51.5, longitude=-0.1), Location(latitude=40.7, longitude=-74.0)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listens(address: str, port: int) -> tuple[Listen, ...]:
    return tuple(Listen(address=ip_address(address), port=port, transport=transport) for transport in Transport)


def zone(name: str, *records: Record, glue: tuple[Record, ...] = ()) -> Zone:
    return Zone(name=name, soa=SOA, records=records, glue=glue)


def shop(address: str = "203.0.113.1") -> Zone:
    return zone(
        "shop.com",
        Record(name="shop.com", type="A", ttl=60, nearest=(Placed(value="192.0.2.1", location=LONDON), Placed(value="192.0.2.2", location=NEW_YORK))),
        Record(name="www.shop.com", type="CNAME", values=("shop.com.",)),
        Record(name="origin.shop.com", type="A", ttl=60, values=(address,)),
        Record(name="big.shop.com", type="TXT", values=tuple(f'"{str(n) * 250}"' for n in range(8))),
    )


def configuration(port: int) -> Config:
    root = zone("", Record(name="com", type="NS", values=("a.gtld.com.",)), glue=(Record(name="a.gtld.com", type="A", values=(COM,)),))
    com = zone(
        "com",
        Record(name="shop.com", type="NS", values=("ns.shop.com.",)),
        Record(name="dead.com", type="NS", values=("ns.dead.com.",)),
        glue=(Record(name="ns.shop.com", type="A", values=(SHOP,)), Record(name="ns.dead.com", type="A", values=(DEAD,))),
    )
    local = LocalZone(name="rds.shop.com", records=(Record(name="db.rds.shop.com", type="A", ttl=5, values=("10.0.20.4",)),))
    private = LocalZone(name="private.com", records=(Record(name="api.private.com", type="A", values=("10.0.1.1",)),), captures=True)
    return Config(
        name="world",
        authorities=(
            Authority(listen=listens(ROOT, port), zones=(root,)),
            Authority(listen=listens(COM, port), zones=(com,)),
            Authority(listen=listens(SHOP, port), zones=(shop(),)),
        ),
        resolvers=(
            Resolver(listen=listens(PROVIDER, port), root_hints=(ip_address(ROOT),), client_subnet=True, upstream_port=port),
            Resolver(listen=listens(VPC, port), root_hints=(ip_address(ROOT),), local_zones=(local, private), packets_per_second=20, upstream_port=port),
        ),
        locations=(
            NetworkLocation(network=ip_network("127.0.0.0/8"), location=LONDON),
            NetworkLocation(network=ip_network("198.18.0.0/16"), location=NEW_YORK),
        ),
    )


class Lab:
    """The daemon under test, and questions to it."""

    def __init__(self, config: Config, port: int, runtime: Runtime, log: Path) -> None:
        self.config, self.port, self.runtime, self._log = config, port, runtime, log

    async def udp(self, server: str, name: str, type_: str = "A", *, edns: EDNS0 | None = None, recursion: bool = True, timeout_s: float = 5) -> DNSRecord:
        question = DNSRecord.question(name, type_)
        question.header.rd = recursion
        if edns is not None:
            question.add_ar(edns)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((server, self.port))
            sock.send(question.pack())
            reply = DNSRecord.parse(await asyncio.wait_for(loop.sock_recv(sock, 65535), timeout_s))
        assert reply.header.id == question.header.id
        return reply

    async def tcp(self, server: str, *questions: tuple[str, str]) -> list[DNSRecord]:
        """Ask all questions on one connection at once."""
        reader, writer = await asyncio.open_connection(server, self.port)
        for name, type_ in questions:
            wire = DNSRecord.question(name, type_).pack()
            writer.write(len(wire).to_bytes(2) + wire)
        replies = [DNSRecord.parse(await reader.readexactly(int.from_bytes(await reader.readexactly(2)))) for _ in questions]
        writer.close()
        return replies

    def events(self, kind: str) -> list[dict]:
        self.runtime.events.flush()
        return [event for line in self._log.read_text().splitlines() if (event := json.loads(line))["event"] == kind]


@asynccontextmanager
async def running(log: Path, change: Callable[[Config], Config] = lambda config: config, time_scale: float = 1.0):
    port = free_port()
    config = change(configuration(port))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ready = asyncio.Event()
    runtime = Runtime(name="dns", events=EventLog("dns", descriptor), on_ready=ready.set, time_scale=time_scale)
    serving = asyncio.ensure_future(serve(config, runtime))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ready.is_set():
            await serving
        yield Lab(config, port, runtime, log)
    finally:
        waiting.cancel()
        serving.cancel()
        await asyncio.wait({serving})
        runtime.events.flush_soon = None
        os.close(descriptor)


def played(log: Path, scene: Callable[[Lab], Awaitable[None]], **settings) -> None:
    async def play() -> None:
        async with asyncio.timeout(20), running(log, **settings) as lab:
            await scene(lab)

    asyncio.run(play())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "dns.jsonl"


def data(reply: DNSRecord) -> list[str]:
    return [str(record.rdata) for record in reply.rr]


def test_a_resolver_finds_a_name_from_the_root_and_remembers_it(log):
    async def scene(lab: Lab) -> None:
        first = await lab.udp(PROVIDER, "www.shop.com")
        assert (data(first), first.header.ra, first.header.aa) == (["shop.com.", "192.0.2.1"], 1, 0)
        assert data(await lab.udp(PROVIDER, "WWW.shop.com")) == ["shop.com.", "192.0.2.1"]
        assert [(event["server"], event["outcome"]) for event in lab.events("dns_upstream")] == [(ROOT, "referral"), (COM, "referral"), (SHOP, "answer")]
        assert [event["source"] for event in lab.events("dns_query") if event["answers"] and event["source"] != "authoritative"] == ["recursive", "cache"]

    played(log, scene)


def test_each_client_gets_the_edge_location_nearest_to_it_through_the_same_resolver(log):
    far = EDNS0(udp_len=1232, opts=[EDNSOption(8, bytes([0, 1, 24, 0, 198, 18, 7]))])

    async def scene(lab: Lab) -> None:
        assert data(await lab.udp(PROVIDER, "shop.com")) == ["192.0.2.1"]
        reply = await lab.udp(PROVIDER, "shop.com", edns=far)
        assert (data(reply), reply.ar[0].rdata[0].data[3]) == (["192.0.2.2"], 16)
        assert data(await lab.udp(PROVIDER, "shop.com")) == ["192.0.2.1"]

    played(log, scene)


def test_a_truncated_answer_is_fetched_over_tcp_by_the_resolver_and_by_its_client(log):
    async def scene(lab: Lab) -> None:
        reply = await lab.udp(PROVIDER, "big.shop.com", "TXT")
        assert (reply.header.tc, reply.rr) == (1, [])
        whole, other = await lab.tcp(PROVIDER, ("big.shop.com", "TXT"), ("origin.shop.com", "A"))
        assert (len(whole.rr), data(other)) == (8, ["203.0.113.1"])
        assert lab.events("dns_upstream")[-2]["transport"] == "tcp"
        assert (await lab.udp(SHOP, "big.shop.com", "TXT", edns=EDNS0(udp_len=4096))).header.tc == 0

    played(log, scene)


def test_one_question_asked_by_many_at_once_goes_upstream_once(log):
    async def scene(lab: Lab) -> None:
        replies = await asyncio.gather(*(lab.udp(PROVIDER, "origin.shop.com") for _ in range(20)))
        assert [data(reply) for reply in replies] == [["203.0.113.1"]] * 20
        assert len(lab.events("dns_upstream")) == 3

    played(log, scene)


def test_a_vpcs_resolver_knows_names_that_the_world_does_not(log):
    async def scene(lab: Lab) -> None:
        assert data(await lab.udp(VPC, "db.rds.shop.com")) == ["10.0.20.4"]
        assert (await lab.udp(PROVIDER, "db.rds.shop.com")).header.rcode == 3
        typeless = await lab.udp(VPC, "db.rds.shop.com", "AAAA")
        assert (typeless.header.rcode, typeless.rr, len(typeless.auth)) == (0, [], 1)
        assert lab.events("dns_query")[0]["policy"] == "local"

    played(log, scene)


def test_a_name_missing_from_a_local_zone_falls_through_unless_the_zone_captures(log):
    async def scene(lab: Lab) -> None:
        assert (await lab.udp(VPC, "other.rds.shop.com")).header.rcode == 3
        assert lab.events("dns_upstream")[-1]["server"] == SHOP
        asked = len(lab.events("dns_upstream"))
        assert (await lab.udp(VPC, "other.private.com")).header.rcode == 3
        assert len(lab.events("dns_upstream")) == asked

    played(log, scene)


def test_packets_beyond_a_clients_limit_are_dropped_without_a_word(log, monkeypatch):
    admits = PacketLimit.admits
    monkeypatch.setattr(PacketLimit, "admits", lambda self, client, now: admits(self, client, 0.0))  # one second, however slow the machine

    async def scene(lab: Lab) -> None:
        replies = await asyncio.gather(*(lab.udp(VPC, "db.rds.shop.com", timeout_s=3) for _ in range(80)), return_exceptions=True)
        answered = [reply for reply in replies if isinstance(reply, DNSRecord)]
        assert len(answered) == 20
        assert len(lab.events("dns_query")) == len(answered)

    played(log, scene)


def test_a_burst_of_the_same_question_is_answered_one_by_one_and_each_is_logged(log):
    async def scene(lab: Lab) -> None:
        await lab.udp(PROVIDER, "origin.shop.com")
        replies = await asyncio.gather(*(lab.udp(PROVIDER, "origin.shop.com") for _ in range(50)))  # `udp` checks the ids
        assert {tuple(data(reply)) for reply in replies} == {("203.0.113.1",)}
        assert sum(event["source"] == "cache" for event in lab.events("dns_query")) == 50

    played(log, scene)


def test_a_server_that_is_not_there_is_servfail_for_its_zone_only(log):
    async def scene(lab: Lab) -> None:
        assert (await lab.udp(PROVIDER, "www.dead.com")).header.rcode == 2
        assert lab.events("dns_upstream")[-1]["outcome"] == "timeout"
        assert data(await lab.udp(PROVIDER, "origin.shop.com")) == ["203.0.113.1"]

    played(log, scene)


def test_a_query_without_rd_is_answered_from_memory_or_refused(log):
    async def scene(lab: Lab) -> None:
        assert (await lab.udp(PROVIDER, "origin.shop.com", recursion=False)).header.rcode == 5
        await lab.udp(PROVIDER, "origin.shop.com")
        assert data(await lab.udp(PROVIDER, "origin.shop.com", recursion=False)) == ["203.0.113.1"]

    played(log, scene)


def test_rubbish_gets_formerr_and_the_daemon_lives_on(log):
    async def scene(lab: Lab) -> None:
        loop = asyncio.get_running_loop()
        for server in (SHOP, PROVIDER):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect((server, lab.port))
                sock.send(b"\xff")
                sock.send(b"\x12\x34\0\0\0\1rubbish")
                assert (await asyncio.wait_for(loop.sock_recv(sock, 512), 2))[:4] == b"\x12\x34\x80\x01"
            reader, writer = await asyncio.open_connection(server, lab.port)
            writer.write(b"\0\x0c\x12\x34\0\0\0\0\0\0\0\0\0\0")
            assert (await reader.readexactly(14))[2:6] == b"\x12\x34\x80\x01"
            writer.close()
            assert data(await lab.udp(server, "origin.shop.com")) == ["203.0.113.1"]

    played(log, scene)


def test_a_new_configuration_is_in_force_at_once_and_what_a_resolver_learnt_stays(log):
    async def scene(lab: Lab) -> None:
        assert data(await lab.udp(SHOP, "origin.shop.com")) == data(await lab.udp(PROVIDER, "origin.shop.com")) == ["203.0.113.1"]
        root, com, old = lab.config.authorities
        internal = LocalZone(name="new.internal", records=(Record(name="a.new.internal", type="A", values=("10.9.9.9",)),))
        provider, vpc = lab.config.resolvers
        changed = replace(
            lab.config, authorities=(root, com, replace(old, zones=(shop("203.0.113.99"),))), resolvers=(provider, replace(vpc, local_zones=(internal,)))
        )
        await lab.runtime.reload(changed)
        assert data(await lab.udp(SHOP, "origin.shop.com")) == ["203.0.113.99"]
        assert data(await lab.udp(PROVIDER, "origin.shop.com")) == ["203.0.113.1"]
        assert data(await lab.udp(VPC, "a.new.internal")) == ["10.9.9.9"]

    played(log, scene)


def test_a_listener_comes_and_goes_with_the_configuration(log):
    async def scene(lab: Lab) -> None:
        extra = Authority(listen=listens("127.0.53.9", lab.port), zones=(shop("203.0.113.9"),))
        await lab.runtime.reload(replace(lab.config, authorities=(*lab.config.authorities, extra)))
        assert data(await lab.udp("127.0.53.9", "origin.shop.com")) == ["203.0.113.9"]
        assert data((await lab.tcp("127.0.53.9", ("origin.shop.com", "A")))[0]) == ["203.0.113.9"]
        await lab.runtime.reload(lab.config)
        with pytest.raises(ConnectionRefusedError):
            await lab.udp("127.0.53.9", "origin.shop.com")

    played(log, scene)


def test_a_configuration_that_cannot_be_served_changes_nothing(log, caplog):
    async def scene(lab: Lab) -> None:
        root, com, old = lab.config.authorities
        bad = replace(old, zones=(zone("shop.com", Record(name="shop.com", type="A", values=("nonsense",))),))
        await lab.runtime.reload(replace(lab.config, authorities=(root, com, bad)))
        assert data(await lab.udp(SHOP, "origin.shop.com")) == ["203.0.113.1"]

    played(log, scene)
    assert "A nonsense" in caplog.text


def test_ttls_run_with_the_labs_clock(log):
    async def scene(lab: Lab) -> None:
        await lab.udp(PROVIDER, "origin.shop.com")
        await asyncio.sleep(0.1)
        assert 30 <= (await lab.udp(PROVIDER, "origin.shop.com")).a.ttl <= 50

    played(log, scene, time_scale=200.0)


def test_the_end_leaves_no_socket(log):
    async def play() -> int:
        async with running(log) as lab:
            return lab.port

    port = asyncio.run(play())
    for listen in listens(SHOP, port):
        kind = socket.SOCK_STREAM if listen.transport is Transport.TCP else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind((SHOP, port))
