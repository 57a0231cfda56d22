"""What separates two plans."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from testbed.plan import ElementsChange, Interface, Link, NftMap, NftTable, Node, NodeKind, Plan, Route, RouteType, Ruleset, ServiceSpec, TableChange, Wire, diff

SWAP = NftTable(name="swap", maps=(NftMap(name="private_of", type="ipv4_addr", value_type="ipv4_addr", elements=(("198.51.100.7", "10.0.0.7"),)),))
FILTER = NftTable(name="filter")
FABRIC = Node(name="vpc", kind=NodeKind.FABRIC, sysctls=(("ipv4/ip_forward", "1"),), routes=(Route(destination=ip_network("0.0.0.0/0"), type=RouteType.BLACKHOLE),),
              ruleset=Ruleset(tables=(FILTER, SWAP)))  # fmt: skip
WEB = Node(name="web", kind=NodeKind.INSTANCE)
CABLE = Link(a=Interface(node="vpc", name="e-web", mac="02:00:00:00:00:01"),
             b=Interface(node="web", name="eth0", mac="02:00:00:00:00:02", addresses=(ip_interface("10.0.0.7/24"),), origin="eni-web"))  # fmt: skip
SHOP = ServiceSpec(name="web.instance", kind="instance", node="web", config="{}", after=())
PLAN = Plan(name="lab", nodes=(FABRIC, WEB), links=(CABLE,), services=(SHOP,))


def with_nodes(*nodes: Node) -> Plan:
    return replace(PLAN, nodes=nodes)


def test_the_first_start_is_the_difference_from_nothing():
    change = diff(None, PLAN)
    assert (change.nodes_added, change.links_added, change.services_added) == (PLAN.nodes, PLAN.links, PLAN.services)


def test_a_plan_does_not_differ_from_itself():
    assert not diff(PLAN, PLAN)


def test_a_route_changes_inside_its_node_and_nothing_else_does():
    route = Route(destination=ip_network("0.0.0.0/0"), type=RouteType.UNREACHABLE)
    (change,) = diff(PLAN, with_nodes(replace(FABRIC, routes=(route,)), WEB)).nodes_changed
    assert (change.name, change.parts) == ("vpc", ("routes",))
    assert (change.routes.removed, change.routes.added) == (FABRIC.routes, (route,))


def test_only_the_tables_that_changed_are_edited_and_nothing_else_of_them():
    added = NftMap(name="m", type="ifname", value_type="verdict")
    (change,) = diff(PLAN, with_nodes(replace(FABRIC, ruleset=Ruleset(tables=(replace(FILTER, maps=(added,)), SWAP))), WEB)).nodes_changed
    assert change.tables is None
    assert change.tables_edited == (TableChange(family="ip", name="filter", maps_added=(added,)),)


def test_a_map_of_another_definition_is_made_anew():
    other = replace(SWAP, maps=(replace(SWAP.maps[0], flags=("interval",)),))
    (change,) = diff(PLAN, with_nodes(replace(FABRIC, ruleset=Ruleset(tables=(FILTER, other))), WEB)).nodes_changed
    assert change.tables_edited == (TableChange(family="ip", name="swap", maps_removed=("private_of",), maps_added=other.maps),)


def test_elements_of_an_interface_that_is_made_anew_are_put_in_again():
    by_device = NftMap(name="from", type="iface_index", value_type="verdict", elements=(('"e-other"', "drop"), ('"e-web"', "drop")))
    fabric = replace(FABRIC, ruleset=Ruleset(tables=(replace(FILTER, maps=(by_device,)),)))
    before = with_nodes(fabric, WEB)
    (change,) = diff(before, replace(before, links=(replace(CABLE, b=replace(CABLE.b, mac="02:00:00:00:00:77")),))).nodes_changed
    (edited,) = change.tables_edited
    assert edited.elements == (ElementsChange(name="from", type="iface_index", removed=('"e-web"',), added=('"e-web" : drop',)),)


def test_a_node_that_cannot_change_in_place_is_rebuilt_with_its_links_and_services():
    for rebuilt in (replace(WEB, kind=NodeKind.DATABASE), replace(FABRIC, sysctls=())):
        change = diff(PLAN, with_nodes(*(rebuilt if node.name == rebuilt.name else node for node in PLAN.nodes)))
        assert [node.name for node in change.nodes_removed] == [node.name for node in change.nodes_added] == [rebuilt.name]
        assert change.links_removed == change.links_added == (CABLE,)


def test_a_service_with_another_configuration_reloads_and_one_that_runs_differently_restarts():
    assert diff(PLAN, replace(PLAN, services=(replace(SHOP, config="{ }"),))).services_reloaded == (replace(SHOP, config="{ }"),)
    assert diff(PLAN, replace(PLAN, services=(replace(SHOP, unprivileged=True),))).services_restarted == (replace(SHOP, unprivileged=True),)


def test_another_order_of_starting_leaves_a_running_service_alone():
    waiting = replace(SHOP, after=("x",))
    assert not diff(PLAN, replace(PLAN, services=(waiting,)))


def test_another_time_scale_restarts_every_service():
    assert diff(PLAN, replace(PLAN, time_scale=10.0)).services_restarted == PLAN.services


def test_a_longer_wire_changes_the_link_in_place():
    longer = replace(CABLE, wire=Wire(delay_ms=5))
    (change,) = diff(PLAN, replace(PLAN, links=(longer,))).links_changed
    assert change.new.wire == Wire(delay_ms=5)


def test_an_interface_that_goes_ends_the_flows_of_its_address_at_the_other_end():
    (flows,) = diff(PLAN, replace(PLAN, links=())).flows_ended
    assert (flows.node, flows.address) == ("vpc", ip_address("10.0.0.7"))


def test_an_address_that_is_not_translated_any_more_ends_its_flows_where_it_was():
    (flows,) = diff(PLAN, with_nodes(replace(FABRIC, ruleset=Ruleset(tables=(FILTER,))), WEB)).flows_ended
    assert (flows.node, flows.address) == ("vpc", ip_address("198.51.100.7"))
