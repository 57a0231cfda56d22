"""Faults of Direct Connect gateways across resources: what is behind one, on which side, and the numbers that BGP needs apart.

Source: Direct Connect user guide, "Direct Connect gateways", "Virtual private gateway associations", "Transit gateway associations", "Allowed prefixes interactions", "Direct Connect quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from testbed.model.direct_connect_gateway import (
    MOST_ALLOWED_PREFIXES_TRANSIT,
    MOST_TRANSIT_GATEWAYS,
    MOST_VIRTUAL_INTERFACES,
    MOST_VPN_GATEWAYS,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
)
from testbed.model.transit_gateway import TransitGateway
from testbed.model.values import Fault
from testbed.model.virtual_interface import PrivateVirtualInterface, TransitVirtualInterface
from testbed.model.vpc import Vpc
from testbed.model.vpn_gateway import VpnGateway
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References
from testbed.resolve.virtual_interfaces import all_virtual_interfaces

Behind = VpnGateway | TransitGateway


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Gateways of two kinds behind one, VPCs that overlap, ASNs that clash, prefixes that are missing or told twice, and quotas."""
    for gateway in references.topology.of(DirectConnectGateway):
        associations = [each for each in references.topology.of(DirectConnectGatewayAssociation) if each.direct_connect_gateway_id == gateway.id]
        behind = [(each, found) for each in associations if (found := _behind(each, references)) is not None]
        yield from _kind_faults(gateway, behind, references)
        yield from _overlap_faults(behind, references)
        yield from _prefix_faults(behind)
        yield from _count_faults(gateway, behind, references)
        for association, found in behind:
            if isinstance(found, TransitGateway) and found.amazon_side_asn == gateway.amazon_side_asn:
                problem = f"{gateway.id} and {found.id} both have the ASN {gateway.amazon_side_asn}"
                yield Fault(resource=association.id, problem=problem, remedy="a Direct Connect gateway and its transit gateways need different amazon_side_asn")
    for association in references.topology.of(DirectConnectGatewayAssociation):
        if _behind(association, references) is None:
            problem = f"associated_gateway_id {association.associated_gateway_id!r} is no virtual private gateway or transit gateway"
            yield Fault(resource=association.id, problem=problem, remedy="name one of this topology, or add it")
    for interface in all_virtual_interfaces(references.topology):
        end = references.get(DirectConnectGateway, interface.gateway_id) or references.get(VpnGateway, interface.gateway_id)
        if end is not None and end.amazon_side_asn == interface.asn:
            yield Fault(resource=interface.id, problem=f"asn {interface.asn} is {end.id}'s own amazon_side_asn", remedy="the session is eBGP: use different ASNs at its ends")


def _behind(association: DirectConnectGatewayAssociation, references: References) -> Behind | None:
    return references.get(VpnGateway, association.associated_gateway_id) or references.get(TransitGateway, association.associated_gateway_id)


def _kind_faults(gateway: DirectConnectGateway, behind: list[tuple[DirectConnectGatewayAssociation, Behind]], references: References) -> Iterator[Fault]:
    of_vpcs = sorted(found.id for _, found in behind if isinstance(found, VpnGateway))
    of_hubs = sorted(found.id for _, found in behind if isinstance(found, TransitGateway))
    if of_vpcs and of_hubs:
        problem = f"virtual private gateways ({', '.join(of_vpcs)}) and transit gateways ({', '.join(of_hubs)}) behind one Direct Connect gateway"
        yield Fault(resource=gateway.id, problem=problem, remedy="make a Direct Connect gateway for each kind")
    for interface in references.topology.of(PrivateVirtualInterface):
        if interface.direct_connect_gateway_id == gateway.id and of_hubs:
            yield Fault(resource=interface.id, problem=f"a private virtual interface, and {gateway.id} leads to transit gateways", remedy="use a transit virtual interface")
    for transit in references.topology.of(TransitVirtualInterface):
        if transit.direct_connect_gateway_id == gateway.id and of_vpcs:
            yield Fault(resource=transit.id, problem=f"a transit virtual interface, and {gateway.id} leads to virtual private gateways", remedy="use a private virtual interface")


def _overlap_faults(behind: list[tuple[DirectConnectGatewayAssociation, Behind]], references: References) -> Iterator[Fault]:
    vpcs = [(association, vpc) for association, found in behind if isinstance(found, VpnGateway) and (vpc := references.get(Vpc, found.vpc_id)) is not None]
    for (_, one), (association, other) in combinations(vpcs, 2):
        for mine in one.cidr_blocks:
            for yours in other.cidr_blocks:
                if mine.overlaps(yours):
                    problem = f"{other.id} has {yours} and {one.id} has {mine} behind the same Direct Connect gateway"
                    yield Fault(resource=association.id, problem=problem, remedy="VPCs behind one Direct Connect gateway must not overlap: renumber one, or use two Direct Connect gateways")


def _prefix_faults(behind: list[tuple[DirectConnectGatewayAssociation, Behind]]) -> Iterator[Fault]:
    told: dict[object, str] = {}
    for association, found in behind:
        if not isinstance(found, TransitGateway):
            continue
        if not association.allowed_prefixes:
            yield Fault(resource=association.id, problem=f"no allowed_prefixes: sites would be told nothing of {found.id}", remedy="list what is to be announced: of a transit gateway it is told word for word")
        if len(association.allowed_prefixes) > MOST_ALLOWED_PREFIXES_TRANSIT:
            yield Fault(resource=association.id, problem=f"{len(association.allowed_prefixes)} allowed_prefixes, over the limit of {MOST_ALLOWED_PREFIXES_TRANSIT}", remedy="announce wider blocks")
        for prefix in association.allowed_prefixes:
            known = told.setdefault(prefix, association.id)
            if known != association.id:
                yield Fault(resource=association.id, problem=f"{prefix} is allowed for {known} too", remedy="a prefix leads to one transit gateway of a Direct Connect gateway")


def _count_faults(gateway: DirectConnectGateway, behind: list[tuple[DirectConnectGatewayAssociation, Behind]], references: References) -> Iterator[Fault]:
    counts = (
        (sum(interface.gateway_id == gateway.id for interface in all_virtual_interfaces(references.topology)), MOST_VIRTUAL_INTERFACES, "virtual interfaces"),
        (sum(isinstance(found, VpnGateway) for _, found in behind), MOST_VPN_GATEWAYS, "virtual private gateways"),
        (sum(isinstance(found, TransitGateway) for _, found in behind), MOST_TRANSIT_GATEWAYS, "transit gateways"),
    )
    for count, most, noun in counts:
        if count > most:
            yield Fault(resource=gateway.id, problem=f"{count} {noun}, over the limit of {most}", remedy="make another Direct Connect gateway")
