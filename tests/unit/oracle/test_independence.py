"""The oracle and `resolve` reach the same conclusions on their own: a mistake in one of them shows as a difference."""

from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from testbed.oracle import Oracle
from testbed.oracle.places import Places
from testbed.oracle.route_selection import select
from testbed.resolve import resolve
from testbed.resolve.resolved import TargetKind
from tests.strategies import USER, probes, vpcs

DESTINATIONS = [IPv4Address(address) for address in ("10.7.0.4", "10.7.255.4", "198.18.14.10", "198.19.0.1", "203.0.113.10", "10.8.0.1")]


@given(vpcs())
def test_both_find_the_same_tables_acls_groups_and_members(topology):
    resolved = resolve(topology)
    places = Places(resolved)
    served = {subnet.subnet.id: subnet for subnet in resolved.subnets}
    for interface in resolved.interfaces:
        place = places.by_interface[interface.id]
        assert (place.route_table.id, place.network_acl.id) == (served[interface.subnet].route_table, served[interface.subnet].network_acl)
        assert tuple(group.id for group in place.groups) == interface.security_groups
    assert {group: frozenset(members) for group, members in resolved.members if members} == places.members


@given(vpcs(), st.sampled_from(DESTINATIONS))
def test_both_select_the_same_route(topology, destination):
    resolved = resolve(topology)
    tables = {table.id: table for table in resolved.route_tables}
    for place in Places(resolved).by_interface.values():
        matching = [route for route in tables[place.route_table.id].routes if destination in route.destination and route.target_kind is not TargetKind.BLACKHOLE]
        longest = max(matching, key=lambda route: route.destination.prefixlen, default=None)
        selected = select(place.route_table, place.vpc, destination, {})
        assert (None if selected is None else selected.origin) == (None if longest is None else longest.origin)


@given(st.data())
def test_what_resolve_concludes_has_no_influence_on_the_oracle(data):
    topology = data.draw(vpcs())
    resolved = resolve(topology)
    spoiled = replace(
        resolved,
        route_tables=(),
        network_acls=(),
        security_groups=(),
        members=(),
        subnets=(),
        interfaces=tuple(replace(interface, security_groups=()) for interface in resolved.interfaces),
    )
    probe = data.draw(probes(topology))
    assert Oracle(spoiled).walk(probe) == Oracle(resolved).walk(probe)


@given(st.data())
def test_nothing_from_the_internet_reaches_an_instance_without_a_public_address(data):
    topology = data.draw(vpcs())
    resolved = resolve(topology)
    hidden = [interface.address for interface in resolved.interfaces if interface.public_address is None]
    probe = data.draw(probes(topology))
    if hidden:
        walk = Oracle(resolved).walk(replace(probe, source=USER, destination=data.draw(st.sampled_from(hidden)), length_bytes=0))
        assert walk.request.origin.startswith("internet: nobody has")


@given(st.data())
def test_a_dropped_packet_ends_at_the_hop_that_names_its_reason(data):
    topology = data.draw(vpcs())
    walk = Oracle(resolve(topology)).walk(data.draw(probes(topology)))
    for path in (walk.request, *(() if walk.reply is None else (walk.reply,))):
        refusals = [hop for hop in path.hops if hop.verdict.value == "deny"]
        assert refusals == ([path.hops[-1]] if path.outcome.value == "dropped" else [])
