"""How large a packet may be where, and what becomes of one that is larger.

    guest of a VPC, same-Region peering  9001        host on the internet, internet gateway  1500        NAT gateway  8500

A packet that may be cut goes on as fragments; one that may not (DF) is dropped, and its sender is told by ICMP 3/4.
Source: EC2 user guide, "Network MTU"; VPC user guide, "NAT gateway basics" (documented). That what is cut before a NAT gateway, at its 8500 bytes too, reaches it as
fragments is assumed.
"""

from __future__ import annotations

VPC_MTU_BYTES = 9001
INTERNET_MTU_BYTES = 1500
NAT_GATEWAY_MTU_BYTES = 8500
TRANSIT_GATEWAY_MTU_BYTES = 8500


class Size:
    """A packet's length on its way, and whether it has been cut. `length_bytes` is the whole IP packet's; 0 is a short one."""

    def __init__(self, length_bytes: int = 0, *, dont_fragment: bool = False) -> None:
        self.length_bytes = length_bytes
        self.dont_fragment = dont_fragment
        self.is_fragmented = False

    def fits(self, mtu_bytes: int) -> bool:
        """Whether the packet gets over a link of this MTU, in pieces if need be (and it is pieces from then on)."""
        if self.length_bytes <= mtu_bytes:
            return True
        self.is_fragmented = not self.dont_fragment
        return self.is_fragmented
