"""A Direct Connect connection becomes a fibre: a link with the delay of its length, from the site's router to AWS's port at the location.

Virtual interfaces are VLANs on it (`virtual_interface`), so a capture at either end sees their tags, and, since nothing is encrypted, what they carry.
What exceeds a hosted connection's capacity is dropped; a tenth of a second's worth waits first (assumed). Length: the great circle (assumed; real fibres are longer).
Source: Direct Connect user guide, "Dedicated and hosted connections", "MAC Security in Direct Connect" (documented).
"""

from __future__ import annotations

from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import forwarding_sysctls
from testbed.model.direct_connect_connection import DirectConnectConnection
from testbed.model.geography import CITIES, round_trip_ms
from testbed.model.on_premises_site import OnPremisesSite
from testbed.plan import Interface, Link, Node, NodeKind, Wire
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved

FIBRE_MTU_BYTES = 9001
PORT_DEVICE = "fibre"


def lower(connection: DirectConnectConnection, resolved: Resolved) -> Fragment:
    """The port and the fibre."""
    port = Node(name=connection.id, kind=NodeKind.DIRECT_CONNECT, label=f"{connection.id} ({connection.location}, {connection.bandwidth})", origin=connection.id, city=connection.location)
    return Fragment(nodes=(NodePart(name=connection.id, identity=port, sysctls=forwarding_sysctls()),), links=(fibre(connection.id, resolved),))


def fibre(connection_id: str, resolved: Resolved) -> Link:
    """The link of a connection."""
    connection = next(each for each in resolved.topology.of(DirectConnectConnection) if each.id == connection_id)
    site = next(each for each in resolved.topology.of(OnPremisesSite) if each.id == connection.site_id)
    delay_ms = round(round_trip_ms(CITIES[site.city], CITIES[connection.location]) / 2, 3)
    ends = (_end(site.router, interface_name("", connection.id), connection.id), _end(connection.id, PORT_DEVICE, connection.id))
    return ordered(Link(a=ends[0], b=ends[1], wire=Wire(delay_ms=delay_ms, rate_mbit=connection.policed_mbit), origin=connection.id))


def _end(node: str, name: str, origin: str) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), mtu_bytes=FIBRE_MTU_BYTES, origin=origin)
