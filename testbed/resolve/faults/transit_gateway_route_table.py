"""Faults of transit gateway route tables, and of VPC routes to a transit gateway, across resources.

Source: Transit Gateway guide, "Transit gateway route tables in AWS Transit Gateway", "Transit gateway peering attachments in AWS Transit Gateway"; EC2 API reference, "Error codes":
Resource.AlreadyAssociated; VPC user guide, "Configure route tables" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.route_table import BLACKHOLE, RouteTable
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_attachment import PROPAGATED, AttachmentKind
from testbed.model.transit_gateway_route_table import TransitGatewayRouteTable
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Fault, did_you_mean
from testbed.resolve import transit_gateways
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Attachments that are not there or are elsewhere, that have two tables, or propagate what they cannot; then routes of VPCs to a transit gateway."""
    known: dict[str, dict[str, AttachmentKind]] = {}
    for kind, attachment, gateway in transit_gateways.attached(references):
        known.setdefault(attachment, {})[gateway] = kind
    associated: dict[tuple[str, str], str] = {}
    for table in references.topology.of(TransitGatewayRouteTable):
        for field, named in (("association", table.associations), ("propagation", table.propagations)):
            for attachment in dict.fromkeys(named):
                yield from _attachment_faults(table.id, field, attachment, table, known, references)
        for route in table.routes:
            if route.attachment_id is not None:
                yield from _attachment_faults(f"{table.id} {route.destination}", "attachment_id", route.attachment_id, table, known, references)
        for attachment in dict.fromkeys(table.associations):
            first = associated.setdefault((table.transit_gateway_id, attachment), table.id)
            if first != table.id:
                problem = f"Resource.AlreadyAssociated: {attachment} is associated with {first} and {table.id}"
                yield Fault(resource=attachment, problem=problem, remedy="an attachment is associated with one route table: remove it from one")
        for attachment in dict.fromkeys(table.propagations):
            propagates = known.get(attachment, {}).get(table.transit_gateway_id)
            if propagates is not None and propagates not in PROPAGATED:
                problem = f"propagation {attachment}: a {propagates.value} attachment propagates nothing"
                yield Fault(resource=table.id, problem=problem, remedy="write static routes to it (TransitGatewayRoute)")
    yield from _vpc_route_faults(references)


def _attachment_faults(name: str, field: str, attachment: str, table: TransitGatewayRouteTable, known: dict[str, dict[str, AttachmentKind]], references: References) -> Iterator[Fault]:
    if attachment not in known:
        found = references.named(attachment)
        problem = f"{field} {attachment!r} {'does not exist' if found is None else 'is not a transit gateway attachment'}"
        yield Fault(resource=name, problem=problem, remedy=did_you_mean(attachment, sorted(known)))
    elif table.transit_gateway_id not in known[attachment] and references.get(TransitGateway, table.transit_gateway_id) is not None:
        problem = f"{field} {attachment} is an attachment of {' and '.join(sorted(known[attachment]))}, not of {table.transit_gateway_id}"
        yield Fault(resource=name, problem=problem, remedy=f"name an attachment of {table.transit_gateway_id}")


def _vpc_route_faults(references: References) -> Iterator[Fault]:
    attached = {(attachment.transit_gateway_id, attachment.vpc_id) for attachment in references.topology.of(TransitGatewayVpcAttachment)}
    for table in references.topology.of(RouteTable):
        for route in table.routes:
            gateway = references.get(TransitGateway, route.transit_gateway_id)
            if gateway is None or route.state == BLACKHOLE:
                continue
            name = f"{table.id} {route.destination}"
            if (gateway.id, table.vpc_id) not in attached:
                problem = f"InvalidTransitGatewayID.NotFound: {table.vpc_id} is not attached to {gateway.id}"
                yield Fault(resource=name, problem=problem, remedy=f"attach it: TransitGatewayVpcAttachment(transit_gateway_id={gateway.id!r}, vpc_id={table.vpc_id!r}, …)")
