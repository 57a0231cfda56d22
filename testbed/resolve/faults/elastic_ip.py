"""Faults of Elastic IP addresses and NAT gateways: addresses, associations, and the internet gateway that both need.

Source: VPC user guide, "Internet gateways", "Troubleshoot NAT gateways" (Gateway.NotAttached; documented).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from testbed.model.elastic_ip import ElasticIp
from testbed.model.nat_gateway import NatGateway
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve import world
from testbed.resolve.faults.topology import has_internet_gateway
from testbed.resolve.interfaces import Wanted
from testbed.resolve.public_addresses import FIRST_ASSIGNED_HOST, interface_of_allocation, slot_of_allocation
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of public addresses, then of what they are associated with."""
    yield from _address_faults(references)
    by_id = {interface.id: interface for interface in interfaces}
    yield from _sharing_faults(references, by_id)
    for elastic_ip in references.topology.of(ElasticIp):
        interface = by_id.get(interface_of_allocation(elastic_ip, references) or "")
        vpc = None if interface is None else references.get(Vpc, interface.subnet.vpc_id)
        if interface is None or vpc is None:
            continue
        if vpc.region != elastic_ip.region:
            problem = f"an address of {elastic_ip.region} for {interface.named_by} in {vpc.region}"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy=f"allocate it in {vpc.region}")
        if slot_of_allocation(elastic_ip, interface) is None:
            problem = f"{interface.named_by} has no private address {elastic_ip.private_ip_address}"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy="name its private_ip_address or one of its secondary_private_ip_addresses")
        if not has_internet_gateway(vpc.id, references):
            problem = f"{interface.named_by} is in {vpc.id}, which is not attached to any internet gateway"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy="add an InternetGateway for the VPC")


def _address_faults(references: References) -> Iterator[Fault]:
    pools = {region.id: region.public_pool for region in world.regions(references.topology)}
    first: dict[IPv4Address, str] = {}
    for elastic_ip in references.topology.of(ElasticIp):
        address, pool = elastic_ip.public_ip, pools.get(elastic_ip.region)
        if not isinstance(address, IPv4Address):
            continue
        if pool is not None and not pool[FIRST_ASSIGNED_HOST] <= address <= pool[-2]:
            problem = f"public_ip {address} is not one of {elastic_ip.region}'s addresses in this lab"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy=f"choose one from {pool[FIRST_ASSIGNED_HOST]} to {pool[-2]}, or leave it out to get a free one")
        if address in first:
            yield Fault(resource=elastic_ip.id, problem=f"public_ip {address} is already taken by {first[address]}", remedy="choose another, or leave it out to get a free one")
        first.setdefault(address, elastic_ip.id)


def _sharing_faults(references: References, by_id: Mapping[str, Wanted]) -> Iterator[Fault]:
    """An allocation serves one private address, and a private address has one allocation."""
    gateways: dict[str, str] = {}
    for gateway in references.topology.of(NatGateway):
        for allocation_id in gateway.allocations:
            if allocation_id in gateways:
                problem = f"allocation_id {allocation_id} is already associated with {gateways[allocation_id]}"
                yield Fault(resource=gateway.id, problem=problem, remedy="allocate an Elastic IP address for each address of a NAT gateway")
            gateways.setdefault(allocation_id, gateway.id)
    holders: dict[str, str] = {}
    for elastic_ip in references.topology.of(ElasticIp):
        gateway_id = gateways.get(elastic_ip.id)
        if gateway_id is not None and (elastic_ip.instance_id or elastic_ip.network_interface_id):
            problem = f"associated with {elastic_ip.instance_id or elastic_ip.network_interface_id} and with {gateway_id}"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy="allocate an Elastic IP address for each")
        interface = by_id.get(interface_of_allocation(elastic_ip, references) or "")
        key = None if interface is None else slot_of_allocation(elastic_ip, interface)
        if interface is None or key is None or gateway_id is not None:
            continue
        if key in holders:
            problem = f"{interface.id} already has the Elastic IP address {holders[key]}"
            yield Fault(resource=elastic_ip.id, problem=problem, remedy="associate one address with each private address")
        holders.setdefault(key, elastic_ip.id)

