"""Global Accelerator: static addresses, who serves at which edge location, and by which way each endpoint is reached.

    203.0.113.64 …       the i-th of `geography.EDGE_LOCATIONS`: its own address
    203.0.113.128/26     static addresses of the first network zone, 203.0.113.192/26 of the second: where an accelerator's id hashes to, or the next free one
    100.126.0.0/16       stands for endpoints' addresses inside AWS's network, since private ones of several VPCs may be the same: by hash likewise
    .2 of a Region       what reaches endpoints that do not see the client (AWS publishes such ranges as GLOBALACCELERATOR; that they are a Region's is assumed)

Source: Global Accelerator developer guide, "AWS Global Accelerator components" (network zones), "Requirements for endpoints with client IP preservation"; IP address ranges, ip-ranges.json (documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from testbed.model.accelerator import Accelerator
from testbed.model.elastic_ip import ElasticIp
from testbed.model.endpoint_group import EndpointConfiguration, EndpointGroup
from testbed.model.geography import EDGE_LOCATIONS
from testbed.model.instance import Instance
from testbed.model.load_balancer import APPLICATION, LoadBalancer
from testbed.model.topology import Topology
from testbed.resolve import names
from testbed.resolve.interfaces import hashed
from testbed.resolve.references import References
from testbed.resolve.resolved import ResolvedInterface, ResolvedRegion
from testbed.resolve.resolved_accelerator import AcceleratedWay, AcceleratorEdge, AcceleratorExit, ResolvedAccelerator
from testbed.resolve.world import edge_locations

FIRST_EDGE = IPv4Address("203.0.113.64")
NETWORK_ZONES = (IPv4Network("203.0.113.128/26"), IPv4Network("203.0.113.192/26"))
INSIDE = IPv4Network("100.126.0.0/16")
REGIONAL_HOST = 2


def accelerators(topology: Topology) -> tuple[ResolvedAccelerator, ...]:
    """The accelerators, by id, with their addresses."""
    ids = [accelerator.id for accelerator in topology.of(Accelerator)]
    numbers = _numbers(ids, NETWORK_ZONES[0].num_addresses)
    return tuple(
        ResolvedAccelerator(
            id=accelerator.id,
            dns_name=names.accelerator_name(topology.account, accelerator.id),
            addresses=tuple(zone[numbers[accelerator.id]] for zone in NETWORK_ZONES),
            enabled=accelerator.enabled,
        )
        for accelerator in topology.of(Accelerator)
    )


def edges(topology: Topology) -> tuple[AcceleratorEdge, ...]:
    """Global Accelerator's part of each edge location, by code; none without an accelerator. That it is at all of the lab's locations is assumed."""
    if not topology.of(Accelerator):
        return ()
    order = list(EDGE_LOCATIONS)
    return tuple(
        AcceleratorEdge(code=code, number=order.index(code) + 1, node=f"ga-edge-{code.lower()}", city=EDGE_LOCATIONS[code], address=FIRST_EDGE + order.index(code)) for code in edge_locations(topology)
    )


def preserves_client(endpoint: EndpointConfiguration, references: References) -> bool:
    """Whether the endpoint sees the client's address: an Elastic IP never, an instance and an internal application balancer always, others as configured, by default where they can."""
    target = references.named(endpoint.endpoint_id)
    match target:
        case Instance():
            return True
        case LoadBalancer():
            able = target.type == APPLICATION or bool(target.security_groups)
            always = target.type == APPLICATION and not target.is_internet_facing
            return able and (always or endpoint.client_ip_preservation_enabled is not False)
        case _:
            return False


def exits(references: References, regions: tuple[ResolvedRegion, ...], interfaces: tuple[ResolvedInterface, ...]) -> tuple[AcceleratorExit, ...]:
    """Where accelerated traffic leaves, by node: each VPC with an endpoint that sees clients, each Region with one that does not."""
    cities = {region.id: region for region in regions}
    vpcs, publics = set[tuple[str, str]](), set[str]()
    for group, endpoint in _endpoints(references):
        if preserves_client(endpoint, references):
            vpcs |= {(interface.vpc, group.endpoint_group_region) for interface in interfaces if interface.owner == endpoint.endpoint_id}
        else:
            publics.add(group.endpoint_group_region)
    inward = (AcceleratorExit(node=f"ga-{vpc}", region=region, city=cities[region].city, vpc=vpc) for vpc, region in vpcs)
    outward = (AcceleratorExit(node=f"ga-{region}", region=region, city=cities[region].city, address=cities[region].public_pool[REGIONAL_HOST]) for region in publics)
    return tuple(sorted((*inward, *outward), key=lambda each: each.node))


def ways(references: References, interfaces: tuple[ResolvedInterface, ...]) -> tuple[AcceleratedWay, ...]:
    """Every address of every endpoint, by group, endpoint and address."""
    found = [(group, endpoint, each) for group, endpoint in _endpoints(references) for each in _addresses(group, endpoint, interfaces, references)]
    keys = {f"{exit_node} {address}" for _, _, (address, exit_node, _) in found}
    numbers = _numbers(keys, INSIDE.num_addresses)
    return tuple(
        AcceleratedWay(
            group=group.id,
            endpoint=endpoint.endpoint_id,
            address=address,
            inside=INSIDE[numbers[f"{exit_node} {address}"]],
            exit=exit_node,
            keeps_client=preserves_client(endpoint, references),
            balancer_node=balancer_node,
        )
        for group, endpoint, (address, exit_node, balancer_node) in sorted(found, key=lambda each: (each[0].id, each[1].endpoint_id, each[2][0]))
    )


def _endpoints(references: References) -> Iterator[tuple[EndpointGroup, EndpointConfiguration]]:
    return ((group, endpoint) for group in references.topology.of(EndpointGroup) for endpoint in group.endpoint_configurations)


def _addresses(
    group: EndpointGroup, endpoint: EndpointConfiguration, interfaces: tuple[ResolvedInterface, ...], references: References
) -> Iterator[tuple[IPv4Address, str, str | None]]:
    """(address, exit, the balancer's node there) of an endpoint."""
    public = f"ga-{group.endpoint_group_region}"
    target = references.named(endpoint.endpoint_id)
    if isinstance(target, ElasticIp):
        yield from ((each.public_address, public, None) for interface in interfaces for each in interface.mapped if each.public_origin == target.id and each.public_address is not None)
        return
    for interface in interfaces:
        if interface.owner != endpoint.endpoint_id or interface.device != "eth0":
            continue
        node = interface.node if isinstance(target, LoadBalancer) else None
        if preserves_client(endpoint, references):
            yield interface.address, f"ga-{interface.vpc}", node
        elif interface.public_address is not None:
            yield interface.public_address, public, node


def _numbers(wanted: Iterable[str], room: int) -> dict[str, int]:
    """A number for each name: where its hash points, or the next free one (decision 0006)."""
    taken: dict[int, str] = {}
    for name in sorted(wanted):
        taken[next(n for step in range(room) if (n := (hashed(name) + step) % room) not in taken)] = name
    return {name: number for number, name in taken.items()}
