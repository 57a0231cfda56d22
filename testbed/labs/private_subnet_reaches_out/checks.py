"""Checks of "A private subnet reaches out"."""

from testbed.labs.checking import CheckedLab, check

HTTPS, POSTGRESQL = 443, 5432


@check(step=1, points=2)
def test_a_gets_out(lab: CheckedLab) -> None:
    """app-a reaches mirror, on the internet."""
    assert lab["app-a"].tcp("mirror", HTTPS).passed


@check(step=1, points=1)
def test_a_is_translated(lab: CheckedLab) -> None:
    """mirror sees app-a under the Elastic IP of nat-a."""
    assert lab.seen_as("app-a", at="mirror") == lab.public_address("nat-a") is not None


@check(step=1, points=2, negative=True)
def test_nobody_gets_in_to_a(lab: CheckedLab) -> None:
    """Nobody on the internet reaches app-a."""
    assert not lab.reaches("mirror", "app-a", HTTPS)


@check(step=2, points=2)
def test_b_gets_out(lab: CheckedLab) -> None:
    """app-b reaches mirror, under the Elastic IP of nat-b."""
    assert lab.seen_as("app-b", at="mirror") == lab.public_address("nat-b") is not None


@check(step=2, points=1, negative=True)
def test_nobody_gets_in_to_b(lab: CheckedLab) -> None:
    """Nobody on the internet reaches app-b."""
    assert not lab.reaches("mirror", "app-b", HTTPS)


@check(step=3, points=1)
def test_the_records_are_read(lab: CheckedLab) -> None:
    """app-a and app-b reach records, inside the VPC."""
    assert lab["app-a"].tcp("records", POSTGRESQL).passed
    assert lab["app-b"].tcp("records", POSTGRESQL).passed


@check(step=3, points=2, negative=True)
def test_the_records_stay(lab: CheckedLab) -> None:
    """records cannot reach the internet, by any gateway."""
    assert not lab["records"].tcp("mirror", HTTPS).passed


@check(step=3, points=1, negative=True)
def test_nobody_gets_in_to_the_records(lab: CheckedLab) -> None:
    """Nobody on the internet reaches records."""
    assert not lab.reaches("mirror", "records", POSTGRESQL)
