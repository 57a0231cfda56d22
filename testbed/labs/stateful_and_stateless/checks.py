"""Checks of "Stateful and stateless"."""

from testbed.labs.checking import CheckedLab, check
from testbed.labs.exercise import Variant

HTTPS, SSH, SMTP = 443, 22, 25


def database(variant: Variant) -> int:
    """The database's port for this student."""
    return int(variant.render("5432"))


@check(step=1, points=3)
def test_pages(lab: CheckedLab) -> None:
    """The client reaches web on port 443, and the replies get back."""
    assert lab.reaches("client", "web", HTTPS)


@check(step=1, points=1, negative=True)
def test_web_begins_nothing(lab: CheckedLab) -> None:
    """web cannot begin connections of its own to the internet (tried: port 25 of client)."""
    assert not lab["web"].tcp("client", SMTP).passed


@check(step=2, points=3)
def test_the_shop_has_its_database(lab: CheckedLab, variant: Variant) -> None:
    """web reaches db on the database's port."""
    assert lab["web"].tcp("db", database(variant)).passed


@check(step=2, points=1, negative=True)
def test_the_office_does_not_touch_the_data(lab: CheckedLab, variant: Variant) -> None:
    """desk, in the office, cannot reach db."""
    assert not lab["desk"].tcp("db", database(variant)).passed


@check(step=3, points=1)
def test_pages_still(lab: CheckedLab) -> None:
    """The client still reaches web on port 443."""
    assert lab.reaches("client", "web", HTTPS)


@check(step=3, points=2, negative=True)
def test_ssh_is_shut(lab: CheckedLab) -> None:
    """Nobody on the internet reaches SSH on web, although sg-web would let them."""
    assert not lab.reaches("client", "web", SSH)
