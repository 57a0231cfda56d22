"""What a zone answers."""

from ipaddress import ip_address, ip_network

import pytest

from services.common.config import ConfigError
from services.dns.config import Location, NetworkLocation, Placed, Record
from services.dns.config import Zone as ZoneConfig
from services.dns.location import LocationTable
from services.dns.message import Answer, ClientSubnet, Question, Rcode, Type, format_name, parse_name, type_name, type_number
from services.dns.zone import Authority, Zone

SOA = "ns-1.awsdns-01.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
LONDON, NEW_YORK = Location(latitude=51.5, longitude=-0.1), Location(latitude=40.7, longitude=-74.0)
RESOLVER_LONDON, RESOLVER_NEW_YORK, RESOLVER_NOWHERE = ip_address("198.18.1.53"), ip_address("198.18.2.53"), ip_address("203.0.113.53")
LOCATIONS = LocationTable((NetworkLocation(network=ip_network("198.18.1.0/24"), location=LONDON), NetworkLocation(network=ip_network("198.18.2.0/24"), location=NEW_YORK)))

SHOP = ZoneConfig(
    name="shop.example.com",
    soa=SOA,
    records=(
        Record(name="shop.example.com", type="NS", ttl=172800, values=("ns-1.awsdns-01.com.", "ns-2.awsdns-02.net.")),
        Record(name="shop.example.com", type="A", alias="d111.cloudfront.net"),
        Record(name="shop.example.com", type="MX", values=("10 mail.shop.example.com.",)),
        Record(name="mail.shop.example.com", type="A", values=("192.0.2.25",)),
        Record(name="www.shop.example.com", type="CNAME", ttl=300, values=("shop.example.com.",)),
        Record(name="far.shop.example.com", type="CNAME", values=("www.elsewhere.org.",)),
        Record(name="lost.shop.example.com", type="CNAME", values=("nobody.shop.example.com.",)),
        Record(name="loop.shop.example.com", type="CNAME", values=("pool.shop.example.com.",)),
        Record(name="pool.shop.example.com", type="CNAME", values=("loop.shop.example.com.",)),
        Record(name="origin.shop.example.com", type="A", ttl=60, values=("198.51.100.1", "198.51.100.2", "198.51.100.3")),
        Record(name="same.shop.example.com", type="A", ttl=999, alias="origin.shop.example.com"),
        Record(name="broken.shop.example.com", type="A", alias="nobody.shop.example.com"),
        Record(name="a.b.shop.example.com", type="A", values=("192.0.2.7",)),
        Record(name="*.wild.shop.example.com", type="A", values=("192.0.2.8",)),
        Record(name="known.wild.shop.example.com", type="TXT", values=('"specific"',)),
        Record(name="dev.shop.example.com", type="NS", values=("ns.dev.shop.example.com.",)),
    ),
    glue=(Record(name="ns.dev.shop.example.com", type="A", values=("192.0.2.53",)),),
)
CLOUDFRONT = ZoneConfig(
    name="cloudfront.net",
    soa=SOA,
    records=(Record(name="d111.cloudfront.net", type="A", ttl=60, nearest=(Placed(value="192.0.2.1", location=LONDON), Placed(value="192.0.2.2", location=NEW_YORK))),),
)
AUTHORITY = Authority([Zone(SHOP)], LOCATIONS, [Zone(CLOUDFRONT)])


def ask(name: str, type_: str = "A", client=RESOLVER_LONDON, subnet=None, turn: int = 0, authority: Authority = AUTHORITY) -> Answer:
    return authority.answer(Question(spelled=parse_name(name), type=type_number(type_)), client, subnet, turn)


def lines(records) -> list[str]:
    return [f"{format_name(record.name)} {record.ttl} {type_name(record.type)} {record.data.toZone()}" for record in records]


def test_a_success_is_authoritative_and_carries_the_zones_name_servers():
    answer = ask("mail.shop.example.com")
    assert (answer.rcode, answer.authoritative, lines(answer.answers)) == (Rcode.NOERROR, True, ["mail.shop.example.com 300 A 192.0.2.25"])
    assert lines(answer.authorities) == ["shop.example.com 172800 NS ns-1.awsdns-01.com.", "shop.example.com 172800 NS ns-2.awsdns-02.net."]


def test_the_name_servers_themselves_are_not_told_twice():
    answer = ask("shop.example.com", "NS")
    assert (len(answer.answers), answer.authorities) == (2, ())


def test_a_missing_name_is_nxdomain_with_the_soa_for_the_smaller_of_its_two_times():
    answer = ask("nobody.shop.example.com")
    assert (answer.rcode, lines(answer.authorities)) == (Rcode.NXDOMAIN, [f"shop.example.com 900 SOA {SOA}"])


def test_the_soas_minimum_limits_negative_answers_if_it_is_less_than_the_soas_ttl():
    zone = Zone(ZoneConfig(name="example.com", soa=SOA.replace("86400", "30"), soa_ttl=900))
    assert ask("x.example.com", authority=Authority([zone], LOCATIONS)).authorities[0].ttl == 30


def test_a_missing_type_of_an_existing_name_is_nodata():
    answer = ask("mail.shop.example.com", "AAAA")
    assert (answer.rcode, answer.answers, [r.type for r in answer.authorities]) == (Rcode.NOERROR, (), [Type.SOA])


def test_an_empty_non_terminal_exists():
    answer = ask("b.shop.example.com")
    assert (answer.rcode, answer.answers, answer.policy) == (Rcode.NOERROR, (), "nodata")


def test_a_name_outside_all_zones_is_refused_and_so_is_a_zone_transfer():
    assert ask("example.org").rcode is Rcode.REFUSED
    assert ask("example.com").rcode is Rcode.REFUSED
    assert ask("shop.example.com", "AXFR").rcode is Rcode.REFUSED
    assert AUTHORITY.answer(Question(spelled=(b"version", b"bind"), type=16, class_=3), RESOLVER_LONDON).rcode is Rcode.REFUSED


def test_an_alias_looks_like_a_plain_record_with_its_targets_ttl():
    assert lines(ask("same.shop.example.com").answers) == [f"same.shop.example.com 60 A 198.51.100.{n}" for n in (1, 2, 3)]


def test_an_alias_has_only_its_own_type():
    assert ask("shop.example.com", "AAAA").policy == "nodata"


def test_an_alias_to_nothing_is_nodata():
    assert (ask("broken.shop.example.com").rcode, ask("broken.shop.example.com").answers) == (Rcode.NOERROR, ())


def test_each_resolver_gets_the_edge_location_nearest_to_it():
    assert lines(ask("shop.example.com", client=RESOLVER_LONDON).answers) == ["shop.example.com 60 A 192.0.2.1"]
    assert lines(ask("shop.example.com", client=RESOLVER_NEW_YORK).answers) == ["shop.example.com 60 A 192.0.2.2"]


def test_the_client_subnet_decides_before_the_resolvers_address():
    answer = ask("shop.example.com", client=RESOLVER_LONDON, subnet=ClientSubnet(address=ip_address("198.18.2.0"), prefix_length=24))
    assert (lines(answer.answers), answer.scope) == (["shop.example.com 60 A 192.0.2.2"], 24)


def test_a_client_subnet_that_tells_nothing_leaves_it_to_the_resolvers_address():
    answer = ask("shop.example.com", client=RESOLVER_NEW_YORK, subnet=ClientSubnet(address=ip_address("0.0.0.0"), prefix_length=0))
    assert lines(answer.answers) == ["shop.example.com 60 A 192.0.2.2"]


def test_an_answer_that_is_the_same_everywhere_has_scope_zero():
    assert ask("mail.shop.example.com", subnet=ClientSubnet(address=ip_address("198.18.2.0"), prefix_length=24)).scope == 0


def test_a_client_at_an_unknown_place_gets_the_first_value():
    assert lines(ask("shop.example.com", client=RESOLVER_NOWHERE).answers) == ["shop.example.com 60 A 192.0.2.1"]


def test_a_cname_is_followed_within_its_zone():
    assert lines(ask("www.shop.example.com").answers) == ["www.shop.example.com 300 CNAME shop.example.com.", "shop.example.com 60 A 192.0.2.1"]


def test_a_cname_stands_alone_if_it_is_asked_for_or_leads_out_of_the_zone():
    assert lines(ask("www.shop.example.com", "CNAME").answers) == ["www.shop.example.com 300 CNAME shop.example.com."]
    assert lines(ask("far.shop.example.com").answers) == ["far.shop.example.com 300 CNAME www.elsewhere.org."]


def test_a_cname_to_a_missing_name_is_nxdomain_with_the_cname():
    answer = ask("lost.shop.example.com")
    assert (answer.rcode, [r.type for r in answer.answers], [r.type for r in answer.authorities]) == (Rcode.NXDOMAIN, [Type.CNAME], [Type.SOA])


def test_cnames_in_a_circle_end():
    assert len(ask("loop.shop.example.com").answers) == 2


def test_several_values_take_turns_at_the_first_place():
    firsts = [ask("origin.shop.example.com", turn=turn).answers[0].data.toZone() for turn in range(4)]
    assert firsts == ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.1"]
    assert ask("origin.shop.example.com").rotations == 3


def test_a_delegation_is_a_referral_with_glue_and_without_authority():
    for name in ("dev.shop.example.com", "x.y.dev.shop.example.com", "ns.dev.shop.example.com"):
        answer = ask(name)
        assert (answer.rcode, answer.authoritative, answer.answers) == (Rcode.NOERROR, False, ())
        assert lines(answer.authorities) == ["dev.shop.example.com 300 NS ns.dev.shop.example.com."]
        assert lines(answer.additionals) == ["ns.dev.shop.example.com 300 A 192.0.2.53"]


def test_the_ds_record_of_a_delegation_is_the_parents_to_answer():
    assert (ask("dev.shop.example.com", "DS").policy, ask("dev.shop.example.com", "DS").authoritative) == ("nodata", True)


def test_the_root_delegates_top_level_names():
    root = Authority([Zone(ZoneConfig(name="", soa=SOA, records=(Record(name="com", type="NS", values=("a.gtld-servers.net.",)),)))], LOCATIONS)
    assert ask("a.b.com", authority=root).policy == "delegation"
    assert ask("a.b.nosuch", authority=root).rcode is Rcode.NXDOMAIN


@pytest.mark.parametrize("name", ["x.wild.shop.example.com", "y.x.wild.shop.example.com"])
def test_a_wildcard_covers_its_level_and_every_level_below(name):
    answer = ask(name)
    assert (lines(answer.answers), answer.policy) == ([f"{name} 300 A 192.0.2.8"], "wildcard")


def test_a_specific_name_beats_the_wildcard_for_all_types():
    assert (ask("known.wild.shop.example.com").policy, ask("known.wild.shop.example.com", "TXT").policy) == ("nodata", "simple")
    assert ask("x.known.wild.shop.example.com").rcode is Rcode.NXDOMAIN


def test_a_wildcard_does_not_cover_the_name_above_it():
    assert ask("wild.shop.example.com").rcode is Rcode.NOERROR  # known.wild exists
    only = Authority([Zone(ZoneConfig(name="example.com", soa=SOA, records=(Record(name="*.wild.example.com", type="A", values=("192.0.2.8",)),)))], LOCATIONS)
    assert ask("wild.example.com", authority=only).rcode is Rcode.NXDOMAIN


def test_an_asterisk_that_is_not_the_leftmost_label_is_a_letter_like_any_other():
    zone = Zone(ZoneConfig(name="example.com", soa=SOA, records=(Record(name="a.*.example.com", type="A", values=("192.0.2.8",)),)))
    authority = Authority([zone], LOCATIONS)
    assert ask("a.*.example.com", authority=authority).answers
    assert ask("a.b.example.com", authority=authority).rcode is Rcode.NXDOMAIN


def test_a_wildcard_delegates_nothing():
    zone = Zone(ZoneConfig(name="example.com", soa=SOA, records=(Record(name="*.example.com", type="NS", values=("ns.example.org.",)),)))
    assert ask("a.example.com", authority=Authority([zone], LOCATIONS)).policy == "nodata"


def test_addresses_of_names_in_the_answer_come_along():
    assert lines(ask("shop.example.com", "MX").additionals) == ["mail.shop.example.com 300 A 192.0.2.25"]


def test_any_returns_every_record_set_of_the_name():
    assert {record.type for record in ask("shop.example.com", "ANY").answers} == {Type.NS, Type.A, Type.MX, Type.SOA}


def test_the_zone_with_the_longest_name_answers():
    inner = Zone(ZoneConfig(name="dev.shop.example.com", soa=SOA, records=(Record(name="x.dev.shop.example.com", type="A", values=("192.0.2.9",)),)))
    answer = ask("x.dev.shop.example.com", authority=Authority([Zone(SHOP), inner], LOCATIONS))
    assert (answer.zone, lines(answer.answers)) == ("dev.shop.example.com", ["x.dev.shop.example.com 300 A 192.0.2.9"])


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (Record(name="a.example.com", type="A"), "exactly one of"),
        (Record(name="a.example.com", type="A", values=("192.0.2.1",), alias="b.example.com"), "exactly one of"),
        (Record(name="a.example.org", type="A", values=("192.0.2.1",)), "outside its zone"),
        (Record(name="a.example.com", type="A", values=("x",)), "A x"),
        (Record(name="a.example.com", type="WHAT", alias="b.example.com"), "not known"),
    ],
)
def test_a_record_that_cannot_be_served_is_named(record, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Zone(ZoneConfig(name="example.com", soa=SOA, records=(record,)))


def test_a_record_set_given_twice_is_named():
    record = Record(name="a.example.com", type="A", values=("192.0.2.1",))
    with pytest.raises(ConfigError, match=r"a\.example\.com A: given twice"):
        Zone(ZoneConfig(name="example.com", soa=SOA, records=(record, record)))
