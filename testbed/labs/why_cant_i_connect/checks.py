"""Checks of "Why can't I connect?"."""

from testbed.labs.checking import CheckedLab, check
from testbed.labs.exercise import Variant

HTTPS, SSH, DATABASE = 443, 22, 5432


def application(variant: Variant) -> int:
    """The application's port for this student."""
    return int(variant.render("8080"))


@check(step=1, points=2)
def test_pages(lab: CheckedLab) -> None:
    """The client reaches web on port 443."""
    assert lab.reaches("client", "web", HTTPS)


@check(step=1, negative=True)
def test_only_pages(lab: CheckedLab) -> None:
    """The client reaches nothing else on web (tried: SSH)."""
    assert not lab.reaches("client", "web", SSH)


@check(step=2, points=2)
def test_web_asks_app(lab: CheckedLab, variant: Variant) -> None:
    """web reaches app on the application's port."""
    assert lab["web"].tcp("app", application(variant)).passed


@check(step=2, negative=True)
def test_only_web_asks_app(lab: CheckedLab, variant: Variant) -> None:
    """bastion and jobs do not reach app."""
    assert not lab["bastion"].tcp("app", application(variant)).passed
    assert not lab["jobs"].tcp("app", application(variant)).passed


@check(step=3, points=2)
def test_app_gets_out(lab: CheckedLab) -> None:
    """app reaches client, on the internet, under the Elastic IP of nat-work."""
    assert lab.seen_as("app", at="client") == lab.public_address("nat-work") is not None


@check(step=3, negative=True)
def test_nobody_gets_in(lab: CheckedLab, variant: Variant) -> None:
    """Nobody on the internet reaches app."""
    assert not lab.reaches("client", "app", application(variant))


@check(step=4, points=2)
def test_administrators_get_in(lab: CheckedLab) -> None:
    """The client reaches bastion by SSH."""
    assert lab.public_address("bastion") is not None, "bastion has no public address: nobody on the internet can call it"
    assert lab.reaches("client", "bastion", SSH)


@check(step=4, negative=True)
def test_only_ssh(lab: CheckedLab) -> None:
    """The client reaches nothing else on bastion (tried: port 443)."""
    assert not lab.reaches("client", "bastion", HTTPS)


@check(step=5, points=2)
def test_app_has_its_data(lab: CheckedLab) -> None:
    """app reaches db."""
    assert lab["app"].tcp("db", DATABASE).passed


@check(step=5, negative=True)
def test_only_app_has_the_data(lab: CheckedLab) -> None:
    """web and jobs do not reach db."""
    assert not lab["web"].tcp("db", DATABASE).passed
    assert not lab["jobs"].tcp("db", DATABASE).passed
