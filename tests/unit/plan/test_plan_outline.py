"""What nft is told of a table so that it need not read it."""

from dataclasses import replace

from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, NftTimeout, must_be_read, outline, render_change, table_change

ACCEPT = NftRule(statement="accept")
PORTS = NftMap(name="ports", type="ipv4_addr . inet_service", value_type="verdict", flags=("interval",), elements=(("10.0.0.1 . 80", "goto one"),))
BLOCKS = NftSet(name="blocks", type="ipv4_addr", flags=("interval",), elements=("10.0.0.0/24",))
SEEN = NftSet(name="seen", type="ipv4_addr", flags=("dynamic",), size=100)
TIMEOUT = NftTimeout(name="long", protocol="tcp", policy=(("established", 60),))
BASE = NftChain(name="f", hook="type filter hook forward priority filter; policy drop;", rules=(NftRule(statement="ip saddr @blocks accept"),))
TABLE = NftTable(name="t", timeouts=(TIMEOUT,), sets=(BLOCKS, SEEN), maps=(PORTS,), chains=(NftChain(name="one", rules=(ACCEPT,)), NftChain(name="other", rules=(ACCEPT,)), BASE))


def change_to(new):
    change = table_change(TABLE, new)
    assert change is not None
    return change


def told(new):
    change = change_to(new)
    return outline(change.before, render_change(change, {}))


def test_an_element_brings_its_map_without_the_others_and_the_chain_that_it_leads_to():
    new = replace(TABLE, maps=(replace(PORTS, elements=(*PORTS.elements, ("10.0.0.2 . 80", "goto one"))),))
    assert told(new) == "add table ip t\nadd chain ip t one\ntable ip t {\n  map ports {\n    type ipv4_addr . inet_service : verdict;\n    flags interval;\n  }\n}\n"


def test_a_rule_brings_the_sets_and_timeouts_that_it_looks_into():
    rules = (NftRule(statement='ct timeout set "long"'), NftRule(statement="update @seen { ip saddr }"))
    text = told(replace(TABLE, chains=(*TABLE.chains[:2], replace(BASE, rules=rules))))
    assert "add chain ip t f\n" in text and "ct timeout long {" in text and "set seen {" in text
    assert "other" not in text and "ports" not in text and "elements" not in text


def test_what_comes_is_not_there_already():
    new = NftChain(name="new", rules=(NftRule(statement="goto other"),))
    assert told(replace(TABLE, chains=(*TABLE.chains, new))) == "add table ip t\nadd chain ip t other\ntable ip t {\n}\n"


def test_intervals_of_one_field_must_be_read_and_others_need_not():
    assert must_be_read(change_to(replace(TABLE, sets=(replace(BLOCKS, elements=("10.0.0.0/24", "10.0.1.0/24")), SEEN))))
    assert not must_be_read(change_to(replace(TABLE, maps=(replace(PORTS, elements=()),))))
    assert not must_be_read(change_to(replace(TABLE, chains=TABLE.chains[1:], maps=())))
