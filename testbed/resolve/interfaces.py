"""Network interfaces and their private addresses: who has one, in which subnet, and with which address.

    NetworkInterface           its own id, attached to its instance as eth1, eth2 … (without an instance: it only keeps its address)
    Instance, NatGateway       eni-<id>, eth0
    LoadBalancer               eni-<id>-<zone letter> in each of its subnets, one node each; after n scalings eni-<id>-<zone letter>-<n>, hence with other addresses
    VpcEndpoint (interface)    eni-<id>-<zone letter> in each of its subnets, one node each; of a Gateway Load Balancer eni-<id>
    NetworkFirewall            eni-<id>-<zone letter> in each of its subnets, one node each
    ResolverEndpoint           eni-<id>-<number> for each of its addresses, one node each
    DBInstance                 eni-<id> in the subnet of its zone, or in the first of its group

Addresses: explicit ones first; then each interface, by id, takes the host number that its id hashes to, or the next free one. As on AWS they look
random (assumed), and an interface keeps its address when others come and go (decision 0006).
Source: VPC user guide, "Subnet CIDR blocks" (the first four addresses and the last are reserved; documented).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ConnectionTrackingSpecification
from testbed.model.db_instance import DBInstance
from testbed.model.instance import Instance
from testbed.model.load_balancer import GATEWAY, NETWORK, LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_firewall import NetworkFirewall
from testbed.model.network_interface import NetworkInterface
from testbed.model.resolver_endpoint import ResolverEndpoint
from testbed.model.subnet import Subnet
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.resolve.references import References, default_security_group
from testbed.resolve.resolved import OwnerKind

FIRST_USABLE_HOST = 4
RESERVED_PER_SUBNET = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An interface that needs an address: `explicit` or one that is free. `owner` None is an interface attached to nothing."""

    id: str
    owner: str | None
    owner_kind: OwnerKind
    node: str
    device: str
    subnet: Subnet
    explicit: IPv4Address | None = None
    security_groups: tuple[str, ...] = ()
    source_dest_check: bool = True
    named_by: str
    """The resource that a person wrote, for faults."""
    secondary: tuple[IPv4Address | None, ...] = ()
    """Further addresses: explicit, or None for one that is free."""
    allocations: tuple[str, ...] = ()
    """A NAT gateway's Elastic IPs, in the order of its addresses."""
    connection_tracking: ConnectionTrackingSpecification = DEFAULT_TIMEOUTS

    @property
    def slots(self) -> tuple[tuple[str, IPv4Address | None], ...]:
        """Every address that it needs: a key (`slot`) and the explicit address, the primary one first."""
        return tuple((slot(self.id, number), explicit) for number, explicit in enumerate((self.explicit, *self.secondary)))


def slot(interface_id: str, number: int) -> str:
    """The key of an interface's address: number 0 is the primary one."""
    return interface_id if number == 0 else f"{interface_id}+{number}"


def wanted(references: References) -> tuple[Wanted, ...]:
    """Every interface of the topology whose subnet is known, by id."""
    found = (*_of_instances(references), *_attached(references), *_of_load_balancers(references), *_of_nat_gateways(references), *_of_databases(references), *_of_vpc_endpoints(references), *_of_resolver_endpoints(references), *_of_network_firewalls(references))
    return tuple(sorted(found, key=lambda interface: interface.id))


def is_reserved(address: IPv4Address, network: IPv4Network) -> bool:
    """Whether AWS keeps this address of the subnet for itself: the first four and the last."""
    return int(address) - int(network.network_address) < FIRST_USABLE_HOST or address == network.broadcast_address


def capacity(network: IPv4Network) -> int:
    """How many interfaces a subnet can hold."""
    return network.num_addresses - RESERVED_PER_SUBNET


def assign_addresses(interfaces: Iterable[Wanted]) -> dict[str, IPv4Address]:
    """An address for each slot of each interface: the primary one's key is the interface's id. The subnets have room (`faults_addresses` has looked)."""
    wanted_slots = sorted(((key, explicit, interface.subnet) for interface in interfaces for key, explicit in interface.slots), key=lambda found: found[0])
    addresses = {key: explicit for key, explicit, _ in wanted_slots if explicit is not None}
    taken = {(subnet.id, explicit) for _, explicit, subnet in wanted_slots if explicit is not None}
    for key, explicit, subnet in wanted_slots:
        if explicit is None:
            room = capacity(subnet.cidr_block)
            first = subnet.cidr_block.network_address + FIRST_USABLE_HOST
            choices = (first + (hashed(key) + step) % room for step in range(room))
            addresses[key] = next(address for address in choices if (subnet.id, address) not in taken)
            taken.add((subnet.id, addresses[key]))
    return addresses


def hashed(name: str) -> int:
    """A number that only the name decides, evenly spread."""
    return int.from_bytes(hashlib.blake2s(name.encode(), digest_size=8).digest())


def mac(vpc_index: int, address: IPv4Address) -> str:
    """A locally administered MAC: 02 (from the 256th VPC on 06, 0a …), the VPC's index, the address. Unique although VPCs may overlap."""
    return ":".join(f"{byte:02x}" for byte in (0x02 | (vpc_index >> 8) << 2, vpc_index & 0xFF, *address.packed))


def zone_letter(subnet: Subnet) -> str:
    """The letter of the subnet's Availability Zone."""
    return subnet.availability_zone[-1:]


def groups_in_force(groups: tuple[str, ...], subnet: Subnet, references: References) -> tuple[str, ...]:
    """The groups as written, by id; none written is the VPC's default group (VPC user guide, "Default security groups"; documented)."""
    if groups:
        return tuple(sorted(groups))
    vpc = references.get(Vpc, subnet.vpc_id)
    return () if vpc is None else (default_security_group(vpc.id),)


def _explicit(value: object) -> IPv4Address | None:
    return value if isinstance(value, IPv4Address) else None


def _of_instances(references: References) -> Iterator[Wanted]:
    for instance in references.topology.of(Instance):
        subnet = references.get(Subnet, instance.subnet_id)
        if subnet is not None:
            yield Wanted(
                id=f"eni-{instance.id}", owner=instance.id, owner_kind=OwnerKind.INSTANCE, node=instance.id, device="eth0", subnet=subnet,
                explicit=_explicit(instance.private_ip_address), security_groups=groups_in_force(instance.security_group_ids, subnet, references),
                source_dest_check=instance.source_dest_check, named_by=instance.id,
                secondary=tuple(map(_explicit, instance.secondary_private_ip_addresses)), connection_tracking=instance.connection_tracking_specification or DEFAULT_TIMEOUTS,
            )  # fmt: skip


def _attached(references: References) -> Iterator[Wanted]:
    attached: dict[str, int] = {}
    for interface in references.topology.of(NetworkInterface):
        subnet = references.get(Subnet, interface.subnet_id)
        if subnet is None:
            continue
        instance = references.get(Instance, interface.instance_id)
        owner = None if instance is None else instance.id
        number = attached.get(interface.instance_id or "", 0) + 1
        attached[interface.instance_id or ""] = number
        yield Wanted(
            id=interface.id, owner=owner, owner_kind=OwnerKind.INSTANCE, node=owner or "", device=f"eth{number}", subnet=subnet,
            explicit=_explicit(interface.private_ip_address), security_groups=groups_in_force(interface.group_set, subnet, references),
            source_dest_check=interface.source_dest_check, named_by=interface.id,
            secondary=tuple(map(_explicit, interface.secondary_private_ip_addresses)), connection_tracking=interface.connection_tracking_specification or DEFAULT_TIMEOUTS,
        )  # fmt: skip


def _of_load_balancers(references: References) -> Iterator[Wanted]:
    for balancer in references.topology.of(LoadBalancer):
        for subnet_id in balancer.enabled_subnets:
            subnet = references.get(Subnet, subnet_id)
            if subnet is not None:
                node, mapping = f"{balancer.id}-{zone_letter(subnet)}", balancer.mapping(subnet_id)
                yield Wanted(
                    id=f"eni-{node}{f'-{balancer.scalings}' if balancer.scalings else ''}", owner=balancer.id, owner_kind=OwnerKind.LOAD_BALANCER, node=node, device="eth0", subnet=subnet,
                    security_groups=_groups_of(balancer, subnet, references), named_by=balancer.id,
                    explicit=_explicit(mapping.private_ipv4_address), allocations=() if mapping.allocation_id is None else (mapping.allocation_id,),
                )  # fmt: skip


def _groups_of(balancer: LoadBalancer, subnet: Subnet, references: References) -> tuple[str, ...]:
    """A network balancer made without groups has none (ELB user guide, "Update the security groups for your NLB"; documented), a gateway balancer never has any."""
    return () if balancer.type in (NETWORK, GATEWAY) and not balancer.security_groups else groups_in_force(balancer.security_groups, subnet, references)


def _of_nat_gateways(references: References) -> Iterator[Wanted]:
    for gateway in references.topology.of(NatGateway):
        subnet = references.get(Subnet, gateway.subnet_id)
        if subnet is not None:
            yield Wanted(
                id=f"eni-{gateway.id}", owner=gateway.id, owner_kind=OwnerKind.NAT_GATEWAY, node=gateway.id, device="eth0", subnet=subnet,
                explicit=_explicit(gateway.private_ip_address), source_dest_check=False, named_by=gateway.id, allocations=gateway.allocations,
                secondary=tuple(_explicit(dict(enumerate(gateway.secondary_private_ip_addresses)).get(number)) for number in range(gateway.secondary_count)),
            )  # fmt: skip


def _of_databases(references: References) -> Iterator[Wanted]:
    for database in references.topology.of(DBInstance):
        subnets = [subnet for subnet_id in database.db_subnet_group if (subnet := references.get(Subnet, subnet_id)) is not None]
        subnet = next((s for s in subnets if s.availability_zone == database.availability_zone), subnets[0] if subnets else None)
        if subnet is not None:
            yield Wanted(
                id=f"eni-{database.id}", owner=database.id, owner_kind=OwnerKind.DATABASE, node=database.id, device="eth0", subnet=subnet,
                security_groups=groups_in_force(database.vpc_security_groups, subnet, references), named_by=database.id,
            )  # fmt: skip


def _of_vpc_endpoints(references: References) -> Iterator[Wanted]:
    for endpoint in references.topology.of(VpcEndpoint):
        for subnet_id in endpoint.subnet_ids:
            subnet = references.get(Subnet, subnet_id)
            if subnet is not None and not endpoint.is_gateway:
                inspects = endpoint.is_gateway_load_balancer  # its interface takes what is for others, and has no groups
                node = endpoint.id if inspects else f"{endpoint.id}-{zone_letter(subnet)}"
                yield Wanted(
                    id=f"eni-{node}", owner=endpoint.id, owner_kind=OwnerKind.VPC_ENDPOINT, node=node, device="eth0", subnet=subnet, source_dest_check=not inspects,
                    security_groups=() if inspects else groups_in_force(endpoint.security_group_ids, subnet, references), named_by=endpoint.id,
                )  # fmt: skip


def _of_resolver_endpoints(references: References) -> Iterator[Wanted]:
    for endpoint in references.topology.of(ResolverEndpoint):
        for number, request in enumerate(endpoint.ip_addresses, start=1):
            subnet = references.get(Subnet, request.subnet_id)
            if subnet is not None:
                node = f"{endpoint.id}-{number}"
                yield Wanted(
                    id=f"eni-{node}", owner=endpoint.id, owner_kind=OwnerKind.RESOLVER_ENDPOINT, node=node, device="eth0", subnet=subnet,
                    explicit=_explicit(request.ip), security_groups=groups_in_force(endpoint.security_group_ids, subnet, references), named_by=endpoint.id,
                )  # fmt: skip


def _of_network_firewalls(references: References) -> Iterator[Wanted]:
    for firewall in references.topology.of(NetworkFirewall):
        for subnet_id in firewall.subnet_mappings:
            subnet = references.get(Subnet, subnet_id)
            if subnet is not None:
                node = f"{firewall.id}-{zone_letter(subnet)}"
                yield Wanted(
                    id=f"eni-{node}", owner=firewall.id, owner_kind=OwnerKind.NETWORK_FIREWALL, node=node, device="eth0", subnet=subnet, source_dest_check=False, named_by=firewall.id,
                )  # fmt: skip
