"""Which way packets take over Direct Connect, from virtual interfaces and associations as written: what sites and gateways are told, and what wins.

    gateway ─▶ site   longest prefix ─▶ local preference (communities 7224:7300, 7200 and none, 7100) ─▶ shortest AS path ─▶ lowest MED (none is 0)
    site ─▶ gateway   longest prefix ─▶ the router's metric

A session is up if both ends have one key and the site announces no more than the quota; then the gateway knows the site's prefixes, and the site what `told` says: a virtual private
gateway's VPC as far as an allowed prefix is equal or wider, a transit gateway's allowed prefixes word for word.
What a gateway sends to a site turns round at a Direct Connect gateway if another VPC behind it is meant: only a prefix of the site that covers both brings it there.
Source: Direct Connect user guide, "Routing policies and BGP communities", "Allowed prefixes interactions", "Direct Connect gateways", "Direct Connect quotas"; Transit Gateway guide, "How AWS Transit
Gateway works" (documented). NOT MODELLED: the lower preference of locations that belong to other Regions, fibres that are out of order (a live test's affair).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.direct_connect_connection import DirectConnectConnection
from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.topology import Topology
from testbed.model.transit_gateway import TransitGateway
from testbed.model.virtual_interface import HIGH, LOW, MEDIUM, MOST_ROUTES_FROM_SITE, PrivateVirtualInterface, TransitVirtualInterface, VirtualInterface
from testbed.model.vpc import Vpc
from testbed.model.vpn_gateway import VpnGateway

PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
PREFERENCE = {HIGH: 3, MEDIUM: 2, LOW: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A site's prefix as AWS knows it by one virtual interface."""

    destination: IPv4Network
    interface: str
    site: str
    mtu_bytes: int
    preference: int = PREFERENCE[MEDIUM]
    as_path_length: int = 1
    med: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A prefix as a site knows it by one virtual interface; `gateway` is a virtual private gateway or a transit gateway, `association` what is between, if anything."""

    destination: IPv4Network
    interface: str
    gateway: str
    association: str | None
    metric: int
    mtu_bytes: int


def rank(route: Announced) -> tuple[int, int, int, int, str]:
    """Sorts what holds one destination, the best first. Equals share the load on AWS; here the first by name stands for them."""
    return (-route.destination.prefixlen, -route.preference, route.as_path_length, route.med, route.interface)


class DirectConnectWays:
    """The virtual interfaces of a topology, and who has which prefix behind them."""

    def __init__(self, topology: Topology) -> None:
        self.associations = {each.id: each for each in topology.of(DirectConnectGatewayAssociation)}
        self.gateways = {gateway.id: gateway for gateway in topology.of(VpnGateway)}
        self._hubs = {gateway.id for gateway in topology.of(TransitGateway)}
        self._vpcs = {vpc.id: vpc for vpc in topology.of(Vpc)}
        self._sites = {site.id: site for site in topology.of(OnPremisesSite)}
        self._connections = topology.of(DirectConnectConnection)
        every: tuple[VirtualInterface, ...] = (*topology.of(PrivateVirtualInterface), *topology.of(TransitVirtualInterface))
        self._every = every
        self._interfaces = tuple(sorted((each for each in every if _is_up(each)), key=lambda each: each.id))

    def announced(self, gateway_id: str) -> Iterator[Announced]:
        """Everything that a virtual private gateway, or a transit gateway, learns of sites."""
        ends = {gateway_id} | {each.direct_connect_gateway_id for each in self.associations.values() if each.associated_gateway_id == gateway_id}
        for interface in self._interfaces:
            site = self._site_of(interface)
            if interface.gateway_id not in ends or site is None:
                continue
            device = interface.customer_device
            for prefix in (site.cidr_block,) if device.prefixes is None else device.prefixes:
                yield Announced(
                    destination=prefix, interface=interface.id, site=site.id, mtu_bytes=interface.mtu, preference=_preference(device.communities),
                    as_path_length=1 + device.as_path_prepend, med=device.med or 0,
                )  # fmt: skip

    def to_site(self, gateway_id: str, destination: IPv4Address) -> Announced | None:
        """The prefix of a site by which a gateway sends to an address."""
        return min((each for each in self.announced(gateway_id) if destination in each.destination), key=rank, default=None)

    def told(self, site_id: str) -> Iterator[Told]:
        """Everything that a site's router learns of gateways."""
        for interface in self._interfaces:
            site = self._site_of(interface)
            if site is not None and site.id == site_id:
                yield from self._told_by(interface)

    def from_site(self, site_id: str, destination: IPv4Address) -> Told | None:
        """The prefix by which a site's router sends to an address."""
        return min((each for each in self.told(site_id) if destination in each.destination), key=lambda each: (-each.destination.prefixlen, each.metric, each.interface), default=None)

    def keeps(self, site_id: str, destination: IPv4Address) -> bool:
        """Whether a site's router would rather lose a packet than send it by the internet: a private address, where there is a virtual interface, up or not."""
        has_one = any((site := self._site_of(each)) is not None and site.id == site_id for each in self._every)
        return has_one and any(destination in block for block in PRIVATE)

    def turned_round(self, interface_id: str, destination: IPv4Address) -> Told | None:
        """What of the other gateways behind a virtual interface's Direct Connect gateway takes a packet that was on its way to a site."""
        interface = next(each for each in self._interfaces if each.id == interface_id)
        return max((each for each in self._told_by(interface) if destination in each.destination), key=lambda each: each.destination.prefixlen, default=None)

    def mtus(self, association_id: str) -> tuple[int, ...]:
        """Those of the virtual interfaces behind an association."""
        association = self.associations.get(association_id)
        return tuple(each.mtu for each in self._every if association is not None and each.gateway_id == association.direct_connect_gateway_id)

    def _told_by(self, interface: VirtualInterface) -> Iterator[Told]:
        for gateway, association, prefixes in self._behind(interface):
            for prefix in prefixes:
                yield Told(
                    destination=prefix, interface=interface.id, gateway=gateway, association=association, metric=interface.customer_device.metric, mtu_bytes=interface.mtu
                )

    def _behind(self, interface: VirtualInterface) -> Iterator[tuple[str, str | None, Iterable[IPv4Network]]]:
        own = self.gateways.get(interface.gateway_id or "")
        if own is not None:
            yield own.id, None, self._vpcs[own.vpc_id].cidr_blocks
        for association in self.associations.values():
            if association.direct_connect_gateway_id != interface.gateway_id:
                continue
            if association.associated_gateway_id in self._hubs:
                yield association.associated_gateway_id, association.id, association.allowed_prefixes
            else:
                blocks = self._vpcs[self.gateways[association.associated_gateway_id].vpc_id].cidr_blocks
                filters = association.allowed_prefixes
                yield association.associated_gateway_id, association.id, [block for block in blocks if not filters or any(block.subnet_of(wider) for wider in filters)]

    def _site_of(self, interface: VirtualInterface) -> OnPremisesSite | None:
        ends = (connection.site_id for connection in self._connections if interface.connection_id in (connection.id, connection.lag_id))
        return self._sites.get(next(ends, ""))


def _is_up(interface: VirtualInterface) -> bool:
    device = interface.customer_device
    return (device.auth_key is None or device.auth_key == interface.auth_key) and len(device.prefixes or ()) <= MOST_ROUTES_FROM_SITE


def _preference(communities: Iterable[tuple[int, int]]) -> int:
    """That of the first of AWS's communities, from low to high, that the site has set (which one wins of several is assumed)."""
    return next((PREFERENCE[community] for community in (LOW, MEDIUM, HIGH) if community in communities), PREFERENCE[MEDIUM])
