"""A line of AWS Network Firewall's alert or flow log, of one of Suricata's events.

Source: Network Firewall developer guide, "Contents of a AWS Network Firewall log", with its examples (documented): Suricata's own event inside, with the firewall, its zone and the second around.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

LOGGED = ("alert", "netflow")
NOT_IN_THE_LOG = frozenset(("in_iface", "pkt_src"))
"""Names of devices, which are the lab's and not AWS's."""


def line(event: dict[str, Any], firewall: str, availability_zone: str) -> str:
    """The log line. Raises ValueError for an event without a time."""
    second = int(datetime.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp())
    inside = {key: value for key, value in event.items() if key not in NOT_IN_THE_LOG}
    return msgspec.json.encode({"firewall_name": firewall, "availability_zone": availability_zone, "event_timestamp": str(second), "event": inside}).decode()
