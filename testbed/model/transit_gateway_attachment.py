"""What every attachment to a transit gateway has, whatever is attached: an id, a kind, its transit gateway.

    noun                              its attachment's id      kind
    TransitGatewayVpcAttachment       its own                  VPC
    TransitGatewayPeeringAttachment   its own, at both ends    PEERING
    TransitGatewayConnect             its own                  CONNECT
    VpnConnection                     the connection's         VPN
    Direct Connect gateway            the association's        DIRECT_CONNECT_GATEWAY

Route tables name attachments by these ids, in associations, propagations and routes. (AWS gives the attachment of a VPN connection an id of its own; here it has the connection's.)
Source: Transit Gateway guide, "How AWS Transit Gateway works": "Route evaluation order" (documented).
"""

from __future__ import annotations

import enum


class AttachmentKind(enum.StrEnum):
    """What is attached, as DescribeTransitGatewayAttachments calls it (ResourceType)."""

    VPC = "vpc"
    DIRECT_CONNECT_GATEWAY = "direct-connect-gateway"
    CONNECT = "connect"
    VPN = "vpn"
    PEERING = "peering"


class TransitGatewayRoutePriority(enum.IntEnum):
    """Which of several routes with one prefix wins: the lowest.

    NOT MODELLED: VPN Concentrators (after VPN), and routes of a peering that Cloud WAN propagates (after all).
    """

    STATIC = 1
    PREFIX_LIST = 2
    VPC = 3
    DIRECT_CONNECT_GATEWAY = 4
    CONNECT = 5
    PRIVATE_IP_VPN = 6
    VPN = 7


PROPAGATED = {
    AttachmentKind.VPC: TransitGatewayRoutePriority.VPC,
    AttachmentKind.DIRECT_CONNECT_GATEWAY: TransitGatewayRoutePriority.DIRECT_CONNECT_GATEWAY,
    AttachmentKind.CONNECT: TransitGatewayRoutePriority.CONNECT,
    AttachmentKind.VPN: TransitGatewayRoutePriority.VPN,
}
"""The priority of what an attachment propagates. A peering propagates nothing: its routes are static ("Transit gateway peering attachments"; documented)."""
