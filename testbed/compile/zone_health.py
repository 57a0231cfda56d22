"""Where the nodes of balancers tell DNS how their zones are (decision 0012). Whoever checks a node's targets writes its file: `services.common.zone_health`."""

from __future__ import annotations

FOLDER = "/run/testbed/zone_health"


def zone_health_file(node: str) -> str:
    """The file of one node of a balancer."""
    return f"{FOLDER}/{node}"
