"""Where the answers to the questions of "Under attack" are found."""

from testbed.labs.checking import CheckedLab
from testbed.labs.under_attack.checks import HTTP, SHOP, attack
from testbed.observe.attack import Kind


def address_under_attack(lab: CheckedLab) -> str:
    """The edge location's, as DNS tells it."""
    return str(lab["crowd"].resolved(SHOP))


def status_of_the_flood(lab: CheckedLab) -> str:
    """What the rate rule answers."""
    answers = attack(lab, Kind.HTTP_FLOOD, 240, 0.8, learn_s=1.1).answers
    return str(max(answers, key=lambda status: answers[status]))


def who_dropped_it(lab: CheckedLab) -> str:
    """The group, since no rule of it fits."""
    address = lab.public_address("web")
    if address is None:
        raise LookupError("web has no public address any more")
    told = lab.explain("crowd", address, HTTP)
    if told.passed:
        raise LookupError("crowd reaches the origin")
    return told.cause_origin
