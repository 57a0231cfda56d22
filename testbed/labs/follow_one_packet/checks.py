"""Checks of "Follow one packet"; its questions are worth more."""

from testbed.labs.checking import CheckedLab, check

HTTP, POSTGRESQL = 80, 5432


@check(step=3, points=1)
def test_the_shop_is_open(lab: CheckedLab) -> None:
    """The shop still sells: client gets the products, web-a and web-b reach shop-db."""
    assert lab["client"].curl("https://shop.example.com/products").status == 200
    assert lab["web-a"].tcp("shop-db", POSTGRESQL).passed
    assert lab["web-b"].tcp("shop-db", POSTGRESQL).passed


@check(step=3, points=2, negative=True)
def test_jobs_cannot_read(lab: CheckedLab) -> None:
    """jobs does not reach shop-db."""
    assert not lab["jobs"].tcp("shop-db", POSTGRESQL).passed


@check(step=3, points=1, negative=True)
def test_only_the_balancer_asks(lab: CheckedLab) -> None:
    """jobs does not reach web-b: only the balancer does."""
    assert not lab["jobs"].tcp("web-b", HTTP).passed
