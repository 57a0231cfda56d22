"""DNS messages as bytes."""

import struct
from ipaddress import ip_address

import pytest
from dnslib import EDNS0, QTYPE, RR, DNSRecord, EDNSOption
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dns.message import Answer, ClientSubnet, Query, Question, Rcode, ResourceRecord, Response, parse_data, parse_name, type_number
from services.dns.wire import Rejected, decode_query, decode_response, encode_answer, encode_question, udp_limit

NAME = "www.shop.example.com"
HEADER = struct.Struct("!HHHHHH")


def question_bytes(name: str = NAME, type_: str = "A", edns: EDNS0 | None = None) -> bytes:
    record = DNSRecord.question(name, type_)
    record.header.id = 4711
    if edns is not None:
        record.add_ar(edns)
    return record.pack()


def subnet_option(family: int, length: int, prefix: bytes) -> EDNSOption:
    return EDNSOption(8, struct.pack("!HBB", family, length, 0) + prefix)


def record(name: str, type_: str, value: str, ttl: int = 60) -> ResourceRecord:
    return ResourceRecord(name=parse_name(name), type=type_number(type_), ttl=ttl, data=parse_data(type_, value))


def query(edns_bytes: int | None = None, subnet: ClientSubnet | None = None, name: str = NAME) -> Query:
    spelled = tuple(label.encode() for label in name.split("."))
    return Query(id=4711, question=Question(spelled=spelled, type=1), recursion_desired=True, edns_bytes=edns_bytes, subnet=subnet)


def addresses(count: int) -> tuple[ResourceRecord, ...]:
    return tuple(record(NAME, "A", f"192.0.2.{n}") for n in range(count))


def test_a_question_is_read_with_its_edns_size_and_client_subnet():
    decoded = decode_query(question_bytes(edns=EDNS0(udp_len=1400, flags="do", opts=[subnet_option(1, 20, bytes([198, 18, 0xF0]))])))
    assert decoded == Query(
        id=4711,
        question=Question(spelled=parse_name(NAME), type=1),
        recursion_desired=True,
        edns_bytes=1400,
        dnssec_ok=True,
        subnet=ClientSubnet(address=ip_address("198.18.240.0"), prefix_length=20),
    )


def test_the_question_is_echoed_letter_by_letter():
    wire = encode_answer(query(name="wWw.ShOp.eXaMpLe.CoM"), Answer(rcode=Rcode.NOERROR, answers=addresses(1)), 512)
    assert b"\x03wWw\x04ShOp\x07eXaMpLe\x03CoM\x00" in wire
    assert len(wire) == 12 + 22 + 4 + 16  # and the answer's name points to it


def test_flags_say_who_answers():
    decoded = decode_response(encode_answer(query(), Answer(rcode=Rcode.NXDOMAIN, authoritative=True), 512))
    assert isinstance(decoded, Response)
    assert (decoded.id, decoded.rcode, decoded.authoritative, decoded.truncated) == (4711, Rcode.NXDOMAIN, True, False)
    flags = DNSRecord.parse(encode_answer(query(), Answer(rcode=Rcode.NOERROR), 512, recursion_available=True)).header
    assert (flags.qr, flags.aa, flags.rd, flags.ra) == (1, 0, 1, 1)


def test_the_client_subnet_comes_back_with_the_scope_of_the_answer():
    subnet = ClientSubnet(address=ip_address("198.18.2.0"), prefix_length=24)
    decoded = decode_response(encode_answer(query(4096, subnet), Answer(rcode=Rcode.NOERROR, scope=17), 512))
    assert decoded.subnet == ClientSubnet(address=ip_address("198.18.2.0"), prefix_length=24, scope=17)


def test_edns_is_answered_only_if_it_was_asked_with():
    assert DNSRecord.parse(encode_answer(query(), Answer(rcode=Rcode.NOERROR), 512)).ar == []
    assert DNSRecord.parse(encode_answer(query(1232), Answer(rcode=Rcode.NOERROR), 512)).ar[0].edns_len == 4096


@pytest.mark.parametrize(("edns_bytes", "limit"), [(None, 512), (0, 512), (1232, 1232), (4096, 4096), (65535, 4096)])
def test_a_udp_answer_is_limited_to_512_bytes_without_edns_and_to_4096_with(edns_bytes, limit):
    assert udp_limit(query(edns_bytes)) == limit


def test_an_answer_that_does_not_fit_says_so_and_is_empty():
    wire = encode_answer(query(4096), Answer(rcode=Rcode.NOERROR, answers=addresses(60)), 512)
    decoded = DNSRecord.parse(wire)
    assert (decoded.header.tc, decoded.rr, str(decoded.q.qname), decoded.ar[0].edns_len) == (1, [], f"{NAME}.", 4096)


def test_what_was_not_asked_for_is_left_out_before_the_answer_is_truncated():
    servers = tuple(record("shop.example.com", "NS", f"ns-{n}.awsdns-{n}.com.") for n in range(20))
    decoded = DNSRecord.parse(encode_answer(query(), Answer(rcode=Rcode.NOERROR, answers=addresses(20), authorities=servers, authoritative=True), 512))
    assert (decoded.header.tc, len(decoded.rr), decoded.auth) == (0, 20, [])


def test_a_referral_whose_glue_does_not_fit_is_truncated():
    servers = tuple(record("com", "NS", f"{chr(97 + n)}.gtld-servers.net.") for n in range(13))
    glue = tuple(record(f"{chr(97 + n)}.gtld-servers.net", "A", f"192.0.2.{n}") for n in range(13))
    assert DNSRecord.parse(encode_answer(query(), Answer(rcode=Rcode.NOERROR, authorities=servers, additionals=glue), 300)).header.tc == 1


def test_names_beyond_what_a_pointer_reaches_are_still_right():
    many = tuple(record(NAME, "MX", f"10 mail-{n}.example-{n}.org.") for n in range(900))
    wire = encode_answer(query(), Answer(rcode=Rcode.NOERROR, answers=many + many), 65535)
    assert len(wire) > 0x4000
    assert [r.data.toZone() for r in decode_response(wire).answers] == [r.data.toZone() for r in many + many]


def test_other_operations_than_a_query_are_not_implemented():
    status = bytearray(question_bytes())
    status[2] |= 2 << 3
    rejected = decode_query(bytes(status))
    assert (rejected.rcode, DNSRecord.parse(rejected.reply).header.opcode) == (Rcode.NOTIMP, 2)


def test_an_edns_version_that_we_do_not_speak_is_badvers():
    rejected = decode_query(question_bytes(edns=EDNS0(udp_len=1232, version=1)))
    assert (rejected.rcode, DNSRecord.parse(rejected.reply).ar[0].edns_rcode) == (Rcode.BADVERS, 1)


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(1, 0, 0, 0, 0, 0),
        HEADER.pack(1, 0, 2, 0, 0, 0) + 2 * b"\0\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\x3f",
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",  # a name that points to itself
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\x80ab\0\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 0) + 5 * (b"\x3f" + 63 * b"a") + b"\0\0\1\0\1",  # over 253 bytes
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\0\0\x29\0\1",  # OPT is no question
        question_bytes(edns=EDNS0(opts=[subnet_option(1, 24, b"\xc6\x12")])),  # shorter than it says
        question_bytes(edns=EDNS0(opts=[subnet_option(1, 20, b"\xc6\x12\xff")])),  # bits beyond the prefix
        question_bytes(edns=EDNS0(opts=[subnet_option(1, 33, b"\xc6\x12\xff\1\1")])),
        question_bytes(edns=EDNS0(opts=[subnet_option(9, 0, b"")])),
        question_bytes(edns=EDNS0(opts=[EDNSOption(8, b"\0")])),
    ],
)
def test_what_is_malformed_gets_formerr_with_its_id(data):
    rejected = decode_query(data)
    assert isinstance(rejected, Rejected)
    assert (rejected.rcode, rejected.reply[:2], rejected.reply[3] & 15) == (Rcode.FORMERR, data[:2], Rcode.FORMERR)


def test_a_response_and_a_fragment_get_no_reply():
    response = encode_answer(query(), Answer(rcode=Rcode.NOERROR), 512)
    assert decode_query(response).reply is None
    assert decode_query(b"\0\1\0").reply is None


def test_a_long_chain_of_pointers_is_cut_off():
    pointers = b"".join(struct.pack("!H", 0xC000 | (12 + 5 + 2 * n)) for n in range(4000))
    message = HEADER.pack(1, 0x8000, 1, 1, 0, 0) + b"\0\0\1\0\1" + pointers
    assert decode_response(message) is None


def test_a_servers_records_are_read_in_lower_case_and_other_classes_ignored():
    reply = DNSRecord.question(NAME).reply()
    reply.add_answer(RR("WWW.Shop.example.com", QTYPE.A, ttl=2**32 - 1, rdata=parse_data("A", "192.0.2.1")))
    reply.add_answer(RR(NAME, QTYPE.A, rclass=3, ttl=5, rdata=parse_data("A", "192.0.2.2")))
    assert decode_response(reply.pack()).answers == (record(NAME, "A", "192.0.2.1", ttl=0),)  # a TTL with the top bit set means 0


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=600))
def test_random_bytes_give_formerr_or_nothing_and_never_crash(data):
    check_never_crashes(data)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.sampled_from([0, 0x0100]), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_header_followed_by_random_bytes_never_crashes(rest, flags, counts):
    check_never_crashes(HEADER.pack(7, flags, 1, *counts) + rest)
    decode_response(HEADER.pack(7, flags | 0x8000, 1, *counts) + rest)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_question_with_a_few_bytes_changed_never_crashes(data):
    message = bytearray(question_bytes(edns=EDNS0(udp_len=1400, opts=[subnet_option(1, 24, b"\xc6\x12\x01")])))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    check_never_crashes(bytes(message))


def check_never_crashes(data: bytes) -> None:
    decoded = decode_query(data)
    if isinstance(decoded, Rejected):
        assert decoded.reply is None or decoded.reply[:2] == data[:2]
    else:  # what can be read can be answered
        assert decode_response(encode_answer(decoded, Answer(rcode=Rcode.REFUSED), 512)).question == decoded.question


labels = st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(labels, st.integers(0, 0xFFFF), st.sampled_from([1, 2, 5, 28, 255, 999]))
def test_a_question_survives_the_way_there(name, id_, type_):
    question = Question(spelled=tuple(label.encode() for label in name), type=type_)
    decoded = decode_query(encode_question(id_, question, recursion_desired=True, subnet=ClientSubnet(address=ip_address("10.1.2.0"), prefix_length=24)))
    assert (decoded.id, decoded.question, decoded.subnet.prefix_length, decoded.recursion_desired) == (id_, question, 24, True)


values = st.one_of(
    st.tuples(st.just("A"), st.ip_addresses(v=4).map(str)),
    st.tuples(st.just("AAAA"), st.ip_addresses(v=6).map(lambda address: address.exploded)),
    st.tuples(st.sampled_from(["CNAME", "NS"]), labels.map(".".join).map(str.lower)),
    st.tuples(st.just("MX"), labels.map(lambda name: "10 " + ".".join(name))),
    st.tuples(st.just("TXT"), st.from_regex(r'"[a-z ]{0,100}"', fullmatch=True)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(labels, st.integers(0, 2**31 - 1), values), max_size=12))
def test_an_answer_survives_the_way_back(rows):
    records = tuple(record(".".join(name), type_, value, ttl) for name, ttl, (type_, value) in rows)
    answer = Answer(rcode=Rcode.NOERROR, answers=records[:4], authorities=records[4:8], additionals=records[8:], authoritative=True)
    decoded = decode_response(encode_answer(query(), answer, 65535))
    assert (decoded.answers, decoded.authorities, decoded.additionals) == (answer.answers, answer.authorities, answer.additionals)
