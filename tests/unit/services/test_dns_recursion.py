"""How a resolver finds an answer: scripted servers, no packets.

A `World` answers each `Ask` from a table: server → list of (zone, records) as an authority would; it also writes down who was asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address

from services.dns import recursion
from services.dns.config import Record
from services.dns.config import Zone as ZoneConfig
from services.dns.location import LocationTable
from services.dns.message import Answer, ClientSubnet, Question, Rcode, ResourceRecord, Response, parse_data, parse_name, type_number
from services.dns.recursion import MOST_ASKS, Ask, Outcome, Recursion, Reply, Resolved, classify
from services.dns.zone import Authority, Zone

SOA = "ns.example. admin.example. 1 7200 900 1209600 86400"
ROOT, COM, NET, SHOP, SHOP_2 = (ip_address(f"192.0.2.{n}") for n in (1, 2, 3, 4, 5))
CLIENT = ip_address("198.18.1.7")


def zone(name: str, *records: tuple[str, str, str], glue: tuple[tuple[str, str], ...] = ()) -> Zone:
    return Zone(
        ZoneConfig(
            name=name,
            soa=SOA,
            records=tuple(Record(name=owner, type=type_, values=(value,)) for owner, type_, value in records),
            glue=tuple(Record(name=owner, type="A", values=(value,)) for owner, value in glue),
        )
    )


@dataclass
class World:
    """Servers by address; a server is a function of the question, None for silence."""

    servers: dict[IPv4Address, Callable[[Ask], Response | None]]
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)

    def resolve(self, resolver: Recursion, name: str, type_: str = "A", client: IPv4Address = CLIENT) -> Resolved:
        resolution = resolver.resolve(Question(spelled=parse_name(name), type=type_number(type_)), client, self.now)
        try:
            ask = next(resolution)
            while True:
                self.asked.append(str(ask.server))
                self.asks.append(ask)
                response = self.servers[ask.server](ask)
                ask = resolution.send(Reply(response=response, now=self.now, duration_s=0.01))
        except StopIteration as done:
            return done.value


def serving(*zones: Zone) -> Callable[[Ask], Response]:
    authority = Authority(zones, LocationTable(()))

    def answer(ask: Ask) -> Response:
        said = authority.answer(ask.question, CLIENT)
        return Response(
            id=0, question=ask.question, rcode=said.rcode, authoritative=said.authoritative, answers=said.answers, authorities=said.authorities, additionals=said.additionals
        )

    return answer


def silent(ask: Ask) -> None:
    return None


def refusing(ask: Ask) -> Response:
    return Response(id=0, question=ask.question, rcode=Rcode.REFUSED)


def saying(**sections: tuple[ResourceRecord, ...]) -> Callable[[Ask], Response]:
    return lambda ask: Response(id=0, question=ask.question, rcode=Rcode.NOERROR, **sections)


def record(name: str, type_: str, value: str, ttl: int = 300) -> ResourceRecord:
    return ResourceRecord(name=parse_name(name), type=type_number(type_), ttl=ttl, data=parse_data(type_, value))


ROOT_ZONE = zone("", ("com", "NS", "a.gtld.net"), ("net", "NS", "b.gtld.net"), glue=(("a.gtld.net", str(COM)), ("b.gtld.net", str(NET))))
COM_ZONE = zone("com", ("shop.com", "NS", "ns.shop.com"), ("out.com", "NS", "ns.dns.net"), glue=(("ns.shop.com", str(SHOP)),))
NET_ZONE = zone("net", ("dns.net", "NS", "ns.dns.net"), glue=(("ns.dns.net", str(SHOP_2)),))
SHOP_ZONE = zone("shop.com", ("www.shop.com", "A", "203.0.113.1"), ("alias.shop.com", "CNAME", "www.out.com"), ("circle.shop.com", "CNAME", "back.out.com"))
OUT_ZONE = zone("out.com", ("www.out.com", "A", "203.0.113.2"), ("back.out.com", "CNAME", "circle.shop.com"))
DNS_ZONE = zone("dns.net", ("ns.dns.net", "A", str(SHOP_2)))


def world(**changes: Callable[[Ask], Response | None]) -> World:
    servers = {ROOT: serving(ROOT_ZONE), COM: serving(COM_ZONE), NET: serving(NET_ZONE), SHOP: serving(SHOP_ZONE), SHOP_2: serving(OUT_ZONE, DNS_ZONE)}
    return World(servers=servers | {{"root": ROOT, "com": COM, "net": NET, "shop": SHOP, "shop_2": SHOP_2}[name]: server for name, server in changes.items()})


def resolver(**settings: object) -> Recursion:
    return Recursion((ROOT,), lambda question: None, **settings)


def values(resolved: Resolved) -> list[str]:
    return [each.data.toZone() for each in resolved.records]


def test_referrals_are_followed_from_the_root_down():
    lab = world()
    assert values(lab.resolve(resolver(), "www.shop.com")) == ["203.0.113.1"]
    assert lab.asked == [str(ROOT), str(COM), str(SHOP)]


def test_what_was_learnt_is_not_asked_again():
    lab, known = world(), resolver()
    lab.resolve(known, "www.shop.com")
    again = lab.resolve(known, "www.shop.com")
    assert (again.source, values(again), len(lab.asked)) == ("cache", ["203.0.113.1"], 3)
    lab.resolve(known, "other.shop.com")
    assert lab.asked[3:] == [str(SHOP)]


def test_an_answer_is_asked_for_again_after_its_ttl():
    lab, known = world(), resolver()
    lab.resolve(known, "www.shop.com")
    lab.now = 300.0
    assert (lab.resolve(known, "www.shop.com").source, lab.asked[3:]) == ("recursive", [str(ROOT), str(COM), str(SHOP)])


def test_a_cname_is_followed_into_another_zone_and_a_server_without_glue_is_looked_up_first():
    lab = world()
    resolved = lab.resolve(resolver(), "alias.shop.com")
    assert values(resolved) == ["www.out.com.", "203.0.113.2"]
    assert [str(NET), str(SHOP_2)] == [server for server in lab.asked if server in (str(NET), str(SHOP_2))][:2]


def test_a_missing_name_is_nxdomain_and_remembered_with_its_soa():
    lab, known = world(), resolver()
    first, again = lab.resolve(known, "nobody.shop.com"), lab.resolve(known, "nobody.shop.com", "TXT")
    assert (first.rcode, again.rcode, again.source, again.soa.ttl) == (Rcode.NXDOMAIN, Rcode.NXDOMAIN, "cache", 900)


def test_a_missing_type_is_nodata():
    resolved = world().resolve(resolver(), "www.shop.com", "AAAA")
    assert (resolved.rcode, resolved.records, resolved.soa is None) == (Rcode.NOERROR, (), False)


def test_the_next_server_is_asked_when_one_is_silent_or_lame_and_the_quicker_one_first_the_next_time():
    two = zone("com", ("shop.com", "NS", "ns1.shop.com"), glue=(("ns1.shop.com", str(SHOP_2)), ("ns2.shop.com", str(SHOP))))
    two.nodes[parse_name("shop.com")][2] = replace(two.nodes[parse_name("shop.com")][2], values=(parse_data("NS", "ns1.shop.com"), parse_data("NS", "ns2.shop.com")))
    for bad in (silent, refusing):
        lab, known = world(com=serving(two), shop_2=bad), resolver()
        assert values(lab.resolve(known, "www.shop.com")) == ["203.0.113.1"]
        assert lab.asked[2:] == [str(SHOP_2), str(SHOP)]
        if bad is silent:
            lab.resolve(known, "other.shop.com")
            assert lab.asked[4:] == [str(SHOP)]


def test_servfail_after_all_servers_were_asked_twice():
    lab = world(shop=silent)
    assert lab.resolve(resolver(), "www.shop.com").rcode is Rcode.SERVFAIL
    assert lab.asked[2:] == [str(SHOP)] * 2
    assert [ask.timeout_s for ask in lab.asks[2:]] == list(recursion.TIMEOUTS_S)


def test_cnames_in_a_circle_are_servfail():
    assert world().resolve(resolver(), "circle.shop.com").rcode is Rcode.SERVFAIL


def test_a_referral_upwards_or_sideways_is_lame():
    for sideways in ("shop.com", "com", "else.com"):
        lab = world(shop=saying(authorities=(record(sideways, "NS", "ns.shop.com"),), additionals=(record("ns.shop.com", "A", str(SHOP)),)))
        assert lab.resolve(resolver(), "www.shop.com").rcode is Rcode.SERVFAIL
        assert lab.asked[2:] == [str(SHOP)] * 2


def test_referrals_without_end_are_servfail_after_a_bounded_number_of_questions():
    def deeper(ask: Ask) -> Response:
        labels = ask.question.name[-(len(ask.zone) + 1) :]
        cut = b".".join(labels).decode()
        return Response(id=0, question=ask.question, rcode=Rcode.NOERROR, authorities=(record(cut, "NS", f"ns.{cut}"),), additionals=(record(f"ns.{cut}", "A", str(ROOT)),))

    lab = world(root=deeper)
    assert lab.resolve(resolver(), ".".join(["a"] * 60)).rcode is Rcode.SERVFAIL
    assert len(lab.asked) == MOST_ASKS


def test_name_servers_that_need_each_other_are_servfail():
    com = zone("com", ("one.com", "NS", "ns.two.com"), ("two.com", "NS", "ns.one.com"))
    lab = world(com=serving(com))
    assert lab.resolve(resolver(), "www.one.com").rcode is Rcode.SERVFAIL
    assert len(lab.asked) < MOST_ASKS


def test_records_outside_the_servers_zone_are_not_believed():
    poison = (record("www.shop.com", "CNAME", "www.out.com"), record("www.out.com", "A", "6.6.6.6"))
    lab, known = world(shop=saying(answers=(poison[0], record("www.bank.org", "A", "6.6.6.6")), authoritative=True)), resolver()
    lab.resolve(known, "www.shop.com")
    assert known.known(Question(spelled=parse_name("www.bank.org"), type=1), CLIENT, 0.0).rcode is Rcode.REFUSED
    lab = world(shop=saying(answers=poison, authoritative=True))
    assert values(lab.resolve(resolver(), "www.shop.com")) == ["www.out.com.", "203.0.113.2"]


def test_glue_that_no_name_server_needs_is_not_believed_and_glue_never_answers_a_client():
    additionals = (record("www.shop.com", "A", "6.6.6.6"), record("ns.shop.com", "A", str(SHOP)))
    lab, known = world(com=saying(authorities=(record("shop.com", "NS", "ns.shop.com"),), additionals=additionals)), resolver()
    assert values(lab.resolve(known, "www.shop.com")) == ["203.0.113.1"]
    assert lab.asked == [str(ROOT), str(COM), str(SHOP)]
    assert known.known(Question(spelled=parse_name("ns.shop.com"), type=1), CLIENT, 0.0).rcode is Rcode.REFUSED


def test_glue_for_a_server_outside_the_zone_is_not_believed_but_looked_up():
    stray = saying(authorities=(record("out.com", "NS", "ns.dns.net"),), additionals=(record("ns.dns.net", "A", "6.6.6.6"),))
    lab = world(com=stray)
    assert values(lab.resolve(resolver(), "www.out.com")) == ["203.0.113.2"]
    assert "6.6.6.6" not in lab.asked


def test_an_soa_from_outside_the_zone_is_not_remembered():
    lab, known = world(shop=saying(authorities=(record("com", "SOA", SOA),), authoritative=True)), resolver()
    assert lab.resolve(known, "www.shop.com").soa is None


def test_a_local_zone_answers_before_the_world_is_asked():
    lab = world()
    private = Answer(rcode=Rcode.NOERROR, answers=(record("db.shop.com", "A", "10.0.20.4"),), zone="shop.com")
    known = Recursion((ROOT,), lambda question: private if question.name == parse_name("db.shop.com") else None)
    resolved = lab.resolve(known, "db.shop.com")
    assert (values(resolved), resolved.source, resolved.zone, lab.asked) == (["10.0.20.4"], "authoritative", "shop.com", [])


def test_a_local_alias_leads_into_the_world():
    private = Answer(rcode=Rcode.NOERROR, answers=(record("db.internal", "CNAME", "www.shop.com"),))
    known = Recursion((ROOT,), lambda question: private if question.name == parse_name("db.internal") else None)
    assert values(world().resolve(known, "db.internal")) == ["www.shop.com.", "203.0.113.1"]


def test_a_local_zone_does_not_hide_name_servers():
    captured = Answer(rcode=Rcode.NXDOMAIN)
    known = Recursion((ROOT,), lambda question: captured if question.name[-2:] == parse_name("dns.net") else None)
    assert values(world().resolve(known, "www.out.com")) == ["203.0.113.2"]


def test_the_clients_network_is_told_upstream_and_the_answer_kept_for_the_servers_scope():
    def by_subnet(ask: Ask) -> Response:
        last = "1" if ask.subnet.address in (ip_address("198.18.1.0"), ip_address("198.18.2.0")) else "9"
        said = Response(id=0, question=ask.question, rcode=Rcode.NOERROR, authoritative=True, answers=(record("www.shop.com", "A", f"203.0.113.{last}"),))
        return replace(said, subnet=replace(ask.subnet, scope=16))

    lab, known = world(shop=by_subnet), resolver(client_subnet=True)
    assert lab.resolve(known, "www.shop.com").scope == 16
    assert lab.asks[-1].subnet == ClientSubnet(address=ip_address("198.18.1.0"), prefix_length=24)
    assert lab.resolve(known, "www.shop.com", client=ip_address("198.18.2.9")).source == "cache"
    assert values(lab.resolve(known, "www.shop.com", client=ip_address("203.0.113.9"))) == ["203.0.113.9"]


def test_what_is_known_is_told_without_asking_and_what_is_not_is_refused():
    lab, known = world(), resolver()
    question = Question(spelled=parse_name("www.shop.com"), type=1)
    assert known.known(question, CLIENT, 0.0).rcode is Rcode.REFUSED
    lab.resolve(known, "www.shop.com")
    assert values(known.known(question, CLIENT, 0.0)) == ["203.0.113.1"]


def test_no_reply_is_a_timeout_and_servfail_is_lame():
    question = Question(spelled=parse_name("www.shop.com"), type=1)
    assert classify(None, (), question) is Outcome.TIMEOUT
    assert classify(Response(id=0, question=question, rcode=Rcode.SERVFAIL), (), question) is Outcome.LAME
    assert classify(Response(id=0, question=question, rcode=Rcode.NOERROR), (), question) is Outcome.LAME
