"""What a resolver remembers, and for how long."""

from ipaddress import ip_address, ip_network

from services.dns.cache import Cache, Delegation, Known
from services.dns.message import Rcode, ResourceRecord, parse_data, parse_name, type_number

WWW = parse_name("www.example.com")
A, AAAA, CNAME, TXT = (type_number(name) for name in ("A", "AAAA", "CNAME", "TXT"))
CLIENT = ip_address("198.18.1.7")


def found(value: str = "192.0.2.1", ttl: int = 60, type_: str = "A") -> Known:
    return Known(records=(ResourceRecord(name=WWW, type=type_number(type_), ttl=ttl, data=parse_data(type_, value)),))


def nothing(rcode: Rcode, ttl: int = 900, minimum: int = 86400) -> Known:
    soa = parse_data("SOA", f"ns.example.com. admin.example.com. 1 7200 900 1209600 {minimum}")
    return Known(rcode=rcode, soa=ResourceRecord(name=parse_name("example.com"), type=6, ttl=ttl, data=soa))


def test_ttls_count_down_and_the_answer_is_gone_when_they_end():
    cache = Cache()
    cache.keep(WWW, A, found(ttl=60), now=1000.0)
    assert [cache.find(WWW, A, CLIENT, now).records[0].ttl for now in (1000.0, 1010.9, 1059.9)] == [60, 50, 1]
    assert cache.find(WWW, A, CLIENT, 1060.0) is None


def test_a_ttl_of_zero_is_not_kept():
    cache = Cache()
    cache.keep(WWW, A, found(ttl=0), now=0.0)
    assert cache.find(WWW, A, CLIENT, 0.0) is None


def test_the_shortest_ttl_ends_a_record_set():
    cache = Cache()
    cache.keep(WWW, A, Known(records=found(ttl=60).records + found("192.0.2.2", ttl=5).records), now=0.0)
    assert cache.find(WWW, A, CLIENT, 5.0) is None


def test_a_cname_answers_for_every_type_but_a_missing_cname_for_none():
    cache = Cache()
    cache.keep(WWW, CNAME, found("x.example.com.", type_="CNAME"), now=0.0)
    assert cache.find(WWW, AAAA, CLIENT, 1.0).records[0].type == CNAME
    other = parse_name("other.example.com")
    cache.keep(other, CNAME, nothing(Rcode.NOERROR), now=0.0)
    assert cache.find(other, A, CLIENT, 1.0) is None


def test_nxdomain_answers_for_every_type_and_nodata_for_its_own_only():
    cache = Cache()
    cache.keep(WWW, A, nothing(Rcode.NXDOMAIN), now=0.0)
    assert cache.find(WWW, TXT, CLIENT, 1.0).rcode is Rcode.NXDOMAIN
    other = parse_name("other.example.com")
    cache.keep(other, A, nothing(Rcode.NOERROR), now=0.0)
    assert (cache.find(other, A, CLIENT, 1.0).records, cache.find(other, TXT, CLIENT, 1.0)) == ((), None)


def test_no_is_remembered_for_the_smaller_of_the_soas_ttl_and_minimum_and_its_ttl_counts_down():
    cache = Cache()
    cache.keep(WWW, A, nothing(Rcode.NXDOMAIN, ttl=900, minimum=30), now=0.0)
    assert cache.find(WWW, A, CLIENT, 10.0).soa.ttl == 20
    assert cache.find(WWW, A, CLIENT, 30.0) is None


def test_no_without_an_soa_is_not_remembered():
    cache = Cache()
    cache.keep(WWW, A, Known(rcode=Rcode.NXDOMAIN), now=0.0)
    assert cache.find(WWW, A, CLIENT, 0.0) is None


def test_an_answer_for_one_network_is_not_given_to_another_and_the_longest_network_wins():
    cache = Cache()
    cache.keep(WWW, A, found("192.0.2.1"), 0.0, ip_network("198.18.0.0/16"))
    cache.keep(WWW, A, found("192.0.2.2"), 0.0, ip_network("198.18.1.0/24"))
    told = {client: cache.find(WWW, A, ip_address(client), 1.0) for client in ("198.18.1.7", "198.18.2.7", "203.0.113.7")}
    assert [known and known.records[0].data.toZone() for known in told.values()] == ["192.0.2.2", "192.0.2.1", None]


def test_the_oldest_entry_leaves_when_there_is_no_room():
    cache = Cache(capacity=2)
    for n in range(3):
        cache.keep(parse_name(f"n{n}.example.com"), A, found(), float(n))
    assert [cache.find(parse_name(f"n{n}.example.com"), A, CLIENT, 3.0) is None for n in range(3)] == [True, False, False]
    assert len(cache) == 2


def test_the_nearest_living_delegation_is_found():
    cache = Cache()
    com, example = Delegation(zone=parse_name("com")), Delegation(zone=parse_name("example.com"))
    cache.keep_delegation(com, 172800, now=0.0)
    cache.keep_delegation(example, 60, now=0.0)
    assert cache.delegation(WWW, 59.0) == example
    assert cache.delegation(WWW, 60.0) == com
    assert cache.delegation(parse_name("example.org"), 1.0) is None
