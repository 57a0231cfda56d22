"""Faults of Direct Connect across resources: virtual interfaces on what carries them, LAGs, and gateways with what is behind them.

Source: Direct Connect user guide, "Direct Connect quotas", "Virtual interfaces and hosted virtual interfaces", "Link aggregation groups", "Direct Connect gateways", "Transit gateway
associations", "Allowed prefixes interactions" (documented). Whether numbers of BGP or MTUs fit a site's own device is the person's to know: here both ends are ours, so it is said at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from testbed.model.direct_connect_connection import (
    DEDICATED_MBIT,
    LARGE_PORT_MBIT,
    MOST_LARGE_PORTS,
    MOST_ON_HOSTED,
    MOST_PORTS,
    MOST_PRIVATE_AND_PUBLIC,
    MOST_TRANSIT,
    MOST_VIRTUAL_INTERFACES,
    DirectConnectConnection,
    DirectConnectLag,
)
from testbed.model.public_virtual_interface import PublicVirtualInterface
from testbed.model.topology import Topology
from testbed.model.values import Fault
from testbed.model.virtual_interface import PrivateVirtualInterface, TransitVirtualInterface, VirtualInterface
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References
from testbed.resolve.virtual_interfaces import all_virtual_interfaces, connections_of, end_of, location_node, members


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """VLANs and addresses that meet, more than a connection carries, members of a LAG that differ, names of AWS's routers that meet others."""
    topology = references.topology
    carried: dict[str, list[VirtualInterface]] = {}
    for interface in all_virtual_interfaces(topology):
        carried.setdefault(interface.connection_id, []).append(interface)
        yield from _reference_faults(interface, references)
        yield from _name_faults(interface, references)
    for carrier, interfaces in sorted(carried.items()):
        yield from _vlan_faults(carrier, interfaces)
        yield from _quota_faults(carrier, interfaces, references)
    yield from _address_faults(topology, references)
    for lag in topology.of(DirectConnectLag):
        yield from _lag_faults(lag, members(lag.id, topology))
    for connection in topology.of(DirectConnectConnection):
        if connection.lag_id is not None and connection.id in carried:
            yield Fault(resource=connection.id, problem=f"it is in {connection.lag_id}, and carries {carried[connection.id][0].id} by itself", remedy=f"put the virtual interface on {connection.lag_id}")


def _reference_faults(interface: VirtualInterface, references: References) -> Iterator[Fault]:
    if references.get(DirectConnectConnection, interface.connection_id) is None and references.get(DirectConnectLag, interface.connection_id) is None:
        yield Fault(resource=interface.id, problem=f"connection_id {interface.connection_id!r} is no Direct Connect connection or LAG", remedy="name one of this topology, or add it")


def _name_faults(interface: VirtualInterface, references: References) -> Iterator[Fault]:
    for connection in connections_of(interface, references):
        if (end := end_of(interface)) is not None and references.named(node := location_node(end, connection.location)) is not None:
            yield Fault(resource=node, problem=f"the id is the name of {end}'s router in {connection.location}", remedy="choose another id")


def _vlan_faults(carrier: str, interfaces: Iterable[VirtualInterface]) -> Iterator[Fault]:
    first: dict[int, str] = {}
    for interface in interfaces:
        known = first.setdefault(interface.vlan, interface.id)
        if known != interface.id:
            yield Fault(resource=interface.id, problem=f"VLAN {interface.vlan} on {carrier} belongs to {known}", remedy="give each virtual interface of a connection a VLAN of its own")


def _quota_faults(carrier: str, interfaces: list[VirtualInterface], references: References) -> Iterator[Fault]:
    connection = references.get(DirectConnectConnection, carrier)
    if connection is not None and connection.hosted:
        if len(interfaces) > MOST_ON_HOSTED:
            problem = f"a hosted connection carries {MOST_ON_HOSTED} virtual interface, and {' and '.join(each.id for each in interfaces)} are on it"
            yield Fault(resource=carrier, problem=problem, remedy="order a connection for each, or a dedicated one")
        return
    if len(interfaces) > MOST_VIRTUAL_INTERFACES:
        yield Fault(resource=carrier, problem=f"{len(interfaces)} virtual interfaces, over the limit of {MOST_VIRTUAL_INTERFACES}", remedy="order another connection")
    for kinds, words, most in (((PrivateVirtualInterface, PublicVirtualInterface), "private and public", MOST_PRIVATE_AND_PUBLIC), ((TransitVirtualInterface,), "transit", MOST_TRANSIT)):
        count = sum(isinstance(each, kinds) for each in interfaces)
        if count > most:
            yield Fault(resource=carrier, problem=f"{count} {words} virtual interfaces, over the limit of {most}", remedy="order another connection")


def _address_faults(topology: Topology, references: References) -> Iterator[Fault]:
    """Two links of one router cannot have one network."""
    written = [(each, site) for each in all_virtual_interfaces(topology) if each.amazon_address is not None for site in {c.site_id for c in connections_of(each, references)}]
    for (one, one_site), (other, other_site) in combinations(written, 2):
        assert one.amazon_address is not None and other.amazon_address is not None
        if (one_site == other_site or end_of(one) == end_of(other)) and one.amazon_address.network.overlaps(other.amazon_address.network):
            problem = f"{other.amazon_address.network} overlaps {one.amazon_address.network} of {one.id} at the same router"
            yield Fault(resource=other.id, problem=problem, remedy="choose another /30, or leave both addresses out")


def _lag_faults(lag: DirectConnectLag, connections: tuple[DirectConnectConnection, ...]) -> Iterator[Fault]:
    if not connections:
        yield Fault(resource=lag.id, problem="no connection is in the LAG", remedy=f"set lag_id={lag.id!r} on its connections")
        return
    for field in ("site_id", "location", "region", "bandwidth"):
        values = sorted({str(getattr(connection, field)) for connection in connections})
        if len(values) > 1:
            yield Fault(resource=lag.id, problem=f"its connections differ in {field}: {', '.join(values)}", remedy="a LAG's connections go from one site to one location with one bandwidth")
    most = MOST_LARGE_PORTS if DEDICATED_MBIT.get(connections[0].bandwidth, 0) >= LARGE_PORT_MBIT else MOST_PORTS
    if len(connections) > most:
        yield Fault(resource=lag.id, problem=f"{len(connections)} connections of {connections[0].bandwidth}, over the limit of {most}", remedy="make a second LAG")
    if lag.minimum_links > len(connections):
        yield Fault(resource=lag.id, problem=f"minimum_links {lag.minimum_links}, and {len(connections)} connections: it would never be up", remedy="lower minimum_links, or add connections")
