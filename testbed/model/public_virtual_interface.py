"""Public virtual interfaces: a VLAN on a Direct Connect connection to AWS's public addresses, in every Region.

    site ── its own public prefixes ──►  AWS   what comes by it from any other source is dropped
    site ◄── AWS's public prefixes ────  AWS   with NO_EXPORT; from customer to customer nothing passes

It reaches what has a public address of AWS: VPN endpoints, services, Elastic IPs; what AWS sends to the site's public prefixes comes by it as well, and by the internet while it is down.
Source: Direct Connect user guide, "Virtual interfaces and hosted virtual interfaces", "Routing policies and BGP communities", "Direct Connect quotas"; API reference, "CreatePublicVirtualInterface"
(documented). The addresses of its two ends are link-local if they are left out (AWS gives public ones; nobody else sees them).
NOT MODELLED: the scope communities (7224:8100 and 8200 from AWS, 7224:9100 to 9300 from the site: AWS tells and is told everything), AS paths of AWS's prefixes (three at least), AWS's check of who owns a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, network, network_faults
from testbed.model.virtual_interface import STANDARD_MTU_BYTES, VirtualInterface

MOST_ROUTES_FROM_SITE = 1000
"""On a public virtual interface ("Direct Connect quotas"; documented)."""
NO_EXPORT = (65535, 65281)
"""The well-known community of RFC 1997: not to be told to other autonomous systems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicVirtualInterface(VirtualInterface):
    """To AWS's public addresses. `route_filter_prefixes` are the site's public prefixes that AWS takes; left out, the public address of the site's router.

    What the router announces (`customer_device.prefixes`; left out, just these) counts only as far as it is among them.
    """

    MTUS = (STANDARD_MTU_BYTES,)
    LINK = "public virtual interface"
    route_filter_prefixes: tuple[IPv4Network, ...] = ()

    def __post_init__(self) -> None:
        VirtualInterface.__post_init__(self)
        object.__setattr__(self, "route_filter_prefixes", tuple(network(block) for block in self.route_filter_prefixes))

    @property
    def gateway_id(self) -> str | None:
        return None

    def _own_faults(self) -> Iterator[Fault]:
        yield from VirtualInterface._own_faults(self)
        for block in self.route_filter_prefixes:
            yield from network_faults(self.id, "route_filter_prefixes", block)
            if isinstance(block, IPv4Network) and any(block.overlaps(private) for private in PRIVATE):
                yield Fault(resource=self.id, problem=f"route_filter_prefixes {block} is private", remedy="name public prefixes of the site's own; private ones need a private or a transit virtual interface")


PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"))
