"""Oracle and `resolve` conclude the same over several VPCs: route tables with all that they may hold, groups over peerings."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from testbed.model.prefix_list import PrefixList
from testbed.oracle.places import Places
from testbed.oracle.route_selection import select
from testbed.oracle.routes_in_force import table_in_force
from testbed.resolve import resolve
from testbed.resolve.resolved import TargetKind
from tests.strategies_networks import networks

DESTINATIONS = [IPv4Address(address) for address in ("10.0.0.10", "10.0.1.4", "10.1.0.10", "10.2.0.10", "10.2.1.4", "100.64.0.10", "198.18.2.10", "198.19.0.1", "203.0.113.10")]


@given(networks(), st.sampled_from(DESTINATIONS))
def test_both_select_the_same_route(topology, destination):
    resolved = resolve(topology)
    tables = {table.id: table for table in resolved.route_tables}
    lists = {prefix_list.id: prefix_list for prefix_list in topology.of(PrefixList)}
    for place in Places(resolved).by_interface.values():
        matching = [route for route in tables[place.route_table.id].routes if destination in route.destination]
        longest = max(matching, key=lambda route: route.destination.prefixlen, default=None)
        selected = select(place.route_table, place.vpc, destination, lists)
        assert (None if selected is None else selected.origin) == (None if longest is None else longest.origin.removesuffix(" (blackhole)"))


@given(networks())
def test_both_list_the_same_routes_and_blackholes(topology):
    for table in resolve(topology).route_tables:
        shown = table_in_force(table.id, topology)
        if not shown.gateways:  # there, a middlebox without a public address is one more blackhole
            assert sorted((route.destination, route.origin, route.state) for route in shown.routes) == sorted(
                (route.destination, route.origin.removesuffix(" (blackhole)"), "blackhole" if route.target_kind is TargetKind.BLACKHOLE else "active") for route in table.routes
            )


@given(networks())
def test_both_find_the_same_members_over_peerings(topology):
    resolved = resolve(topology)
    assert {group: frozenset(members) for group, members in resolved.members if members} == Places(resolved).members
