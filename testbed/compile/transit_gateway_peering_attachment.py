"""A peering of two transit gateways becomes one link between their namespaces, as long as the way between their Regions.

It has no zone: what arrives takes the first zone that its next attachment enables, or with appliance mode the one of its far end.
A packet that comes over one peering and goes on over another loses a hop of its TTL, so that static routes in a circle end; else a transit gateway is no hop. What would go back over the
peering by which it came is dropped (both assumed).
Sources: Transit Gateway guide, "Transit gateway peering attachments in AWS Transit Gateway", "Transit gateway quotas" (MTU; documented).
NOT MODELLED: encryption between Regions.
"""

from __future__ import annotations

from testbed.compile import fabric, transit_gateway
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import city_of, region_of
from testbed.model.geography import round_trip_ms
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.plan import Link, Neighbour, NftMap, NftTable, Wire
from testbed.resolve.resolved import Resolved


def lower(peering: TransitGatewayPeeringAttachment, resolved: Resolved) -> Fragment:
    """The link and both of its ends."""
    name = transit_gateway.peering_device(peering.id)
    ends = [transit_gateway.end(gateway, name, origin=peering.id) for gateway in peering.transit_gateways]
    parts = []
    for mine, other in (ends, reversed(ends)):
        attachment = next(each for each in resolved.attachments_of(mine.node) if each.id == peering.id)
        parts.append(NodePart(name=mine.node, neighbours=(Neighbour(address=fabric.FABRIC_END, mac=other.mac, device=name),)))
        parts.append(transit_gateway.arrivals(attachment, name, resolved))
        parts.append(NodePart(name=mine.node, tables=(NftTable(name=transit_gateway.TABLE, maps=(_back(name),)),)))
    return Fragment(nodes=tuple(parts), links=(ordered(Link(a=ends[0], b=ends[1], wire=_wire(peering, resolved), origin=peering.id)),))


def _wire(peering: TransitGatewayPeeringAttachment, resolved: Resolved) -> Wire | None:
    regions = {gateway.id: gateway.region for gateway in resolved.topology.of(TransitGateway)}
    near, far = (region_of(resolved, regions[gateway]) for gateway in peering.transit_gateways)
    if near.id == far.id:
        return None
    return Wire(delay_ms=round(round_trip_ms(city_of(resolved, near.city).city, city_of(resolved, far.city).city) / 2, 3))


def _back(device: str) -> NftMap:
    key = fabric.quoted(device)
    return NftMap(name=transit_gateway.RETURNED, type="ifname . ifname", value_type="verdict", elements=((f"{key} . {key}", "drop"),))
