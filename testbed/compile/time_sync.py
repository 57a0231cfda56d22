"""The Amazon Time Sync Service of a Region: one daemon with a socket in every fabric.

Source: EC2 user guide, "Set the time for your instance" (documented): 169.254.169.123, neither routed nor filtered.
"""

from __future__ import annotations

from services.common.config import Listen, Transport, encode
from services.ntp.config import Config
from testbed.compile.link_local import NTP_PORT, TIME_SYNC
from testbed.plan import ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedRegion

KIND = "ntp"


def service(region: ResolvedRegion, resolved: Resolved) -> ServiceSpec | None:
    """The daemon of a Region; None where it has no VPC."""
    fabrics = tuple(vpc.vpc.id for vpc in resolved.vpcs if vpc.vpc.region == region.id)
    if not fabrics:
        return None
    name = f"{region.node}.{KIND}"
    listen = tuple(Listen(address=TIME_SYNC, port=NTP_PORT, transport=Transport.UDP, namespace=fabric) for fabric in fabrics)
    return ServiceSpec(name=name, kind=KIND, node=region.node, config=encode(Config(name=name, listen=listen)), origin=region.id)
