"""Where the answers to the questions of "Survive an Availability Zone" are found."""

from testbed.labs.checking import CheckedLab


def address_left(lab: CheckedLab) -> str:
    """That of the balancer's node in zone b: the other has left DNS."""
    return _public(lab, "alb-shop-b")


def bank_sees(lab: CheckedLab) -> str:
    """The Elastic IP of zone b's own NAT gateway."""
    return _public(lab, "nat-b")


def _public(lab: CheckedLab, node: str) -> str:
    address = lab.public_address(node)
    if address is None:
        raise LookupError(f"{node} has no public address")
    return str(address)
