"""Which addresses of a balancer are in DNS, by the health of its zones."""

import asyncio
import os
from ipaddress import IPv4Address
from pathlib import Path

from dnslib import DNSRecord

from services.common import zone_health
from services.common.config import Listen, Transport
from services.common.events import EventLog
from services.common.runtime import Runtime, listening_socket
from services.dns.config import Authority, Config, Failover, Record, Zone
from services.dns.failover import LOOK_S, health_files, in_force
from services.dns.server import serve

LOOPBACK = IPv4Address("127.0.0.1")
SOA = "ns.example.com. hostmaster.example.com. 1 7200 900 1209600 86400"


def config(*files: str, listen: tuple[Listen, ...] = ()) -> Config:
    balanced = Record(name="alb.example.com", type="A", ttl=60, failover=tuple(Failover(value=f"192.0.2.{number}", health_file=file) for number, file in enumerate(files, 1)))
    alias = Record(name="www.example.com", type="A", alias="alb.example.com")
    return Config(name="dns", authorities=(Authority(listen=listen, zones=(Zone(name="example.com", soa=SOA, records=(balanced, alias)),)),))


def values(made: Config) -> tuple[str, ...]:
    return made.authorities[0].zones[0].records[0].values


def test_the_healthy_zones_are_answered_and_all_if_none_is():
    told = {"a": True, "b": False, "c": True}
    assert values(in_force(config("a", "b", "c"), told.__getitem__)) == ("192.0.2.1", "192.0.2.3")
    assert values(in_force(config("a", "b"), lambda _: False)) == ("192.0.2.1", "192.0.2.2")
    assert health_files(config("b", "a", "a")) == ("a", "b")


def test_a_zone_of_which_nobody_has_said_anything_is_healthy(tmp_path: Path):
    file = str(tmp_path / "folder" / "alb-a")
    assert zone_health.is_healthy(file)
    for well in (False, True, False):
        zone_health.tell(file, well)
        assert zone_health.is_healthy(file) is well
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["alb-a"]


def test_a_zone_whose_node_has_fallen_silent_is_not_healthy_until_it_speaks_again(tmp_path: Path):
    file = str(tmp_path / "alb-a")
    zone_health.say_again(file)
    assert not Path(file).exists(), "what was never said is not said again"
    zone_health.tell(file, True)
    os.utime(file, (0, 0))
    assert zone_health.is_healthy(file) and not zone_health.is_healthy(file, zone_health.SILENT_AFTER_S)
    zone_health.say_again(file)
    assert zone_health.is_healthy(file, zone_health.SILENT_AFTER_S)
    assert zone_health.silence_s(lambda seconds: seconds / 1000) == zone_health.LEAST_SILENCE_S


def test_the_daemon_follows_the_files_under_its_own_feet(tmp_path: Path):
    files = [str(tmp_path / zone) for zone in "ab"]

    async def scenario() -> None:
        sock = listening_socket(Listen(address=LOOPBACK, port=0, transport=Transport.UDP))
        listen = Listen(address=LOOPBACK, port=sock.getsockname()[1], transport=Transport.UDP)
        descriptor, ready = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT), asyncio.Event()
        runtime = Runtime(name="dns", events=EventLog("dns", descriptor), sockets={listen: sock}, on_ready=ready.set)
        serving = asyncio.ensure_future(serve(config(*files, listen=(listen,)), runtime))
        await asyncio.wait_for(ready.wait(), 5)

        def answers() -> list[str]:
            return sorted(str(record.rdata) for record in DNSRecord.parse(DNSRecord.question("www.example.com").send("127.0.0.1", listen.port, timeout=2)).rr)

        async def until(wanted: list[str]) -> None:
            async with asyncio.timeout(20 * LOOK_S):
                while await asyncio.to_thread(answers) != wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

        both = ["192.0.2.1", "192.0.2.2"]
        await until(both)
        zone_health.tell(files[0], False)
        await until(["192.0.2.2"])
        zone_health.tell(files[1], False)
        await until(both)
        zone_health.tell(files[0], True)
        await until(["192.0.2.1"])
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        os.close(descriptor)

    asyncio.run(scenario())
