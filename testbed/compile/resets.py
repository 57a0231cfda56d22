"""Resets that a flow crosses a namespace with more than once.

Where a SYN is answered by a reset, conntrack forgets the flow at once, with the reset still on its way. A packet that goes through an appliance crosses
the fabric, and the appliance's port, again: there the reset would belong to no flow, and a client whose groups let nothing in would never learn that it was refused.
So an admitted reset on its way into what forwards for others is remembered for a moment, and passes the ends of its further crossings.
"""

from __future__ import annotations

from testbed.plan import NftRule, NftSet

RESETS = NftSet(name="resets", type="ipv4_addr . inet_service . ipv4_addr . inet_service", flags=("dynamic", "timeout"))
"""Filled by packets."""
SECONDS = 2
_KEY = "ip saddr . tcp sport . ip daddr . tcp dport"
_RESET = "tcp flags & rst == rst"


def remember(forwarders: str) -> NftRule:
    """Before a packet is let go: keep a reset of a known flow that goes on through a device of the set `forwarders`."""
    return NftRule(statement=f"oif @{forwarders} {_RESET} ct direction reply update @{RESETS.name} {{ {_KEY} timeout {SECONDS}s }}")


def known(forwarders: str) -> NftRule:
    """At an end, of a packet that comes from such a device: admit a reset that was admitted when it went there."""
    return NftRule(statement=f"iif @{forwarders} {_RESET} ct state invalid {_KEY} @{RESETS.name} return", origin="reset of a flow admitted before")
