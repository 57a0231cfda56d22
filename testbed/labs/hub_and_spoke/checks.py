"""Checks of "Hub and spoke"."""

from testbed.labs.checking import CheckedLab, check

SSH, HTTPS = 22, 443


@check(step=1, points=3)
def test_payroll_has_its_tools(lab: CheckedLab) -> None:
    """hr reaches tools on port 443."""
    assert lab["hr"].tcp("tools", HTTPS).passed


@check(step=1, points=1, negative=True)
def test_nothing_but_https(lab: CheckedLab) -> None:
    """hr does not reach SSH on tools."""
    assert not lab["hr"].tcp("tools", SSH).passed


@check(step=2, points=1)
def test_both_departments_share(lab: CheckedLab) -> None:
    """till and hr both reach tools on port 443."""
    assert lab["till"].tcp("tools", HTTPS).passed
    assert lab["hr"].tcp("tools", HTTPS).passed


@check(step=2, points=2, negative=True)
def test_orders_does_not_meet_payroll(lab: CheckedLab) -> None:
    """till does not reach hr, on no port (tried: 443)."""
    assert not lab["till"].tcp("hr", HTTPS).passed


@check(step=2, points=1, negative=True)
def test_payroll_does_not_meet_orders(lab: CheckedLab) -> None:
    """hr does not reach till either."""
    assert not lab["hr"].tcp("till", HTTPS).passed


@check(step=3, points=3)
def test_the_second_zone(lab: CheckedLab) -> None:
    """stock, in zone b, reaches files, in zone b too, and tools in zone a."""
    assert lab["stock"].tcp("tools", HTTPS).passed
    assert lab["stock"].tcp("files", HTTPS).passed


@check(step=3, points=1, negative=True)
def test_the_second_zone_is_isolated_too(lab: CheckedLab) -> None:
    """stock does not reach hr."""
    assert not lab["stock"].tcp("hr", HTTPS).passed
