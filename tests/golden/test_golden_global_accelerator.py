"""Global Accelerator's part of a plan, as files that a person can read."""

from golden import assert_golden

from testbed.compile import compile_plan
from testbed.plan import render
from testbed.resolve import resolve
from topologies.global_accelerator import global_accelerator

PLAN = compile_plan(resolve(global_accelerator()))
SLOT = "      "


def ruleset_text(name: str) -> str:
    """The node's rules; of the 256 slots of a map the first and the last."""
    lines = render(PLAN.node(name).ruleset).splitlines()
    return "".join(f"{line}\n" for line in lines if not line.removeprefix(SLOT).partition(" :")[0].isdigit() or line.startswith((f"{SLOT}0 :", f"{SLOT}255 :")))


def test_the_rules_of_an_edge_and_of_an_exit_are_the_ones_on_file():
    for name in ("ga-edge-sin", "ga-vpc-eu"):
        assert_golden(f"global_accelerator.{name}.nft", ruleset_text(name))


def test_the_daemons_are_told_what_is_on_file():
    for name in ("ga-edge-sin.global_accelerator", "ga-edge-sin.bgp", "city-singapore.bgp"):
        (service,) = (each for each in PLAN.services if each.name == name)
        assert_golden(f"global_accelerator.{name}.json", service.config + "\n")
