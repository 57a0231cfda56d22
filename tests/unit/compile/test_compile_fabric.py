"""Every device of a fabric is known to its maps: an unknown one is a stranger, whose packets are dropped."""

from testbed.compile import compile_plan
from testbed.compile.fabric import DOORS, TABLE
from testbed.compile.link import SMALLEST_MAP
from testbed.model import Direction, NetworkAcl, NetworkAclEntry, Subnet, Topology, Verdict, Vpc
from testbed.plan import NodeKind
from testbed.resolve import resolve
from tests.scenarios.small_vpc import VPC, small_vpc
from tests.unit.compile.test_compile_interface_state import table
from topologies.web_app import web_app


def test_every_device_of_a_fabric_is_an_interfaces_or_a_door():
    for plan in (compile_plan(resolve(web_app())), compile_plan(resolve(small_vpc()))):
        for fabric in (node for node in plan.nodes if node.kind is NodeKind.FABRIC):
            tables = {found.name: found for found in fabric.ruleset.tables}[TABLE]
            doors = next(set(found.elements) for found in tables.sets if found.name == DOORS)
            devices = {f'"{end.name}"' for link in plan.links for end in (link.a, link.b) if end.node == fabric.name} | {'"lo"'}
            for name in ("from_interface", "enter_subnet", "sender_groups", "receiver_groups"):
                known = next({key for key, _ in found.elements} for found in tables.maps if found.name == name)
                assert devices - doors == known, name


def test_maps_of_interfaces_have_a_size_that_few_more_do_not_change():
    maps = {found.name: found for found in table(compile_plan(resolve(small_vpc())), VPC).maps}
    assert maps["from_interface"].size == SMALLEST_MAP
    assert next(found for name, found in maps.items() if name.startswith("ports.")).size is None


def test_neighbouring_denials_of_an_acl_are_asked_about_together_and_in_order():
    def entry(number, verdict, block):
        return NetworkAclEntry(rule_number=number, direction=Direction.INBOUND, rule_action=verdict, cidr_block=block)

    entries = (*(entry(n, Verdict.DENY, f"203.0.{n}.0/24") for n in (10, 11, 14)), entry(20, Verdict.ALLOW, "10.0.0.0/16"), entry(30, Verdict.DENY, "10.1.0.0/16"))
    topology = Topology(
        name="t",
        resources=(
            Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16"), Subnet(id="s", vpc_id="vpc", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
            NetworkAcl(id="acl", vpc_id="vpc", associations=("s",), entries=entries),
        ),
    )
    chains = {chain.name: [rule.statement for rule in chain.rules] for chain in table(compile_plan(resolve(topology)), "vpc").chains}
    run = next(name for name in chains if name.startswith("acl.acl.inbound."))
    assert chains["acl.acl.inbound"] == [f"ip saddr 203.0.8.0/21 jump {run}", "ip saddr 10.0.0.0/16 return", "ip saddr 10.1.0.0/16 counter drop", "counter drop"]
    assert chains[run] == [f"ip saddr & 255.255.255.0 == 203.0.{n}.0 counter drop" for n in (10, 11, 14)]
