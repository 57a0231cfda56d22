"""Names that the kernel accepts."""

from testbed.plan.names import CHAIN_NAME_SIZE, IFNAMSIZ, identifier, interface_name, mac_address


def test_a_short_id_is_its_own_interface_name():
    assert interface_name("e-", "web-a") == "e-web-a"


def test_long_ids_with_one_beginning_get_different_names_that_fit():
    names = {interface_name("e-", f"application-load-balancer-{zone}") for zone in "abc"}
    assert len(names) == 3
    assert all(len(name) <= IFNAMSIZ for name in names)


def test_ids_that_differ_only_in_punctuation_get_different_identifiers():
    assert len({identifier(text) for text in ("sg-web", "sg.web", "sg/web", "sg web")}) == 4


def test_an_identifier_begins_every_part_with_a_letter():
    assert identifier("acl-web", "inbound", "100") == "acl_web.inbound.x100"


def test_sixteen_long_group_ids_still_make_a_name_that_nft_accepts_and_that_is_theirs_alone():
    groups = [f"sg-0123456789abcdef{n:x}" for n in range(16)]
    assert len(identifier("union", *groups)) <= CHAIN_NAME_SIZE
    assert identifier("union", *groups) != identifier("union", *groups[:-1], "sg-other")


def test_a_mac_address_is_local_unicast_and_always_the_same():
    assert mac_address("vpc", "e-web-a") == mac_address("vpc", "e-web-a")
    assert mac_address("vpc", "e-web-a").startswith("02:")
    assert mac_address("vpc", "e-web-a") != mac_address("vpc", "e-web-b")
