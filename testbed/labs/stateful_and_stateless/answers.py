"""Where the answers to the questions of "Stateful and stateless" are found."""

from testbed.labs.checking import CheckedLab


def security_group_rule(lab: CheckedLab) -> str:
    """The rule at web's interface."""
    address = lab.public_address("web")
    return lab.rules("client", "web" if address is None else str(address), 443, "#ingress")[-1]
