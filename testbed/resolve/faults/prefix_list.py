"""Faults of prefix lists with the route tables that name them.

Source: VPC user guide, "Customer-managed prefix lists", "Gateway route tables", "Amazon VPC quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.geography import REGIONS
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import NEVER_FORWARDED, RouteTable
from testbed.model.values import Fault, unknown_faults
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Lists of another Region than the table's, and entries that no route may have as destination."""
    for prefix_list in references.topology.of(PrefixList):
        yield from unknown_faults(prefix_list.id, "region", prefix_list.region, REGIONS)
    for table in references.topology.of(RouteTable):
        vpc = references.get(Vpc, table.vpc_id)
        for route in table.routes:
            named = references.get(PrefixList, route.destination_prefix_list_id)
            if named is None or vpc is None:
                continue
            name = f"{table.id} {named.id}"
            if named.region != vpc.region:
                yield Fault(resource=name, problem=f"{named.id} is a prefix list of {named.region}, but {vpc.id} is in {vpc.region}", remedy=f"name a list of {vpc.region}")
            for entry in named.entries:
                if entry.cidr.subnet_of(NEVER_FORWARDED):
                    yield Fault(resource=name, problem=f"entry {entry.cidr} is within {NEVER_FORWARDED}, which AWS keeps for its services", remedy="remove the entry")
