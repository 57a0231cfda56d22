"""What the daemons' stub resolver asks, believes and forgets. Servers here are sockets on loopback."""

import asyncio
import contextlib
from ipaddress import IPv4Address

import pytest
from dnslib import CNAME, QTYPE, RCODE, RR, A, DNSRecord

from services.common.stub_resolver import LookupFailed, Reason, StubResolver

NAME = "shop-db.rds.example.com"
LOOPBACK = IPv4Address("127.0.0.1")
NOBODY = IPv4Address("127.0.0.9")


class Server(asyncio.DatagramProtocol):
    """A name server that answers as `respond` says (None: silence) and remembers what it was asked, and how."""

    def __init__(self, respond, delay_s=0.0):
        self.respond, self.delay_s, self.asked, self.port = respond, delay_s, [], 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        reply = self._reply(data, "udp")
        if reply is not None:
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.sendto, reply, addr)

    async def connected(self, reader, writer):
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = self._reply(await reader.readexactly(length), "tcp")
        writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    def _reply(self, data, transport):
        question = DNSRecord.parse(data)
        self.asked.append((str(question.q.qname).rstrip("."), transport))
        reply = self.respond(question, transport)
        return None if reply is None else reply.pack()


@contextlib.asynccontextmanager
async def serving(respond, *, delay_s=0.0, address=LOOPBACK, port=0):
    server = Server(respond, delay_s)
    tcp = await asyncio.start_server(server.connected, str(address), port)
    server.port = tcp.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=(str(address), server.port))
    try:
        yield server
    finally:
        transport.close()
        tcp.close()


def addresses(*values, ttl=60):
    def respond(question, transport):
        reply = question.reply()
        for value in values:
            reply.add_answer(RR(question.q.qname, QTYPE.A, ttl=ttl, rdata=A(value)))
        return reply

    return respond


def failing(rcode):
    def respond(question, transport):
        reply = question.reply()
        reply.header.rcode = rcode
        return reply

    return respond


async def failure(resolver, name=NAME):
    with pytest.raises(LookupFailed) as caught:
        await resolver.lookup(name)
    return caught.value


def test_an_answer_is_believed_for_its_ttl_and_not_longer():
    async def scenario():
        now = [1000.0]
        async with serving(addresses("10.0.20.5", ttl=5)) as server:
            resolver = StubResolver((LOOPBACK,), port=server.port, clock=lambda: now[0])
            first = await resolver.lookup(NAME)
            now[0] += 4
            second = await resolver.lookup(NAME.upper() + ".")
            now[0] += 1.5
            third = await resolver.lookup(NAME)
        assert first.addresses == (IPv4Address("10.0.20.5"),)
        assert [(a.from_cache, a.ttl_s) for a in (first, second, third)] == [(False, 5), (True, 1), (False, 5)]
        assert len(server.asked) == 2

    asyncio.run(scenario())


def test_a_ttl_of_zero_is_asked_for_every_time():
    async def scenario():
        async with serving(addresses("10.0.20.5", ttl=0)) as server:
            resolver = StubResolver((LOOPBACK,), port=server.port)
            await resolver.lookup(NAME)
            await resolver.lookup(NAME)
        assert len(server.asked) == 2

    asyncio.run(scenario())


def test_cnames_inside_the_answer_are_followed_and_the_smallest_ttl_rules():
    def respond(question, transport):
        reply = question.reply()
        reply.add_answer(RR("other.example.com", QTYPE.A, ttl=600, rdata=A("192.0.2.1")))
        reply.add_answer(RR(NAME, QTYPE.CNAME, ttl=7, rdata=CNAME("b.example.com")))
        reply.add_answer(RR("b.example.com", QTYPE.CNAME, ttl=300, rdata=CNAME("c.example.com")))
        reply.add_answer(RR("c.example.com", QTYPE.A, ttl=60, rdata=A("10.0.20.7")))
        return reply

    async def scenario():
        async with serving(respond) as server:
            answer = await StubResolver((LOOPBACK,), port=server.port).lookup(NAME)
        assert (answer.addresses, answer.ttl_s) == ((IPv4Address("10.0.20.7"),), 7)

    asyncio.run(scenario())


def test_a_loop_of_cnames_is_no_data():
    def respond(question, transport):
        reply = question.reply()
        reply.add_answer(RR(NAME, QTYPE.CNAME, ttl=7, rdata=CNAME("b.example.com")))
        reply.add_answer(RR("b.example.com", QTYPE.CNAME, ttl=7, rdata=CNAME(NAME)))
        return reply

    async def scenario():
        async with serving(respond) as server:
            assert (await failure(StubResolver((LOOPBACK,), port=server.port))).reason is Reason.NODATA

    asyncio.run(scenario())


def test_each_lookup_begins_with_the_next_address():
    async def scenario():
        async with serving(addresses("10.0.0.1", "10.0.0.2", "10.0.0.3")) as server:
            resolver = StubResolver((LOOPBACK,), port=server.port)
            firsts = [str((await resolver.lookup(NAME)).addresses[0]) for _ in range(4)]
        assert firsts == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]

    asyncio.run(scenario())


def test_those_who_ask_together_share_one_question_and_its_failure():
    async def scenario():
        async with serving(failing(RCODE.NXDOMAIN), delay_s=0.05) as server:
            resolver = StubResolver((LOOPBACK,), port=server.port)
            failures = await asyncio.gather(*(failure(resolver) for _ in range(5)))
        assert [f.reason for f in failures] == [Reason.NXDOMAIN] * 5
        assert len(server.asked) == 1

    asyncio.run(scenario())


def test_when_the_one_who_asks_is_cancelled_the_others_still_get_an_answer():
    async def scenario():
        async with serving(addresses("10.0.20.5"), delay_s=0.05) as server:
            resolver = StubResolver((LOOPBACK,), port=server.port)
            first = asyncio.create_task(resolver.lookup(NAME))
            others = [asyncio.create_task(resolver.lookup(NAME)) for _ in range(3)]
            await asyncio.sleep(0.01)
            first.cancel()
            answers = await asyncio.gather(*others)
        assert {a.addresses for a in answers} == {(IPv4Address("10.0.20.5"),)}
        assert len(server.asked) == 2

    asyncio.run(scenario())


def test_a_truncated_answer_is_asked_for_again_over_tcp():
    def respond(question, transport):
        whole = addresses(*(f"10.0.1.{n}" for n in range(200)))(question, transport)
        return whole.truncate() if transport == "udp" else whole

    async def scenario():
        async with serving(respond) as server:
            answer = await StubResolver((LOOPBACK,), port=server.port).lookup(NAME)
        assert len(answer.addresses) == 200
        assert [transport for _, transport in server.asked] == ["udp", "tcp"]

    asyncio.run(scenario())


@pytest.mark.parametrize(("respond", "reason"), [(failing(RCODE.NXDOMAIN), Reason.NXDOMAIN), (addresses(), Reason.NODATA), (failing(RCODE.SERVFAIL), Reason.SERVFAIL)])
def test_a_failure_says_why(respond, reason):
    async def scenario():
        async with serving(respond) as server:
            caught = await failure(StubResolver((LOOPBACK,), port=server.port))
        assert (caught.name, caught.reason, str(caught)) == (NAME, reason, f"{NAME}: {reason.value}")

    asyncio.run(scenario())


def test_silence_is_a_timeout_after_all_attempts():
    async def scenario():
        async with serving(lambda question, transport: None) as server:
            caught = await failure(StubResolver((LOOPBACK,), port=server.port, timeout_s=0.03, attempts=3))
        assert caught.reason is Reason.TIMEOUT
        assert len(server.asked) == 3

    asyncio.run(scenario())


def test_a_server_that_refuses_is_passed_over_for_one_that_answers():
    async def scenario():
        async with serving(failing(RCODE.REFUSED)) as refusing, serving(addresses("10.0.20.5"), address=NOBODY, port=refusing.port) as answering:
            answer = await StubResolver((LOOPBACK, NOBODY), port=refusing.port).lookup(NAME)
            assert (len(refusing.asked), len(answering.asked)) == (1, 1)
        assert answer.addresses == (IPv4Address("10.0.20.5"),)

    asyncio.run(scenario())


def test_a_closed_port_costs_no_waiting():
    async def scenario():
        async with serving(addresses("10.0.20.5")) as server:
            answer = await StubResolver((NOBODY, LOOPBACK), port=server.port, timeout_s=5).lookup(NAME)
        assert answer.duration_ms < 1000

    asyncio.run(scenario())


def test_a_reply_to_another_question_is_ignored():
    def respond(question, transport):
        reply = addresses("203.0.113.66")(question, transport)
        reply.header.id ^= 1
        return reply

    async def scenario():
        async with serving(respond) as server:
            assert (await failure(StubResolver((LOOPBACK,), port=server.port, timeout_s=0.03, attempts=1))).reason is Reason.TIMEOUT

    asyncio.run(scenario())


def test_an_address_is_its_own_answer():
    answer = asyncio.run(StubResolver(()).lookup("10.0.20.5"))
    assert answer.addresses == (IPv4Address("10.0.20.5"),)
