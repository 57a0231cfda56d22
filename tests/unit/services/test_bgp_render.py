"""A speaker's configuration in BIRD's words; BIRD itself checks it where there is one."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from services.bgp.config import Accept, Advertise, Bfd, Config, Neighbour, Originated, PrefixRange, Table
from services.bgp.render import bird_configuration
from services.common.config import decode, encode
from tests.golden.golden import assert_golden
from tests.unit.services.bird import checked_by_bird

BLOCK = IPv4Network("10.0.0.0/16")
SITE = Neighbour(
    name="dxvif-a", address=IPv4Address("169.254.9.2"), local_address=IPv4Address("169.254.9.1"), asn=65000, propagates_to=("rtb-a", "rtb-b"), associated="rtb-a", metric=400,
    device="v-dxvif-a", password="a secret key", bfd=Bfd(passive=True), mtu_bytes=8500, origin="dxvif-a",
    accept=Accept(
        limit=100, local_preference=200, local_preferences=(((7224, 7100), 100), ((7224, 7300), 300)), communities=((64512, 1),),
        prefixes=(PrefixRange(prefix=IPv4Network("0.0.0.0/0"), longest=32),), rejected=(PrefixRange(prefix=BLOCK, longest=32),),
    ),
    advertise=Advertise(prefixes=(PrefixRange(prefix=BLOCK),), learned=False, med=5, prepend=2, communities=((7224, 8100),)),
)  # fmt: skip
TUNNEL = Neighbour(name="vpn-a.1", address=IPv4Address("169.254.8.2"), asn=65000, propagates_to=("rtb-a",), associated="rtb-a", metric=700, hold_s=30, keepalive_s=10)
INSIDE = Neighbour(name="vpc-a", address=IPv4Address("100.126.0.0"), asn=64512, propagates_to=(), associated="rtb-a", metric=1, relays=True)
SPEAKER = Config(
    name="vgw-a", router_id=IPv4Address("10.0.0.1"), asn=64512, tables=(Table(name="rtb-a", kernel=254, paths=4), Table(name="rtb-b", kernel=10002)), neighbours=(SITE, TUNNEL, INSIDE),
    originated=(Originated(prefix=BLOCK, table="rtb-a"), Originated(prefix=IPv4Network("192.168.9.0/24"), table="rtb-a", metric=500)),
)  # fmt: skip


def lines(config: Config, time_scale: float = 1.0) -> list[str]:
    return [line.strip() for line in bird_configuration(config, time_scale).splitlines()]


def only(neighbour: Neighbour) -> Config:
    return replace(SPEAKER, neighbours=(neighbour,), originated=())


def test_a_speaker_with_everything_is_the_golden_file():
    assert_golden("bgp_speaker.conf", bird_configuration(SPEAKER))


def test_a_configuration_survives_its_way_to_the_daemon():
    assert decode(encode(SPEAKER), Config) == SPEAKER


@pytest.mark.parametrize("config", [SPEAKER, only(SITE), only(replace(TUNNEL, accept=Accept(prefixes=())))], ids=["everything", "one neighbour", "takes nothing"])
def test_bird_takes_the_configuration(config, tmp_path):
    checked_by_bird(bird_configuration(config), tmp_path)


def test_timers_are_divided_and_stay_within_what_bird_can():
    assert "hold time 9; keepalive time 3; startup hold time 9;" in lines(only(SITE), time_scale=10)
    assert "hold time 3; keepalive time 1; startup hold time 3;" in lines(only(SITE), time_scale=1000)


def test_bfd_is_not_divided():
    assert "bfd { interval 300 ms; multiplier 3; passive on; };" in lines(only(SITE), time_scale=1000)


def test_the_lower_metric_has_the_higher_preference():
    preferences = [int(line.split()[-1].rstrip(";")) for line in lines(replace(SPEAKER, originated=())) if line.startswith("preference")]
    by_metric = dict(zip((SITE.metric, TUNNEL.metric, INSIDE.metric), preferences, strict=True))
    assert sorted(by_metric, key=by_metric.__getitem__, reverse=True) == sorted(by_metric)


def test_the_first_community_that_matches_decides():
    statements = [line for line in lines(only(SITE)) if "~ bgp_community" in line]
    assert ["7300" in statement for statement in statements] == [True, False], "the last assignment holds, so the first community comes last"


def test_local_preference_of_an_ibgp_neighbour_is_left_as_it_says():
    assert not [line for line in lines(only(INSIDE)) if "bgp_local_pref" in line]
    assert "bgp_local_pref = 100;" in lines(only(TUNNEL))


def test_a_neighbours_own_routes_alone_leave_its_table():
    assert "protocol pipe 'dxvif-a:rtb-b' { table 'of-dxvif-a'; peer table 'rtb-b'; export where proto = \"dxvif-a\"; import none; }" in lines(SPEAKER)
