"""The layout of packet marks and connection marks inside a VPC fabric.

Packet mark (`meta mark`), set in prerouting, read by `ip rule` and by the filter chains:

    bits 0-11   route table of the sender's subnet (0: none, the main table decides)
    bits 12-15  Availability Zone of the sender, 1-15
    bit  16     SAME_SUBNET: sender and destination share a subnet, so no route table and no network ACL applies
    bit  17     ARRIVED: from a transit gateway, by the route table of the attachment's subnet, which leads it to no other gateway that serves the VPC alone
    bit  18     LOSES_TTL: forwarding takes one from its TTL even in a node that keeps it

In a transit gateway's namespace bits 0-11 are the number of the transit gateway route table, 12-15 the zone as of which the packet is routed (0: it comes from outside VPCs).

Connection mark (`ct mark`): whose interface has admitted this flow. A flow continues at an end because that end's bit is set,
never merely because the connection is established.

    bit  0      ORIGINATOR_ADMITTED: the interface which sent the flow's first packet
    bit  1      RESPONDER_ADMITTED: the interface to which that packet went
    bits 16-27  return table: replies of this flow use this route table instead of their subnet's (0: none)
"""

from __future__ import annotations

ROUTE_TABLE_BITS = 12
ROUTE_TABLE_MASK = (1 << ROUTE_TABLE_BITS) - 1
AVAILABILITY_ZONE_SHIFT = ROUTE_TABLE_BITS
AVAILABILITY_ZONE_MASK = 0xF << AVAILABILITY_ZONE_SHIFT
SAME_SUBNET = 1 << 16
ARRIVED = 1 << 17
LOSES_TTL = 1 << 18

ORIGINATOR_ADMITTED = 1 << 0
RESPONDER_ADMITTED = 1 << 1
BOTH_ADMITTED = ORIGINATOR_ADMITTED | RESPONDER_ADMITTED

RETURN_TABLE_SHIFT = 16
RETURN_TABLE_MASK = ROUTE_TABLE_MASK << RETURN_TABLE_SHIFT
FIRST_RETURN_TABLE = 0xC00
"""Route tables that only replies use have the numbers from here to ROUTE_TABLE_MASK; a VPC's own tables are below."""
