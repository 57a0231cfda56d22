"""The part of a packet's walk that leaves VPCs and comes back: transit gateways, virtual private gateways, tunnels, fibres, and the sites at their other end.

`PacketWalk` has everything else, and is what this class is a part of: the steps that are declared here without a body are its.
Sources: see `transit_gateway`, `vpn_connection`, `direct_connect` and `on_premises_site`, which decide; here is only the order in which they are asked.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from testbed.model.network_acl import Direction
from testbed.model.on_premises_site import RPF_STRICT
from testbed.model.values import Packet
from testbed.oracle.direct_connect import Announced, Told
from testbed.oracle.memory import Memory
from testbed.oracle.on_premises_site import SitePlace
from testbed.oracle.path_mtu import TRANSIT_GATEWAY_MTU_BYTES, Size
from testbed.oracle.places import InterfacePlace, Place, Places
from testbed.oracle.transit_gateway import Crossing
from testbed.oracle.vpn_connection import Way
from testbed.oracle.walk import Hop, Stage, reply_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where a packet ended, as its receiver sees it. `at_once`: nothing lies between, so nothing judges the answer either
    (a service of the fabric, or oneself)."""

    place: Place
    packet: Packet
    at_once: bool = False


class HybridWalk:
    """Steps of a packet's walk outside VPCs."""

    _places: Places
    _size: Size
    _memory: Memory
    _hops: list[Hop]
    _left: InterfacePlace | None
    _entered: tuple[str, str] | None

    @abstractmethod
    def _hop(self, where: str, stage: Stage, origin: str, packet: Packet, translated: Packet | None = None) -> None: ...

    @abstractmethod
    def _drop(self, where: str, stage: Stage, packet: Packet, origin: str) -> Arrival | None: ...

    @abstractmethod
    def _passes_acl(self, place: InterfacePlace, packet: Packet, direction: Direction) -> bool: ...

    @abstractmethod
    def _leave_interface(self, place: InterfacePlace, packet: Packet) -> Arrival | None: ...

    @abstractmethod
    def _to_address(self, packet: Packet, vpc_id: str, came_from: str | None) -> Arrival | None: ...

    @abstractmethod
    def _in_guest(self, place: InterfacePlace, packet: Packet) -> Arrival | None: ...

    @abstractmethod
    def _internet(self, packet: Packet) -> Arrival | None: ...

    def _over_transit_gateway(self, gateway_id: str, packet: Packet, sender: InterfacePlace) -> Arrival | None:
        """In by the attachment's subnet of the sender's zone, and out by one of another VPC, from where its own table leads on."""
        hubs, end = self._places.transit_gateways, self._places.transit_gateway_end(gateway_id, sender)
        if end is None:
            attachment = hubs.attachment_of(gateway_id, sender.vpc.id)
            origin = f"{gateway_id}: {'no attachment' if attachment is None else attachment.id} has no subnet in {sender.subnet.availability_zone}"
            return self._drop(gateway_id, Stage.TRANSIT_GATEWAY, packet, origin)
        if not self._passes_acl(end, packet, Direction.INBOUND):
            return None
        if not self._size.fits(TRANSIT_GATEWAY_MTU_BYTES):
            return self._drop(gateway_id, Stage.TRANSIT_GATEWAY, packet, f"{gateway_id}: larger than {TRANSIT_GATEWAY_MTU_BYTES} bytes, and not to be cut")
        crossing = hubs.cross(gateway_id, end.id, sender.subnet.availability_zone, packet)
        return self._crossed(gateway_id, crossing, packet, sender)

    def _crossed(self, gateway_id: str, crossing: Crossing, packet: Packet, sender: InterfacePlace | None = None) -> Arrival | None:
        """What has come out of a transit gateway, or out of the last of several: into a VPC, or over Direct Connect to a site."""
        self._hops.extend(crossing.hops)
        if crossing.association is not None:
            hub, fibre = crossing.hops[-1].where, self._places.direct_connect.to_site(crossing.hops[-1].where, packet.destination)
            return self._drop(hub, Stage.TRANSIT_GATEWAY, packet, f"{hub}: no site has {packet.destination}") if fibre is None else self._over_fibre(hub, Stage.TRANSIT_GATEWAY, fibre, packet)
        if crossing.connection is not None:
            return self._into_tunnel(crossing.hops[-1].where, Stage.TRANSIT_GATEWAY, self._places.vpn.over(crossing.connection, packet.destination), packet)
        if crossing.connect is not None:
            return self._into_gre(crossing.hops[-1].where, crossing.connect, packet)
        if crossing.attachment is None or crossing.subnet is None:
            return None
        self._entered = None if sender is None else (gateway_id, sender.vpc.id) if crossing.attachment.transit_gateway_id == gateway_id else None
        return self._leave_interface(self._places.transit_gateway_ends[crossing.attachment.id, crossing.subnet.id], packet)

    def _into_gre(self, hub: str, connect: str, packet: Packet) -> Arrival | None:
        """Over a Connect peer to an appliance, which is handed the packet past its interface's groups: those have judged what is outside."""
        branch = self._places.transit_gateways.connects.to_branch(connect, packet.destination)
        if branch is None:
            return self._drop(hub, Stage.TRANSIT_GATEWAY, packet, f"{connect}: no peer that is up announces {packet.destination}")
        if not self._size.fits(branch.mtu_bytes):
            return self._drop(hub, Stage.TRANSIT_GATEWAY, packet, f"{branch.peer}: larger than {branch.mtu_bytes} bytes, and not to be cut")
        self._hop(hub, Stage.TRANSIT_GATEWAY, f"{branch.peer} to {branch.destination}", packet)
        self._left = None
        if branch.site is not None:
            return self._arrival_at_site(branch.site, packet)
        return self._in_guest(self._places.by_node[branch.instance or ""][0], packet)

    def _out_of_gre(self, node: str, packet: Packet, own: IPv4Network | None) -> tuple[bool, Arrival | None]:
        """Whether an appliance (an instance, or a site's router by the site's id) sends a packet into a tunnel, and where that arrives; `own` is the prefix of its own that holds the destination."""
        hubs = self._places.transit_gateways
        way = hubs.connects.from_appliance(node, packet.destination, hubs.told_in_tunnels) if hubs.connects.attachments else None
        if way is None or (own is not None and own.prefixlen >= way[2].prefixlen):
            return False, None
        peer, connect, block, mtu_bytes = way
        if not self._size.fits(mtu_bytes):
            return True, self._drop(node, Stage.HOST, packet, f"{peer}: larger than {mtu_bytes} bytes, and not to be cut")
        self._hop(node, Stage.HOST, f"{peer} to {block}", packet)
        hub = hubs.connects.gateway_of(connect) or ""
        return True, self._crossed(hub, hubs.cross(hub, connect, None, packet), packet)

    def _to_vpn_gateway(self, gateway_id: str, packet: Packet) -> Arrival | None:
        """Into the one tunnel that the gateway uses for the destination, unless the packet is too large for it: then it vanishes. At the site, past the router's filter."""
        way = self._places.vpn.to_site(gateway_id, packet.destination)
        fibre = self._places.direct_connect.to_site(gateway_id, packet.destination)
        self._left = None
        if fibre is not None and (isinstance(way, str) or fibre.destination.prefixlen >= way.destination.prefixlen):
            return self._over_fibre(gateway_id, Stage.VPN_GATEWAY, fibre, packet)
        return self._into_tunnel(gateway_id, Stage.VPN_GATEWAY, way, packet)

    def _into_tunnel(self, gateway_id: str, stage: Stage, way: Way | str, packet: Packet) -> Arrival | None:
        if isinstance(way, str):
            return self._drop(gateway_id, stage, packet, way)
        if not self._size.fits(way.mtu_bytes):
            return self._drop(gateway_id, stage, packet, f"{way.name}: larger than {way.mtu_bytes} bytes, and not to be cut")
        self._hop(gateway_id, stage, f"{way.name} to {way.destination}", packet)
        return self._into_site(way, packet)

    def _over_fibre(self, gateway_id: str, stage: Stage, fibre: Announced, packet: Packet) -> Arrival | None:
        """By Direct Connect to a site, or, turned round at a Direct Connect gateway, to another VPC behind it."""
        turned = self._places.direct_connect.turned_round(fibre.interface, packet.destination)
        if turned is not None:
            self._hop(gateway_id, stage, f"{fibre.interface} {fibre.destination}, turned round towards {turned.gateway}", packet)
            return self._from_fibre(turned, packet)
        if not self._size.fits(fibre.mtu_bytes):
            return self._drop(gateway_id, stage, packet, f"{fibre.interface}: larger than {fibre.mtu_bytes} bytes, and not to be cut")
        self._hop(gateway_id, stage, f"{fibre.interface} to {fibre.destination}", packet)
        return self._arrival_at_site(fibre.site, packet)

    def _from_fibre(self, told: Told, packet: Packet) -> Arrival | None:
        """Out of Direct Connect into a virtual private gateway's VPC, or into a transit gateway."""
        gateway = self._places.direct_connect.gateways.get(told.gateway)
        if gateway is not None:
            self._hop(gateway.id, Stage.VPN_GATEWAY, gateway.id, packet)
            return self._to_address(packet, gateway.vpc_id, came_from=None)
        return self._crossed(told.gateway, self._places.transit_gateways.cross(told.gateway, told.association or "", None, packet), packet)

    def _into_site(self, way: Way, packet: Packet) -> Arrival | None:
        site = self._places.sites.written[way.site or ""]
        back = self._places.vpn.from_site(site.id, packet.source)
        if site.reverse_path_filter == RPF_STRICT and (not isinstance(back, Way) or back.name != way.name):
            return self._drop(site.router, Stage.CUSTOMER_GATEWAY, packet, f"{site.router}: strict reverse path filter, {packet.source} is not behind {way.name}")
        return self._arrival_at_site(site.id, packet)

    def _arrival_at_site(self, site_id: str, packet: Packet) -> Arrival | None:
        router, host = self._places.sites.written[site_id].router, self._places.sites.host(site_id, packet.destination)
        if host is None:
            return self._drop(router, Stage.CUSTOMER_GATEWAY, packet, f"{router}: nobody on the LAN has {packet.destination}")
        self._hop(router, Stage.CUSTOMER_GATEWAY, router, packet)
        return Arrival(place=host, packet=packet)

    def _from_site(self, sender: SitePlace, packet: Packet) -> Arrival | None:
        """The LAN, a tunnel, or the internet behind the router's address."""
        site = sender.site
        if packet.destination == sender.address:
            self._hop(sender.node, Stage.HOST, f"{sender.node} itself", packet)
            return Arrival(place=sender, packet=packet, at_once=True)
        if packet.destination in site.cidr_block:
            return self._arrival_at_site(site.id, packet)
        tunnelled, arrival = self._out_of_gre(site.id, packet, None)
        if tunnelled:
            return arrival
        way = self._places.vpn.from_site(site.id, packet.destination)
        told = self._places.direct_connect.from_site(site.id, packet.destination)
        if told is not None and (not isinstance(way, Way) or (-told.destination.prefixlen, told.metric) < (-way.destination.prefixlen, way.connection.customer_device[way.number - 1].metric)):
            if not self._size.fits(told.mtu_bytes):
                return self._drop(site.router, Stage.CUSTOMER_GATEWAY, packet, f"{told.interface}: larger than {told.mtu_bytes} bytes, and not to be cut")
            self._hop(site.router, Stage.CUSTOMER_GATEWAY, f"{told.interface} to {told.destination}", packet)
            return self._from_fibre(told, packet)
        if way is None and self._places.direct_connect.keeps(site.id, packet.destination):
            return self._drop(site.router, Stage.CUSTOMER_GATEWAY, packet, f"{site.router}: private addresses do not leave by the internet")
        if isinstance(way, str):
            return self._drop(site.router, Stage.CUSTOMER_GATEWAY, packet, way)
        if way is None:
            outside = replace(packet, source=sender.public_address)
            self._memory.translated[site.router, reply_to(outside)] = reply_to(packet)
            self._hop(site.router, Stage.CUSTOMER_GATEWAY, site.router, packet, outside)
            return self._internet(outside)
        if not self._size.fits(way.mtu_bytes):
            return self._drop(site.router, Stage.CUSTOMER_GATEWAY, packet, f"{way.name}: larger than {way.mtu_bytes} bytes, and not to be cut")
        self._hop(site.router, Stage.CUSTOMER_GATEWAY, f"{way.name} to {way.destination}", packet)
        hub = way.connection.transit_gateway_id
        if hub is not None:
            return self._crossed(hub, self._places.transit_gateways.cross(hub, way.connection.id, None, packet), packet)
        gateway = self._places.vpn.gateways[way.connection.vpn_gateway_id or ""]
        self._hop(gateway.id, Stage.VPN_GATEWAY, gateway.id, packet)
        if not self._places.vpn.is_in_vpc(gateway, packet.destination):
            return self._to_vpn_gateway(gateway.id, packet)
        return self._to_address(packet, gateway.vpc_id, came_from=None)

    def _site_of(self, router: str) -> str:
        return next(site.id for site in self._places.sites.written.values() if site.router == router)
