"""Links, nodes and services that are broken on purpose: what packets suffer, what a change of the plan does not heal, and what healing brings back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from testbed.engine.errors import RealiseError
from testbed.model import Instance, Internet, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Topology, User, Vpc

OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)
FIBRE = "city-dublin--city-paris"


def failures() -> Topology:
    """Two users in two cities, two instances in one VPC."""
    return Topology(
        name="failures",
        resources=(
            Internet(),
            User(id="here", city="Paris"),
            User(id="there", city="Dublin"),
            Vpc(id="vpc", region="eu-west-1", cidr_block="10.1.0.0/24"),
            Subnet(id="subnet", vpc_id="vpc", cidr_block="10.1.0.0/24", availability_zone="eu-west-1a"),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=OPEN),
            Instance(id="one", subnet_id="subnet", private_ip_address="10.1.0.10", security_group_ids=("sg",)),
            Instance(id="two", subnet_id="subnet", private_ip_address="10.1.0.20", security_group_ids=("sg",)),
        ),
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(failures)]


@pytest.fixture(autouse=True)
def healed(lab) -> Iterator[None]:
    yield
    lab.heal()
    assert lab.failures == ()


def answers(lab, source: str, address: str, count: int = 1) -> int:
    """How many of so many pings are answered."""
    ping = lab.popen(source, ["ping", "-q", "-i", "0.01", "-W", "0.3", "-c", str(count), address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    words = ping.communicate(timeout=30)[0]
    return int(words.split(" received")[0].split()[-1]) if " received" in words else 0


def there(lab) -> str:
    return next(str(address.ip) for link in lab.plan.links for end in (link.a, link.b) if end.node == "there" for address in end.addresses)


@pytest.mark.parametrize("mode", ["cut", "blackhole"])
@pytest.mark.parametrize(("what", "source", "address"), [("vpc/e-two", "one", "10.1.0.20"), ("two", "one", "10.1.0.20"), (FIBRE, "here", "")])
def test_nothing_crosses_a_broken_link_until_it_is_healed(lab, mode, what, source, address):
    address = address or there(lab)
    assert answers(lab, source, address) == 1
    lab.fail(what, mode)
    assert answers(lab, source, address) == 0
    lab.heal(what)
    assert answers(lab, source, address) == 1


@pytest.mark.parametrize(("what", "node"), [("vpc/e-two", "two"), (FIBRE, "city-paris"), (FIBRE, "city-dublin")])
def test_only_what_is_cut_has_no_carrier(lab, what, node):
    device = {"two": "eth0", "city-paris": "dublin", "city-dublin": "paris"}[node]

    def running() -> bool:
        return "LOWER_UP" in lab.popen(node, ["ip", "link", "show", "dev", device], stdout=subprocess.PIPE, text=True).communicate()[0]

    lab.fail(what, "blackhole")
    assert running()
    lab.fail(what, "cut")
    assert not running()
    lab.heal(what)
    assert running()


def test_some_frames_are_lost_and_some_are_not(lab):
    assert answers(lab, "one", "10.1.0.20") == 1  # ARP asks once a second only
    lab.fail("vpc/e-two", "loss", loss_percent=50)
    assert 0 < answers(lab, "one", "10.1.0.20", 60) < 60


def test_a_delay_is_added_to_that_of_the_link(lab):
    def round_trip_ms() -> float:
        words = lab.popen("here", ["ping", "-q", "-c", "2", "-i", "0.2", there(lab)], stdout=subprocess.PIPE, text=True).communicate()[0]
        return float(words.split(" = ")[1].split("/")[0])

    before = round_trip_ms()
    lab.fail(FIBRE, "delay", delay_ms=50)
    assert round_trip_ms() >= 100 > before


def test_failures_of_one_link_add_up_and_heal_one_by_one(lab):
    lab.fail("two", "blackhole")
    lab.fail("vpc/e-two", "cut")
    lab.heal("vpc/e-two")
    assert answers(lab, "one", "10.1.0.20") == 0
    lab.heal("two")
    assert answers(lab, "one", "10.1.0.20") == 1


def test_a_change_of_the_plan_heals_nothing_and_says_so(lab):
    lab.fail("two")
    changed = replace(
        lab.topology, resources=(*lab.topology.resources, RouteTable(id="rtb", vpc_id="vpc", associations=("subnet",), routes=(Route(destination_cidr_block="0.0.0.0/0", instance_id="two"),)))
    )
    assert lab.change(changed).still_failing == ("two: cut",)
    assert answers(lab, "one", "10.1.0.20") == 0
    lab.heal("two")
    assert answers(lab, "one", "10.1.0.20") == 1
    lab.change(failures())


def test_a_killed_service_stays_away_until_it_is_healed(lab):
    name = next(service.name for service in lab.plan.services if service.kind == "ntp")

    def state() -> str:
        return next(service.state for service in lab.ps() if service.name == name)

    lab.fail(name)
    assert state() == "failed"
    lab.heal(name)
    lab._topo.supervisor.wait_ready()
    assert state() == "ready"


def test_what_is_not_there_cannot_fail_and_what_does_not_fail_cannot_be_healed(lab):
    with pytest.raises(RealiseError, match="did you mean"):
        lab.fail("towo")
    with pytest.raises(RealiseError, match="has not been made to fail"):
        lab.heal("two")
