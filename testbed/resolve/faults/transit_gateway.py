"""Faults of transit gateways across resources: default tables, peerings, quotas.

Source: Transit Gateway guide, "Transit gateway quotas", "Transit gateway peering attachments in AWS Transit Gateway" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.transit_gateway_route_table import TransitGatewayRouteTable
from testbed.model.values import Fault
from testbed.resolve import transit_gateways
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each transit gateway, then of peerings, then what is over a quota."""
    for gateway in references.topology.of(TransitGateway):
        for field in ("association_default_route_table_id", "propagation_default_route_table_id"):
            table = references.get(TransitGatewayRouteTable, getattr(gateway, field))
            if table is not None and table.transit_gateway_id != gateway.id:
                yield Fault(resource=gateway.id, problem=f"{field} {table.id} is a table of {table.transit_gateway_id}", remedy=f"name a table of {gateway.id}")
    first: dict[frozenset[str], str] = {}
    for peering in references.topology.of(TransitGatewayPeeringAttachment):
        known = first.setdefault(frozenset(peering.transit_gateways), peering.id)
        if known != peering.id:
            problem = f"{' and '.join(peering.transit_gateways)} are already peered by {known}"
            yield Fault(resource=peering.id, problem=problem, remedy="two transit gateways have one peering: remove this one")
    yield from _quota_faults(references)


def _quota_faults(references: References) -> Iterator[Fault]:
    quotas = references.topology.quotas
    regions = Counter(gateway.region for gateway in references.topology.of(TransitGateway))
    yield from (_over(region, "transit gateways", count, quotas.transit_gateways_per_region, "transit_gateways_per_region") for region, count in regions.items() if count > quotas.transit_gateways_per_region)
    attached = tuple(transit_gateways.attached(references))
    for noun, field, counts in (
        ("attachments", "transit_gateway_attachments", Counter(gateway for _, _, gateway in attached)),
        ("peering attachments", "transit_gateway_peering_attachments", Counter(gateway for kind, _, gateway in attached if kind is AttachmentKind.PEERING)),
        ("route tables", "transit_gateway_route_tables", Counter(table.transit_gateway_id for table in transit_gateways.written_tables(references))),
        ("routes", "transit_gateway_routes", _routes(references)),
    ):
        quota = getattr(quotas, field)
        yield from (_over(gateway, noun, count, quota, field) for gateway, count in counts.items() if count > quota)


def _routes(references: References) -> Counter[str]:
    counts: Counter[str] = Counter()
    for table in transit_gateways.route_tables(references):
        counts[table.transit_gateway] += len(table.routes)
    return counts


def _over(resource: str, noun: str, count: int, quota: int, field: str) -> Fault:
    return Fault(resource=resource, problem=f"{count} {noun}, over the limit of {quota}", remedy=f"remove some, or raise the quota (Quotas.{field})")
