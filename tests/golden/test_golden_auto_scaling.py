"""What a balancer's node is told of an Auto Scaling group's instances and an ECS service's tasks: names and addresses are the same at every start."""

from testbed.compile import compile_plan
from testbed.model.launching import launch, terminate
from testbed.plan.diff import diff
from testbed.resolve import resolve
from tests.golden.golden import assert_golden
from topologies.auto_scaling import auto_scaling

RESOLVED = resolve(auto_scaling())
PLAN = compile_plan(RESOLVED)


def test_the_balancer_and_an_instance_are_told_what_they_were() -> None:
    for name in ("alb-shop-a.alb", "web-a.instance"):
        (service,) = (service for service in PLAN.services if service.name == name)
        assert_golden(f"auto_scaling.{name}.json", service.config + "\n")


def test_one_more_instance_changes_nothing_of_the_others_and_the_balancer_is_told_without_a_restart() -> None:
    topology, name = launch(RESOLVED.topology, "asg-web")
    more = compile_plan(resolve(topology))
    change = diff(PLAN, more)
    assert [node.name for node in change.nodes_added] == [name] == ["web-a3"]
    assert [service.name for service in change.services_reloaded if service.kind == "alb"] == ["alb-shop-a.alb", "alb-shop-b.alb"]
    assert not change.services_restarted and not change.links_changed and not change.links_removed
    assert not diff(PLAN, compile_plan(resolve(terminate(topology, "web-a3")))).nodes_changed


def test_every_node_with_an_interface_is_in_its_zone() -> None:
    assert {node.name: node.zone for node in PLAN.nodes if node.zone} == {name: f"eu-west-1{name[-1]}" for name in ("alb-shop-a", "alb-shop-b", "api-a", "api-b", "web-a", "web-b")}
