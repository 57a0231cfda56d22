"""What separates two tables, and the text that makes one the other."""

from dataclasses import replace

import pytest

from testbed.plan import ElementsChange, NftChain, NftMap, NftRule, NftSet, NftTable, NftTimeout, TableChange, render_change, table_change

DROP, ACCEPT = NftRule(statement="counter drop", origin="acl-x#*"), NftRule(statement="accept")
PORTS = NftMap(name="ports", type="ipv4_addr . inet_service", value_type="verdict", flags=("interval",), elements=(("10.0.0.1 . 80", "goto c"), ("10.0.0.2 . 80", "goto c")))
DEVICES = NftMap(name="from", type="iface_index", value_type="verdict", elements=(('"e-a"', "goto c"), ('"e-b"', "goto c")))
CHAIN = NftChain(name="c", rules=(DROP,))
LOOK = NftChain(name="look", rules=(NftRule(statement="ip daddr . th dport vmap @ports"),))
BASE = NftChain(name="f", hook="type filter hook forward priority filter; policy drop;", rules=(ACCEPT,))
TABLE = NftTable(name="t", maps=(DEVICES, PORTS), chains=(CHAIN, LOOK, BASE))


def lines(old: NftTable, new: NftTable, remade: frozenset[str] = frozenset(), **numbers: int) -> list[str]:
    change = table_change(old, new, remade)
    assert change is not None
    return render_change(change, {name.replace("_", "-"): number for name, number in numbers.items()}).splitlines()


def test_nothing_separates_equal_tables():
    change = table_change(TABLE, replace(TABLE, chains=tuple(replace(chain) for chain in TABLE.chains)))
    assert change == TableChange(family="ip", name="t")
    assert not change


def test_an_element_that_changes_goes_before_it_comes_and_its_neighbours_stay():
    new = replace(TABLE, maps=(DEVICES, replace(PORTS, elements=(("10.0.0.0/30 . 80", "goto c"), PORTS.elements[1]))))
    assert lines(TABLE, new) == ["delete element ip t ports { 10.0.0.1 . 80 }", "add element ip t ports { 10.0.0.0/30 . 80 : goto c }"]


def test_an_interval_map_that_loses_many_elements_is_made_anew_with_the_rules_that_look_into_it():
    many = replace(PORTS, elements=tuple((f"10.0.0.{n} . 80", "goto c") for n in range(9)))
    told = lines(replace(TABLE, maps=(DEVICES, many)), TABLE)
    assert told[:2] == ["flush chain ip t look", "delete map ip t ports"]
    assert told[-1] == "add rule ip t look ip daddr . th dport vmap @ports"
    assert not any("chain ip t f" in line or "from" in line for line in told)


def test_a_map_of_another_type_is_made_anew():
    told = lines(TABLE, replace(TABLE, maps=(DEVICES, replace(PORTS, flags=()))))
    assert told[:2] == ["flush chain ip t look", "delete map ip t ports"]


def test_a_chain_that_goes_is_flushed_then_deleted_once_no_map_leads_there():
    assert lines(TABLE, NftTable(name="t", chains=(BASE,))) == [
        "flush chain ip t c", "flush chain ip t look", "delete map ip t from", "delete map ip t ports", "delete chain ip t c", "delete chain ip t look",
    ]  # fmt: skip


def test_a_chain_that_comes_is_there_before_rules_and_elements_lead_to_it():
    new = NftChain(name="d", rules=(ACCEPT,))
    told = lines(TABLE, replace(TABLE, maps=(replace(DEVICES, elements=(("\"e-a\"", "goto d"), DEVICES.elements[1])), PORTS), chains=(CHAIN, new, LOOK, replace(BASE, rules=(NftRule(statement="jump d"),)))))
    assert told == [
        'delete element ip t from { "e-a" }', "flush chain ip t f", "add chain ip t d {  }", "add rule ip t d accept", "add rule ip t f jump d", 'add element ip t from { "e-a" : goto d }',
    ]  # fmt: skip


def test_an_interface_that_is_gone_is_taken_away_by_the_number_that_it_had():
    assert lines(TABLE, replace(TABLE, maps=(replace(DEVICES, elements=DEVICES.elements[1:]), PORTS)), e_a=105) == ["delete element ip t from { 105 }"]


def test_an_interface_that_was_made_anew_is_taken_away_by_number_and_put_in_by_name():
    assert lines(TABLE, TABLE, frozenset(("e-b",)), e_b=106) == ["delete element ip t from { 106 }", 'add element ip t from { "e-b" : goto c }']


def test_interfaces_inside_longer_keys_are_numbered_too():
    pairs = NftSet(name="pairs", type="iface_index . ipv4_addr", elements=('"e-a" . 10.0.0.7',))
    table = NftTable(name="t", sets=(pairs,))
    assert lines(table, NftTable(name="t", sets=(replace(pairs, elements=()),)), e_a=105) == ["delete element ip t pairs { 105 . 10.0.0.7 }"]


def test_a_rule_that_names_an_interface_which_was_made_anew_is_loaded_again():
    rule = NftChain(name="f", rules=(NftRule(statement='iif "e-a" drop'),))
    table = NftTable(name="t", chains=(rule,))
    assert table_change(table, table, frozenset(("e-a",))) == TableChange(family="ip", name="t", chains_refilled=(rule,))


@pytest.mark.parametrize(
    "new",
    (
        replace(TABLE, chains=(CHAIN, LOOK, replace(BASE, hook="type filter hook forward priority filter; policy accept;"))),
        replace(TABLE, timeouts=(NftTimeout(name="tcp", protocol="tcp", policy=(("established", 60),)),)),
        replace(TABLE, maps=(PORTS,), sets=(NftSet(name="from", type="iface_index"),)),
    ),
    ids=("a base chain's hook", "timeouts", "a map becomes a set"),
)  # fmt: skip
def test_what_cannot_be_edited_makes_the_whole_table_be_replaced(new):
    assert table_change(TABLE, new) is None


def test_what_packets_put_into_a_set_stays():
    seen = NftSet(name="seen", type="ipv4_addr", flags=("dynamic",), size=100)
    change = table_change(replace(TABLE, sets=(seen,)), replace(TABLE, sets=(replace(seen),), chains=(CHAIN, LOOK, replace(BASE, rules=(DROP,)))))
    assert change is not None
    assert (change.sets_removed, change.sets_added, change.elements) == ((), (), tuple[ElementsChange, ...]())
