"""Where Global Accelerator sends a new flow, and whose address the endpoint sees. From the raw resources alone.

    static address ─▶ the edge location nearest to the sender ─▶ listener for protocol and port ─▶ the nearest endpoint group whose dial is open and that has an endpoint of weight above 0
    client's address kept    instances always; an application balancer by default, an internal one always; a network balancer that has security groups, by default
                     hidden  Elastic IP addresses always; others that cannot have it, or are told not to: then the endpoint's public address is used

Source: Global Accelerator developer guide, "How AWS Global Accelerator works", "Endpoint groups for standard accelerators", "Adjusting traffic flow with traffic dials", "Endpoint weights", "Requirements for
endpoints with client IP preservation" (documented).
Where several endpoints could be chosen the one most likely, then the first by name, stands for all, and of a balancer's zones the first; all are taken to be healthy, which is also what failing open
comes to. A dial of less than 100 is taken to be open. Assumed: where no group's dial is open nothing is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.accelerator import AcceleratorListener
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointConfiguration, EndpointGroup
from testbed.model.geography import CITIES, EDGE_LOCATIONS, REGIONS, City, round_trip_ms
from testbed.model.instance import Instance
from testbed.model.internet import Internet
from testbed.model.load_balancer import APPLICATION, LoadBalancer
from testbed.model.values import Packet, Protocol
from testbed.resolve.references import References
from testbed.resolve.resolved import Resolved, ResolvedInterface

LISTENS_FOR = {"TCP": Protocol.TCP, "UDP": Protocol.UDP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerated:
    """Where a flow goes: the listener and the group; the endpoint's interface and its private address, or its public one if it does not see the client: then the flow comes from `source`."""

    listener: str
    group: str
    interface: str
    address: IPv4Address
    source: IPv4Address | None = None
    source_node: str = ""


class Accelerators:
    """The accelerators of a topology, by their static addresses."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._references = References(resolved.topology)
        self.by_address = {address: accelerator.id for accelerator in resolved.accelerators if accelerator.enabled for address in accelerator.addresses}
        self.by_own_address = {exit.address: exit.node for exit in resolved.accelerator_exits if exit.address is not None}
        """Nodes from which accelerated flows come that hide the client."""
        self._edges = sorted({code for internet in resolved.topology.of(Internet) for code in internet.edge_locations})

    def onward(self, packet: Packet) -> Accelerated | str:
        """Where the first packet of a flow to a static address goes; or why nowhere."""
        accelerator = self.by_address[packet.destination]
        listener = next((each for each in self._resolved.topology.of(AcceleratorListener) if each.accelerator_arn == accelerator and self._hears(each, packet)), None)
        if listener is None:
            return f"{accelerator}: no listener"
        here = self._nearest_edge(packet.source)
        groups = sorted(
            (group for group in self._resolved.topology.of(EndpointGroup) if group.listener_arn == listener.id and group.traffic_dial_percentage),
            key=lambda group: (round_trip_ms(here, CITIES[REGIONS[group.endpoint_group_region]]), group.endpoint_group_region),
        )
        for group in groups:
            for endpoint in sorted(group.endpoint_configurations, key=lambda each: (-each.weight, each.endpoint_id)):
                found = self._way(listener, group, endpoint) if endpoint.weight else None
                if found is not None:
                    return found
        return f"{listener.id}: no endpoint"

    def _hears(self, listener: AcceleratorListener, packet: Packet) -> bool:
        port = packet.destination_port
        return packet.protocol is LISTENS_FOR[listener.protocol] and port is not None and any(port in ports for ports in listener.port_ranges)

    def _nearest_edge(self, source: IPv4Address) -> City:
        there = self._city_of(source)
        return min((CITIES[EDGE_LOCATIONS[code]] for code in self._edges), key=lambda city: (round_trip_ms(there, city), city.name))

    def _city_of(self, source: IPv4Address) -> City:
        """The city of a sender on the internet: its own, or its Region's."""
        for city in self._resolved.cities:
            if source in city.network:
                return city.city
        return next((CITIES[region.city] for region in self._resolved.regions if source in region.public_pool), self._resolved.cities[0].city)

    def _way(self, listener: AcceleratorListener, group: EndpointGroup, endpoint: EndpointConfiguration) -> Accelerated | None:
        target = self._references.named(endpoint.endpoint_id)
        if isinstance(target, ElasticIp):
            found = next(((interface, each.public_address) for interface in self._resolved.interfaces for each in interface.mapped if each.public_origin == target.id), None)
            return None if found is None or found[1] is None else self._hidden(listener, group, found[0], found[1])
        interface = next((each for each in self._resolved.interfaces if each.owner == endpoint.endpoint_id and each.device == "eth0"), None)
        if interface is None:
            return None
        if _sees_client(target, endpoint):
            return Accelerated(listener=listener.id, group=group.id, interface=interface.id, address=interface.address)
        return None if interface.public_address is None else self._hidden(listener, group, interface, interface.public_address)

    def _hidden(self, listener: AcceleratorListener, group: EndpointGroup, interface: ResolvedInterface, address: IPv4Address) -> Accelerated:
        own = next(exit for exit in self._resolved.accelerator_exits if exit.region == group.endpoint_group_region and exit.address is not None)
        return Accelerated(listener=listener.id, group=group.id, interface=interface.id, address=address, source=own.address, source_node=own.node)


def _sees_client(target: object, endpoint: EndpointConfiguration) -> bool:
    if isinstance(target, Instance):
        return True
    if not isinstance(target, LoadBalancer):
        return False
    if target.type == APPLICATION:
        return target.scheme == "internal" or endpoint.client_ip_preservation_enabled is not False
    return bool(target.security_groups) and endpoint.client_ip_preservation_enabled is not False
