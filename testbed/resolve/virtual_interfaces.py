"""Virtual interfaces as sessions: one for each fibre that carries one, with its addresses, key and ends chosen.

A virtual interface on a LAG has a session on each of the LAG's connections. Addresses that are left out come from 169.254.192.0/18 by the session's name alone (decision 0006):
one that joins renumbers nobody, but for a clash of hashes. A key that is left out is made of the name, so that both ends know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network

from testbed.model.direct_connect_connection import DirectConnectConnection, DirectConnectLag
from testbed.model.direct_connect_gateway import DirectConnectGateway
from testbed.model.public_virtual_interface import PublicVirtualInterface
from testbed.model.topology import Topology
from testbed.model.virtual_interface import AMAZON, PrivateVirtualInterface, TransitVirtualInterface, VirtualInterface
from testbed.model.vpn_gateway import VpnGateway
from testbed.resolve.interfaces import hashed
from testbed.resolve.references import References
from testbed.resolve.resolved_virtual_interface import ResolvedVirtualInterface
from testbed.resolve.world import slug

CHOSEN = IPv4Network("169.254.192.0/18")
LINK_PREFIX = 30
LINKS = CHOSEN.num_addresses >> (32 - LINK_PREFIX)
KEY_BYTES = 12


def virtual_interfaces(references: References) -> tuple[ResolvedVirtualInterface, ...]:
    """Every session of every virtual interface, by name."""
    wanted = sorted(((session_name(each, connection, references), each, connection) for each, connection in _carried(references)), key=lambda found: found[0])
    taken = {each.amazon_address.network for _, each, connection in wanted if each.amazon_address is not None}
    found = []
    for name, each, connection in wanted:
        written = each.amazon_address is not None and connection.id == connections_of(each, references)[0].id
        block = None if written else _free(name, taken)
        amazon = each.amazon_address if block is None else IPv4Interface((block[1], LINK_PREFIX))
        customer = each.customer_address if block is None else IPv4Interface((block[2], LINK_PREFIX))
        gateway = end_of(each)
        assert amazon is not None and customer is not None and gateway is not None
        found.append(
            ResolvedVirtualInterface(
                id=each.id, session=name, connection=connection.id, site=connection.site_id, location=connection.location, region=connection.region,
                gateway=gateway, gateway_asn=_gateway_asn(each, references), node=location_node(gateway, connection.location), interface=each,
                amazon_address=amazon, customer_address=customer, auth_key=each.auth_key if each.auth_key is not None else _key(each.id),
            )
        )
    return tuple(found)


def all_virtual_interfaces(topology: Topology) -> tuple[VirtualInterface, ...]:
    """Of all kinds, by id."""
    return tuple(sorted((*topology.of(PrivateVirtualInterface), *topology.of(PublicVirtualInterface), *topology.of(TransitVirtualInterface)), key=lambda each: each.id))


def end_of(interface: VirtualInterface) -> str | None:
    """What AWS's routers at locations serve: a gateway, or a public virtual interface alone."""
    return interface.id if isinstance(interface, PublicVirtualInterface) else interface.gateway_id


def connections_of(interface: VirtualInterface, references: References) -> tuple[DirectConnectConnection, ...]:
    """The fibres that carry a virtual interface: its connection, or its LAG's, by id."""
    connection = references.get(DirectConnectConnection, interface.connection_id)
    if connection is not None:
        return (connection,)
    return members(interface.connection_id, references.topology)


def members(lag_id: str, topology: Topology) -> tuple[DirectConnectConnection, ...]:
    """The connections of a LAG, by id."""
    return tuple(connection for connection in topology.of(DirectConnectConnection) if connection.lag_id == lag_id)


def location_node(gateway_id: str, location: str) -> str:
    """The node of AWS's router at a location, as far as it serves one gateway."""
    return f"{gateway_id}-{slug(location)}"


def session_name(interface: VirtualInterface, connection: DirectConnectConnection, references: References) -> str:
    """A session as people call it: the virtual interface's id, on a LAG with its connection's."""
    return f"{interface.id}-{connection.id}" if references.get(DirectConnectLag, interface.connection_id) is not None else interface.id


def _carried(references: References) -> Iterator[tuple[VirtualInterface, DirectConnectConnection]]:
    for each in all_virtual_interfaces(references.topology):
        yield from ((each, connection) for connection in connections_of(each, references))


def _gateway_asn(interface: VirtualInterface, references: References) -> int:
    if isinstance(interface, PublicVirtualInterface):
        return AMAZON
    gateway = references.get(DirectConnectGateway, interface.gateway_id) or references.get(VpnGateway, interface.gateway_id)
    assert gateway is not None
    return gateway.amazon_side_asn


def _free(name: str, taken: set[IPv4Network]) -> IPv4Network:
    blocks = (IPv4Network((CHOSEN.network_address + 4 * ((hashed(name) + step) % LINKS), LINK_PREFIX)) for step in range(LINKS))
    block = next(block for block in blocks if block not in taken)
    taken.add(block)
    return block


def _key(name: str) -> str:
    return f"0x{hashlib.blake2s(name.encode(), digest_size=KEY_BYTES, person=b'bgp').hexdigest()}"
