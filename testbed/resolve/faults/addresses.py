"""Faults of private addresses and of where interfaces are attached.

Source: VPC user guide, "Subnet CIDR blocks" (reserved addresses); EC2 user guide, "Elastic network interfaces" (an interface and its instance share a zone; documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from testbed.model.instance import Instance
from testbed.model.network_interface import NetworkInterface
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted, capacity, is_reserved
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Addresses outside their subnet, reserved or taken; full subnets; interfaces attached across zones or VPCs."""
    holders: dict[tuple[str, IPv4Address], tuple[Wanted, int]] = {}
    for interface in interfaces:
        network = interface.subnet.cidr_block
        for number, (_, explicit) in enumerate(interface.slots):
            if explicit is None or not isinstance(network, IPv4Network):
                continue
            what = f"{'secondary_private_ip_addresses' if number else 'private_ip_address'} {explicit}"
            if explicit not in network:
                yield Fault(resource=interface.named_by, problem=f"{what} is outside {interface.subnet.id}'s {network}", remedy=_free(network))
            elif is_reserved(explicit, network):
                problem = f"{what} is reserved in {interface.subnet.id}"
                yield Fault(resource=interface.named_by, problem=problem, remedy=f"AWS keeps the first four addresses and the last: {_free(network)}")
            holder = holders.setdefault((interface.subnet.vpc_id, explicit), (interface, number))
            if holder != (interface, number):
                problem = f"{what} is already taken by {holder[0].named_by}"
                yield Fault(resource=interface.named_by, problem=problem, remedy="choose another address, or leave it out to get a free one")
    yield from _full_subnets(references, interfaces)
    yield from _attachment_faults(references)


def _free(network: IPv4Network) -> str:
    return f"choose one from {network[4]} to {network[-2]}, or leave it out to get a free one" if network.num_addresses > 5 else "choose a larger subnet"


def _full_subnets(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    held: Counter[str] = Counter()
    for interface in interfaces:
        held[interface.subnet.id] += len(interface.slots)
    for subnet in references.topology.of(Subnet):
        count = held[subnet.id]
        if isinstance(subnet.cidr_block, IPv4Network) and count > max(0, capacity(subnet.cidr_block)):
            problem = f"{count} private addresses, but {subnet.cidr_block} has {max(0, capacity(subnet.cidr_block))} free addresses"
            yield Fault(resource=subnet.id, problem=problem, remedy="choose a larger cidr_block, or move some to another subnet")


def _attachment_faults(references: References) -> Iterator[Fault]:
    for interface in references.topology.of(NetworkInterface):
        instance = references.get(Instance, interface.instance_id)
        own = references.get(Subnet, interface.subnet_id)
        other = None if instance is None else references.get(Subnet, instance.subnet_id)
        if instance is None or own is None or other is None:
            continue
        if own.vpc_id != other.vpc_id:
            yield Fault(resource=interface.id, problem=f"attached to {instance.id}, which is in {other.vpc_id}, not {own.vpc_id}", remedy="attach it to an instance of its own VPC")
        elif own.availability_zone != other.availability_zone:
            problem = f"attached to {instance.id} in {other.availability_zone}, but its subnet is in {own.availability_zone}"
            yield Fault(resource=interface.id, problem=problem, remedy=f"choose a subnet in {other.availability_zone}")
