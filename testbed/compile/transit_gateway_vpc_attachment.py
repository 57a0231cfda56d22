"""A VPC attachment becomes a link for each zone that it enables, from the VPC's fabric to the transit gateway's namespace.

    fabric                                                              transit gateway
    subnet of zone a ─▶ its table, its zone's variant ─▶ t-<att>-a ═════ a-<att>-a ─▶ mark: table of the attachment, zone a
    table of the attachment's subnet, as of what has ARRIVED ◀─ t-<att>-a ═════ a-<att>-a ◀─ route to the attachment

The fabric's end stands in the attachment's subnet: the subnet's ACL is asked inbound for what goes to the transit gateway and outbound for what comes from it, but not for what comes and
stays in the subnet. It has no groups. What has arrived may go on to interfaces and NAT gateways as the subnet's table says, but to no gateway that only serves the VPC itself (`route_table`).
Sources: Transit Gateway guide, "Amazon VPC attachments in AWS Transit Gateway", "How network ACLs work with transit gateways" (documented).

    appliance mode, of a flow whose ends are in the zones s and d:   s = d: s     one unknown: the other     else: symhash over the enabled zones
"""

from __future__ import annotations

from testbed.compile import fabric, network_acl, transit_gateway
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.transit_gateway import device
from testbed.model.network_acl import Direction
from testbed.model.transit_gateway import MTU_BYTES
from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.plan import Link, Neighbour, NftChain, NftRule
from testbed.plan.marks import ARRIVED, SAME_SUBNET
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment


def lower(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> Fragment:
    """The links of a VPC attachment, both ends; nothing for one of another kind."""
    if attachment.kind is not AttachmentKind.VPC:
        return Fragment()
    return join(*(_zone(attachment, number, subnet, resolved) for number, subnet in attachment.subnets))


def _zone(attachment: ResolvedTransitGatewayAttachment, number: int, subnet_id: str, resolved: Resolved) -> Fragment:
    letter = zone_letter(number)
    inside = fabric.end(attachment.resource, fabric.transit_gateway_device(attachment.id, letter), mtu_bytes=MTU_BYTES, origin=attachment.id)
    outside = transit_gateway.end(attachment.transit_gateway, device(attachment.id, letter), origin=attachment.id)
    return Fragment(
        nodes=(
            NodePart(name=attachment.resource, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=outside.mac, device=inside.name),)),
            NodePart(name=attachment.transit_gateway, neighbours=(Neighbour(address=fabric.FABRIC_END, mac=inside.mac, device=outside.name),)),
            transit_gateway.arrivals(attachment, outside.name, resolved, number),
            _in_fabric(attachment.resource, inside.name, subnet_id, resolved),
            fabric.door(attachment.resource, inside.name),
        ),
        links=(ordered(Link(a=inside, b=outside, origin=attachment.id)),),
    )


def zone_letter(number: int) -> str:
    """The letter of an Availability Zone by its number."""
    return chr(ord("a") + number - 1)


def zone_in(attachment: ResolvedTransitGatewayAttachment, number: int) -> int:
    """The zone in which packets of zone `number` enter an attachment: their own, else the first that it enables."""
    enabled = [zone for zone, _ in attachment.subnets]
    return number if number in enabled else enabled[0]


def _in_fabric(vpc: str, name: str, subnet_id: str, resolved: Resolved) -> NodePart:
    """What becomes of arrivals, and the ACL that stands before the transit gateway."""
    subnet, chain, key = fabric.subnet_of(resolved, subnet_id), identifier("arrived", subnet_id), fabric.quoted(name)
    table = resolved.route_table(subnet.route_table)
    marks = NftChain(
        name=chain,
        rules=(
            NftRule(statement=f"ip daddr {subnet.subnet.cidr_block} meta mark set {SAME_SUBNET:#x} return", origin=f"{subnet_id} same subnet"),
            NftRule(statement=f"meta mark set {ARRIVED | table.number:#x}", origin=table.id),
        ),
    )
    acls = ((f"{border}_subnet", f"jump {network_acl.chain_name(subnet.network_acl, way)}") for border, way in (("leave", Direction.OUTBOUND), ("enter", Direction.INBOUND)))
    return fabric.chains(vpc, marks, maps=(fabric.verdicts("from_interface", ((key, f"goto {chain}"),)), *(fabric.verdicts(border, ((key, acl),)) for border, acl in acls)))
