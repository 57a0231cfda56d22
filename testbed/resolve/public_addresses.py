"""Public addresses: Elastic IPs and the ones that AWS assigns by itself, and which interface each is mapped to.

Within a Region's pool, from .10: first explicit `public_ip`s, then each Elastic IP by allocation id and each automatic one by interface id takes the
number that its id hashes to, or the next free one: an address stays when others come and go (decision 0006).
An interface with an Elastic IP gets no automatic one. Source: EC2 user guide, "Amazon EC2 instance IP addressing"; VPC user guide, "Internet gateways" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.elastic_ip import ElasticIp
from testbed.model.instance import Instance
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.subnet import Subnet
from testbed.resolve.interfaces import Wanted, hashed, zone_letter
from testbed.resolve.references import References
from testbed.resolve.resolved import OwnerKind, ResolvedRegion

FIRST_ASSIGNED_HOST = 10
AUTO_ASSIGNED = "auto-assigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """A public address and why it is there: an allocation's id, or ``auto-assigned``."""

    address: IPv4Address
    origin: str


def interface_of_allocation(elastic_ip: ElasticIp, references: References) -> str | None:
    """The id of the interface that an allocation is associated with: a NAT gateway's, a network balancer's node's, an instance's primary one, or the one named."""
    for gateway in references.topology.of(NatGateway):
        if elastic_ip.id in gateway.allocations:
            return f"eni-{gateway.id}"
    for balancer in references.topology.of(LoadBalancer):
        for mapping in balancer.subnet_mappings:
            subnet = references.get(Subnet, mapping.subnet_id)
            if subnet is not None and mapping.allocation_id == elastic_ip.id:
                return f"eni-{balancer.id}-{zone_letter(subnet)}"
    return f"eni-{elastic_ip.instance_id}" if elastic_ip.instance_id is not None else elastic_ip.network_interface_id


def slot_of_allocation(elastic_ip: ElasticIp, interface: Wanted) -> str | None:
    """The key of the private address that an allocation maps on `interface`: the one it names, else the primary one; None if the interface has no such address."""
    if elastic_ip.id in interface.allocations:
        return interface.slots[interface.allocations.index(elastic_ip.id)][0]
    if elastic_ip.private_ip_address is None:
        return interface.id
    return next((key for key, explicit in interface.slots if explicit == elastic_ip.private_ip_address), None)


def wants_automatic_address(interface: Wanted, references: References) -> bool:
    """Whether AWS gives the interface a public address by itself: instances by their own setting or the subnet's, nodes of internet-facing balancers."""
    owner = references.named(interface.owner)
    if isinstance(owner, LoadBalancer):
        return owner.is_internet_facing
    if isinstance(owner, Instance) and interface.id == f"eni-{owner.id}":  # only the primary interface, and only at launch
        return interface.subnet.map_public_ip_on_launch if owner.associate_public_ip_address is None else owner.associate_public_ip_address
    return False


def assign_public_addresses(interfaces: tuple[Wanted, ...], regions: tuple[ResolvedRegion, ...], references: References) -> dict[str, PublicAddress]:
    """The public address of each private one that has one, by its slot: the primary one's key is the interface's id. The pools have room (`faults_elastic_ip` has looked)."""
    by_id = {interface.id: interface for interface in interfaces}
    assigned: dict[str, PublicAddress] = {}
    for region in regions:
        allocations = [elastic_ip for elastic_ip in references.topology.of(ElasticIp) if elastic_ip.region == region.id]
        kept = {elastic_ip.public_ip for elastic_ip in allocations}
        pool = _Pool([address for address in list(region.public_pool)[FIRST_ASSIGNED_HOST:-1]], {address for address in kept if address is not None})
        for elastic_ip in allocations:
            address = elastic_ip.public_ip if elastic_ip.public_ip is not None else pool.take(elastic_ip.id)
            holder = by_id.get(interface_of_allocation(elastic_ip, references) or "")
            key = None if holder is None else slot_of_allocation(elastic_ip, holder)
            if key is not None:
                assigned[key] = PublicAddress(address=address, origin=elastic_ip.id)
        for interface in interfaces:
            vpc = references.vpc_of_subnet(interface.subnet.id)
            if vpc is not None and vpc.region == region.id and interface.id not in assigned and wants_automatic_address(interface, references):
                assigned[interface.id] = PublicAddress(address=pool.take(interface.id), origin=AUTO_ASSIGNED)
    return assigned


class _Pool:
    """A Region's assignable addresses, those `taken` apart."""

    def __init__(self, addresses: list[IPv4Address], taken: set[IPv4Address]) -> None:
        self._addresses, self._taken = addresses, taken

    def take(self, name: str) -> IPv4Address:
        """The address that `name` hashes to, or the next free one."""
        start = hashed(name) % len(self._addresses)
        address = next(a for a in (*self._addresses[start:], *self._addresses[:start]) if a not in self._taken)
        self._taken.add(address)
        return address


def automatic_addresses_wanted(interfaces: tuple[Wanted, ...], region: str, references: References) -> int:
    """How many addresses of a Region's pool go to interfaces without an Elastic IP."""
    with_allocation = {interface_of_allocation(elastic_ip, references) for elastic_ip in references.topology.of(ElasticIp)}
    return sum(
        1
        for interface in interfaces
        if interface.owner_kind is not OwnerKind.DATABASE
        and (vpc := references.vpc_of_subnet(interface.subnet.id)) is not None
        and vpc.region == region
        and interface.id not in with_allocation
        and wants_automatic_address(interface, references)
    )
