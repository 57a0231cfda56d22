"""Following references: from an id in a field to the resource that it names.

Tolerant by design: it is used on topologies that still have faults, so a name that leads nowhere gives None (`faults_references` reports it).
The oracle uses this look-up too. It holds no conclusions: no effective route, no membership, no default that AWS would add, except
the ids of what AWS makes with every VPC (VPC user guide, "Default security groups", "Network ACLs", "Configure route tables"; documented).
"""

from __future__ import annotations

from typing import TypeVar, cast

from testbed.model.subnet import Subnet
from testbed.model.topology import Resource, Topology
from testbed.model.vpc import Vpc

R = TypeVar("R", bound=Resource)


def default_security_group(vpc_id: str) -> str:
    """The id of the group that AWS makes with a VPC."""
    return f"sg-default-{vpc_id}"


def default_network_acl(vpc_id: str) -> str:
    """The id of the ACL that AWS makes with a VPC."""
    return f"acl-default-{vpc_id}"


def default_route_table(vpc_id: str) -> str:
    """The id of the main table that AWS makes with a VPC, in use as long as no table is written with ``main=True``."""
    return f"rtb-main-{vpc_id}"


class References:
    """Look-up by kind and id. Of several resources with one id and kind, a fault by itself, the first written is found."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._by_id: dict[str, Resource] = {}
        self._by_kind: dict[tuple[type[object], str], Resource] = {}
        for resource in topology.resources:
            self._by_id.setdefault(resource.id, resource)
            self._by_kind.setdefault((type(resource), resource.id), resource)
        self._inside: dict[type[object], dict[str | None, tuple[Resource, ...]]] = {}

    def named(self, resource_id: str | None) -> Resource | None:
        """The resource with this id, whatever it is."""
        return None if resource_id is None else self._by_id.get(resource_id)

    def get(self, kind: type[R], resource_id: str | None) -> R | None:
        """The resource of this kind with this id."""
        found = None if resource_id is None else self._by_kind.get((kind, resource_id))
        return found if isinstance(found, kind) else None

    def inside(self, kind: type[R], vpc_id: str) -> tuple[R, ...]:
        """The resources of this kind whose `vpc_id` is this VPC's, by id."""
        if kind not in self._inside:
            found: dict[str | None, list[Resource]] = {}
            for resource in self.topology.of(kind):
                found.setdefault(getattr(resource, "vpc_id", None), []).append(resource)
            self._inside[kind] = {vpc: tuple(resources) for vpc, resources in found.items()}
        return cast("tuple[R, ...]", self._inside[kind].get(vpc_id, ()))

    def vpc_of_subnet(self, subnet_id: str | None) -> Vpc | None:
        """The VPC of a subnet."""
        subnet = self.get(Subnet, subnet_id)
        return None if subnet is None else self.get(Vpc, subnet.vpc_id)
