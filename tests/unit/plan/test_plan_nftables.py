"""The text of a ruleset."""

from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, Ruleset, render


def test_a_table_replaces_itself_whole_and_declares_chains_before_maps_refer_to_them():
    table = NftTable(
        name="t",
        sets=(NftSet(name="s", type="ipv4_addr", elements=("10.0.0.1",)),),
        maps=(NftMap(name="m", type="ifname", value_type="verdict", elements=(('"e-a"', "goto c"),)),),
        chains=(NftChain(name="c", rules=(NftRule(statement="counter drop", origin="acl-x#*"),)), NftChain(name="f", hook="type filter hook forward priority filter; policy drop;")),
    )
    assert render(Ruleset(tables=(table,))) == (
        "table ip t\n"
        "delete table ip t\n"
        "table ip t {\n"
        "  set s {\n    type ipv4_addr;\n    elements = {\n      10.0.0.1,\n    };\n  }\n"
        '  map m {\n    type ifname : verdict;\n    elements = {\n      "e-a" : goto c,\n    };\n  }\n'
        "  chain c {}\n"
        "}\n"
        "table ip t {\n"
        '  chain c {\n    counter drop comment "acl-x#*"\n  }\n'
        "  chain f {\n    type filter hook forward priority filter; policy drop;\n  }\n"
        "}\n"
    )


def test_a_type_that_nft_knows_only_by_an_expression_is_written_as_one():
    table = NftTable(name="t", maps=(NftMap(name="m", type="typeof ip ttl", value_type="verdict"),))
    assert "    typeof ip ttl : verdict;\n" in render(Ruleset(tables=(table,)))
