"""Appliance mode: which zone of an appliance's VPC a flow enters, the same for both directions.

    route leads to an attachment with the mode ─▶ appliance.<attachment> ─▶ far.<zone of the destination> ─▶ own zone, if that is also the destination's or there is only one
                                                                        └▶ zone not enabled, or two of them: symhash over the enabled zones

The zone of the sender is that of the device by which the packet arrived, the zone of the other end that of its subnet, whichever attached VPC that is in.
Source: Transit Gateway guide, "Amazon VPC attachments in AWS Transit Gateway": "Appliance mode" (documented). Where the zone of both ends is not enabled, the hash decides (assumed).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.transit_gateway import NO_ZONE, TABLE, device
from testbed.compile.transit_gateway_vpc_attachment import zone_letter
from testbed.model.transit_gateway import TransitGateway
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable
from testbed.plan.marks import AVAILABILITY_ZONE_MASK, AVAILABILITY_ZONE_SHIFT
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment

BY_HASH = AVAILABILITY_ZONE_MASK
"""The zone bits of a packet whose zone the hash has to choose."""
OTHERS = 0xFFFFFFFF ^ AVAILABILITY_ZONE_MASK


def lower(gateway: TransitGateway, resolved: Resolved) -> Fragment:
    """The chains that choose the zone; nothing where no attachment has the mode."""
    appliances = [attachment for attachment in resolved.attachments_of(gateway.id) if attachment.appliance_mode]
    if not appliances:
        return Fragment()
    blocks = _zones_of_blocks(gateway, resolved)
    far, ambiguous = {block: next(iter(zones)) for block, zones in blocks.items() if len(zones) == 1}, [block for block, zones in blocks.items() if len(zones) > 1]
    numbers = sorted({*far.values(), *(number for attachment in appliances for number, _ in attachment.subnets)})
    leads = tuple((fabric.quoted(device(attachment.id, zone_letter(number))), f"goto {_chain(attachment)}") for attachment in appliances for number, _ in attachment.subnets)
    chains = (
        NftChain(name="choose_zone", hook="type filter hook prerouting priority -290; policy accept;", rules=(NftRule(statement="fib daddr . mark oifname vmap @appliances"),)),
        *(_appliance(attachment, bool(ambiguous)) for attachment in appliances),
        *(_far(number) for number in sorted(set(far.values()))),
        *(NftChain(name=_zone_chain(number), rules=(NftRule(statement=_set_zone(number)),)) for number in numbers),
    )
    maps = (
        NftMap(name="appliances", type="typeof fib daddr . mark oifname", value_type="verdict", elements=leads),
        NftMap(name="far_zone", type="ipv4_addr", value_type="verdict", flags=("interval",), elements=tuple((str(block), f"jump {_far_chain(number)}") for block, number in sorted(far.items()))),
    )
    sets = (NftSet(name="several_vpcs", type="ipv4_addr", flags=("interval",), elements=tuple(map(str, sorted(ambiguous)))),) if ambiguous else ()
    return Fragment(nodes=(NodePart(name=gateway.id, tables=(NftTable(name=TABLE, sets=sets, maps=maps, chains=chains),)),))


def _appliance(attachment: ResolvedTransitGatewayAttachment, ambiguous: bool) -> NftChain:
    enabled = [number for number, _ in attachment.subnets]
    slots = ", ".join(f"{slot} : goto {_zone_chain(number)}" for slot, number in enumerate(enabled))
    own = ", ".join(f"{number << AVAILABILITY_ZONE_SHIFT:#x}" for number in enabled)
    unknown = tuple(NftRule(statement=f"ip {side} @several_vpcs meta mark set meta mark | {BY_HASH:#x}") for side in ("saddr", "daddr")) if ambiguous else ()
    return NftChain(
        name=_chain(attachment),
        rules=(
            *unknown,
            NftRule(statement="ip daddr vmap @far_zone"),
            NftRule(statement=f"meta mark & {AVAILABILITY_ZONE_MASK:#x} {{ {own} }} accept", origin=f"{attachment.id} appliance mode, zone of the ends"),
            NftRule(statement=f"symhash mod {len(enabled)} vmap {{ {slots} }}", origin=f"{attachment.id} appliance mode, by flow"),
        ),
    )


def _far(number: int) -> NftChain:
    """The destination is in this zone: so is the sender, or it is in none, or the two differ."""
    zone = number << AVAILABILITY_ZONE_SHIFT
    return NftChain(
        name=_far_chain(number),
        rules=(
            NftRule(statement=f"meta mark & {AVAILABILITY_ZONE_MASK:#x} == {zone:#x} return"),
            NftRule(statement=f"meta mark & {AVAILABILITY_ZONE_MASK:#x} == {NO_ZONE:#x} {_set_zone(number)} return"),
            NftRule(statement=f"meta mark set meta mark | {BY_HASH:#x}"),
        ),
    )


def _set_zone(number: int) -> str:
    return f"meta mark set meta mark & {OTHERS:#x} | {number << AVAILABILITY_ZONE_SHIFT:#x}"


def _chain(attachment: ResolvedTransitGatewayAttachment) -> str:
    return identifier("appliance", attachment.id)


def _far_chain(number: int) -> str:
    return f"far.{zone_letter(number)}"


def _zone_chain(number: int) -> str:
    return f"zone.{zone_letter(number)}"


def _zones_of_blocks(gateway: TransitGateway, resolved: Resolved) -> dict[IPv4Network, set[int]]:
    """Disjoint blocks that cover the subnets of all attached VPCs, and the zones of the subnets that hold each."""
    subnets = [
        (resolved_subnet.subnet.cidr_block, dict(resolved.vpc(vpc).zone_numbers)[resolved_subnet.subnet.availability_zone])
        for vpc in sorted({attachment.resource for attachment in resolved.attachments_of(gateway.id) if attachment.subnets})
        for resolved_subnet in resolved.subnets_in(vpc)
    ]
    found: dict[IPv4Network, set[int]] = {}
    for block, zone in sorted(subnets, key=lambda subnet: (subnet[0].prefixlen, subnet[0].network_address), reverse=True):
        inside = [smaller for smaller in found if smaller.subnet_of(block)]
        pieces = [block]
        for smaller in inside:
            found[smaller].add(zone)
            pieces = [part for piece in pieces for part in (piece.address_exclude(smaller) if smaller.subnet_of(piece) else (piece,))]
        for piece in pieces:
            found.setdefault(piece, set()).add(zone)
    return found
