"""An instance that is an SD-WAN appliance: the BGP speaker that goes with its tunnels (`transit_gateway_connect` makes those).

Its routes go to the main table of the instance, so a longer prefix of an interface's subnet comes first, and the subnet's default route last.
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers" (documented).
"""

from __future__ import annotations

from services.bgp.config import Originated, Table
from testbed.compile import bgp_speaker, transit_gateway_connect
from testbed.model.instance import SdWanAppliance
from testbed.plan import MAIN_TABLE, ServiceSpec
from testbed.resolve.resolved import Resolved

TABLE = "appliance"
METRIC = 100
MOST_PATHS = 16


def services(program: SdWanAppliance, instance: str, resolved: Resolved) -> tuple[ServiceSpec, ...]:
    """The speaker of an appliance with Connect peers; none without."""
    neighbours = transit_gateway_connect.appliance_neighbours(instance, resolved, table=TABLE, metric=METRIC, prepend=program.as_path_prepend)
    asn = next((neighbour.local_asn for neighbour in neighbours if neighbour.local_asn is not None), 0)
    originated = tuple(Originated(prefix=prefix, table=TABLE) for prefix in sorted(set(program.prefixes)))
    return bgp_speaker.speaker(instance, asn, tables=(Table(name=TABLE, kernel=MAIN_TABLE, paths=MOST_PATHS),), neighbours=neighbours, originated=originated, origin=instance)
