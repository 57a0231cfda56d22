"""Host names that AWS gives to instances: public ones, which lead to private addresses inside the VPC and over a peering that allows it.

    ec2-198-51-100-10.eu-west-1.compute.amazonaws.com   public DNS: the public address
                                                        the VPC's own resolver: the private one
                                                        a peer's resolver: the private one if this side allows DNS resolution, else the public one
    ip-10-0-1-10.eu-west-1.compute.internal             the VPC's own resolver only

Sources: VPC user guide, "DNS attributes for your VPC" (public names need enable_dns_hostnames); VPC peering guide, "Modify VPC peering connection options" (documented).
NOT MODELLED: resource-based names; private names over a peering; names of the public addresses of gateways and balancers.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from services.dns.config import LocalZone, Record
from testbed.compile import fabric
from testbed.compile.vpc_peering_connection import peerings_of
from testbed.resolve.names import private_host_name, public_host_name
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface

TTL_S = 60


def public_records(resolved: Resolved) -> tuple[Record, ...]:
    """What public DNS tells."""
    return tuple(_record(name, public, interface) for vpc in resolved.vpcs for name, public, _, interface in _public_names(vpc.vpc.id, resolved))


def zones_inside(vpc_id: str, resolved: Resolved) -> tuple[LocalZone, ...]:
    """What a VPC's own resolver tells instead, and besides. A private name that nobody has does not exist."""
    vpcs = (vpc_id, *(peering.other(vpc_id) for peering in peerings_of(vpc_id, resolved) if peering.resolves_for(vpc_id)))
    public = tuple(_record(name, private, interface) for each in vpcs for name, _, private, interface in _public_names(each, resolved))
    region = fabric.vpc_of(resolved, vpc_id).vpc.region
    own = tuple(_record(private_host_name(region, interface.address), interface.address, interface) for interface in _instances(vpc_id, resolved))
    zones = (LocalZone(name="amazonaws.com", records=public), LocalZone(name=own[0].name.partition(".")[2] if own else "", records=own, captures=True))
    return tuple(zone for zone in zones if zone.records)


def _instances(vpc_id: str, resolved: Resolved) -> Iterator[ResolvedInterface]:
    return (interface for interface in resolved.interfaces_in(vpc_id) if interface.owner_kind is OwnerKind.INSTANCE)


def _public_names(vpc_id: str, resolved: Resolved) -> Iterator[tuple[str, IPv4Address, IPv4Address, ResolvedInterface]]:
    """Name, public address, private address."""
    vpc = fabric.vpc_of(resolved, vpc_id).vpc
    if vpc.enable_dns_hostnames:
        for interface in _instances(vpc_id, resolved):
            for each in interface.mapped:
                if each.public_address is not None:
                    yield public_host_name(vpc.region, each.public_address), each.public_address, each.address, interface


def _record(name: str, address: IPv4Address, interface: ResolvedInterface) -> Record:
    return Record(name=name, type="A", ttl=TTL_S, values=(str(address),), origin=interface.owner)
