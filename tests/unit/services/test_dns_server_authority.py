"""Authoritative answers from memory: the right id, the right place, the right turn, and a log line for each."""

import json
import os
from ipaddress import ip_network

from dnslib import EDNS0, DNSRecord, EDNSOption

from services.common.config import Transport
from services.common.events import EventLog
from services.dns.config import Location, NetworkLocation, Placed, Record
from services.dns.config import Zone as ZoneConfig
from services.dns.location import LocationTable
from services.dns.server_authority import AuthorityService
from services.dns.zone import Authority, Zone

LONDON, NEW_YORK = Location(latitude=51.5, longitude=-0.1), Location(latitude=40.7, longitude=-74.0)
IN_LONDON, IN_NEW_YORK = ("198.18.1.53", 4000), ("198.18.2.53", 4000)
ZONE = Zone(
    ZoneConfig(
        name="example.com",
        soa="ns.example.com. admin.example.com. 1 7200 900 1209600 86400",
        records=(
            Record(name="near.example.com", type="A", nearest=(Placed(value="192.0.2.1", location=LONDON), Placed(value="192.0.2.2", location=NEW_YORK))),
            Record(name="many.example.com", type="A", values=("192.0.2.3", "192.0.2.4")),
            Record(name="big.example.com", type="TXT", values=tuple(f'"{str(n) * 200}"' for n in range(4))),
        ),
    )
)


def service(descriptor: int = -1) -> AuthorityService:
    locations = LocationTable(
        (NetworkLocation(network=ip_network("198.18.1.0/24"), location=LONDON), NetworkLocation(network=ip_network("198.18.2.0/24"), location=NEW_YORK))
    )
    events = EventLog("dns", descriptor)
    events.flush_soon = lambda flush: None
    return AuthorityService(Authority([ZONE], locations), locations, events, "LHR")


def ask(answering: AuthorityService, name: str, peer=IN_LONDON, id_: int = 1, edns: EDNS0 | None = None, type_: str = "A", transport=Transport.UDP) -> DNSRecord:
    question = DNSRecord.question(name, type_)
    question.header.id = id_
    if edns is not None:
        question.add_ar(edns)
    return DNSRecord.parse(answering.reply(bytes(question.pack()), peer, transport))


def test_an_answer_from_memory_has_the_id_of_its_own_question():
    answering = service()
    assert [ask(answering, "near.example.com", id_=id_).header.id for id_ in (1, 2, 65535)] == [1, 2, 65535]


def test_memory_keeps_places_and_client_subnets_apart():
    answering = service()
    subnet = EDNS0(udp_len=1232, opts=[EDNSOption(8, bytes([0, 1, 24, 0, 198, 18, 2]))])
    for _ in range(2):
        assert str(ask(answering, "near.example.com", IN_LONDON).a.rdata) == "192.0.2.1"
        assert str(ask(answering, "near.example.com", IN_NEW_YORK).a.rdata) == "192.0.2.2"
        assert str(ask(answering, "near.example.com", IN_LONDON, edns=subnet).a.rdata) == "192.0.2.2"


def test_memory_keeps_spellings_apart():
    answering = service()
    assert [ask(answering, name).q.qname.label[0] for name in ("near.example.com", "NeaR.example.com")] == [b"near", b"NeaR"]


def test_values_take_turns():
    answering = service()
    assert [str(ask(answering, "many.example.com").a.rdata) for _ in range(3)] == ["192.0.2.3", "192.0.2.4", "192.0.2.3"]


def test_what_is_truncated_over_udp_is_whole_over_tcp():
    answering = service()
    for _ in range(2):
        assert ask(answering, "big.example.com", type_="TXT").header.tc == 1
        assert len(ask(answering, "big.example.com", type_="TXT", transport=Transport.TCP).rr) == 4


def test_every_query_is_logged_whether_from_memory_or_not():
    reading, writing = os.pipe()
    answering = service(writing)
    ask(answering, "near.example.com", ("198.18.1.53", 4001))
    ask(answering, "near.example.com", ("198.18.1.53", 4002))
    answering._events.flush()
    first, again = (json.loads(line) for line in os.read(reading, 65536).splitlines())
    assert {key: first[key] for key in ("event", "name", "type", "rcode", "answers", "source", "zone", "policy", "transport", "edge_location")} == {
        "event": "dns_query",
        "name": "near.example.com",
        "type": "A",
        "rcode": "NOERROR",
        "answers": ["192.0.2.1"],
        "source": "authoritative",
        "zone": "example.com",
        "policy": "nearest",
        "transport": "udp",
        "edge_location": "LHR",
    }
    assert [first["peer"], again["peer"]] == ["198.18.1.53:4001", "198.18.1.53:4002"]
    assert 0 <= again["duration_ms"] < 1000


def test_rubbish_gets_formerr_and_a_response_gets_silence():
    answering = service()
    assert answering.reply(b"\x12\x34\0\0\0\0\0\0\0\0\0\0", IN_LONDON, Transport.UDP)[:4] == b"\x12\x34\x80\x01"
    assert answering.reply(b"\x12\x34\x80\0\0\1\0\0\0\0\0\0", IN_LONDON, Transport.UDP) is None
