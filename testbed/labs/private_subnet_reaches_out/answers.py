"""Where the answers to the questions of "A private subnet reaches out" are found."""

from testbed.labs.checking import CheckedLab


def seen_as(lab: CheckedLab) -> str:
    """What a listener at mirror sees."""
    address = lab.seen_as("app-b", at="mirror")
    if address is None:
        raise LookupError("app-b does not reach mirror yet")
    return str(address)


def inside_address(lab: CheckedLab) -> str:
    """The gateway's private address: the internet gateway makes it public."""
    return str(lab["nat-b"].address)
