"""Checks of "Survive an Availability Zone"."""

from testbed.labs.checking import CheckedLab, check
from testbed.plan import NodeKind

HTTP, HTTPS = 80, 443
SHOP = "http://shop.example.com/"
ZONE_A, ZONE_B = "eu-west-1a", "eu-west-1b"
IN_A_ROW = 3


def instances(lab: CheckedLab, zone: str = "") -> tuple[str, ...]:
    """The shop's instances that there are, in a zone or in all."""
    return tuple(node.name for node in lab.plan.nodes if node.kind is NodeKind.INSTANCE and node.name != "jobs" and zone in ("", node.zone))


def servers(lab: CheckedLab) -> tuple[str, ...]:
    """Who serves the client's next requests; empty for one that fails."""
    return tuple(lab["client"].curl(SHOP, timeout_s=lab.patience_s).headers.get("x-served-by", "") for _ in range(IN_A_ROW))


def sells(lab: CheckedLab) -> bool:
    """Whether the client's requests are answered, several in a row."""
    return all(servers(lab))


@check(step=1, points=1)
def test_both_zones_serve(lab: CheckedLab) -> None:
    """The client is served by instances of both zones."""
    assert lab.soon(lambda: instances(lab, ZONE_A) and instances(lab, ZONE_B) and sells(lab)), f"there are {len(instances(lab, ZONE_A))} instances in {ZONE_A}, {len(instances(lab, ZONE_B))} in {ZONE_B}"


@check(step=1, points=3)
def test_the_shop_sells_without_zone_a(lab: CheckedLab) -> None:
    """With eu-west-1a failed, the client is still served."""
    lab.soon(lambda: instances(lab, ZONE_B))
    with lab.failing(ZONE_A):
        assert lab.soon(lambda: sells(lab)), f"with {ZONE_A} failed the client's requests are not answered"


@check(step=1, points=1, negative=True)
def test_only_the_balancer(lab: CheckedLab) -> None:
    """jobs does not reach an instance of the shop: only the balancer does."""
    assert lab.soon(lambda: len(instances(lab)) == 2)
    assert not lab["jobs"].tcp(instances(lab)[-1], HTTP, timeout_s=lab.silence_s).passed


@check(step=2, points=3)
def test_a_dead_program_is_replaced(lab: CheckedLab) -> None:
    """An instance on which the program dies is replaced, and the client is served by two again."""
    assert lab.soon(lambda: len(instances(lab)) == 2 and sells(lab)), "the shop does not sell to begin with"
    dead = instances(lab)[0]
    with lab.failing(f"{dead}.instance"):
        assert lab.soon(lambda: dead not in instances(lab) and len(instances(lab)) == 2 and len(set(servers(lab))) == 2), f"the program of {dead} has died, and {dead} is still there"


@check(step=3, points=3)
def test_zone_b_gets_out_without_zone_a(lab: CheckedLab) -> None:
    """With eu-west-1a failed, an instance of zone b still reaches bank."""
    assert lab.soon(lambda: instances(lab, ZONE_B)), f"there is no instance in {ZONE_B}"
    with lab.failing(ZONE_A):
        gets_out = lab.soon(lambda: any(lab[name].tcp("bank", HTTPS).passed for name in instances(lab, ZONE_B)[:1]))
        evidence = "" if gets_out else lab.evidence()
    assert gets_out, f"with {ZONE_A} failed: {evidence}"
