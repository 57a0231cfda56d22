"""A VPC endpoint becomes a namespace: a gateway endpoint one between fabric and nothing, an interface endpoint one behind each of its interfaces.

    gateway      route table ─ prefix list ─▶ fabric ─▶ [service's public addresses on lo] the Region's front listens here
    interface    groups ─▶ [the interface's address] the front listens here; for a provider's service: translated twice on the way to its balancer

Neither begins a connection, and what is no port of the service vanishes (pings too: assumed). Their links drop what is larger than 8500 bytes and say
nothing (the kernel leaves room for a VLAN tag, so up to four bytes more pass); TCP never sends that, because both ends announce their MSS by the link. A packet that reaches a gateway endpoint's fabric from elsewhere
(peering, VPN) never comes here: only the tables of the VPC's own subnets lead to it. Flows to DynamoDB by a gateway endpoint are tracked whatever the rules say
(EC2 user guide, "Automatically tracked connections"; documented), those to S3 by their rules.
Source: PrivateLink guide, "Gateway endpoints", "Access an AWS service using an interface VPC endpoint", "PrivateLink quotas" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from testbed.compile import fabric, gateway_load_balancer, private_link
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import end_sysctls, region_of
from testbed.model.vpc_endpoint import MTU_BYTES, VpcEndpoint, ports
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftSet, NftTable, Node, NodeKind, Route
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface

INSIDE = "vpc"
ALWAYS_TRACKED = frozenset({"dynamodb"})


def lower(endpoint: VpcEndpoint, resolved: Resolved) -> Fragment:
    """The endpoint's node, or its nodes."""
    if endpoint.is_gateway:
        return _gateway(endpoint, resolved)
    if endpoint.is_gateway_load_balancer:
        return gateway_load_balancer.lower_endpoint(endpoint, resolved)
    return join(*(_interface(endpoint, interface, resolved) for interface in resolved.interfaces_of(endpoint.id)))


def _gateway(endpoint: VpcEndpoint, resolved: Resolved) -> Fragment:
    vpc = fabric.vpc_of(resolved, endpoint.vpc_id)
    region = region_of(resolved, vpc.vpc.region)
    service = next(s for s in region.aws_services if s.name == endpoint.aws_service)
    inside = Interface(node=endpoint.id, name=INSIDE, mac=mac_address(endpoint.id, INSIDE), mtu_bytes=MTU_BYTES, origin=endpoint.id)
    at_fabric = fabric.end(endpoint.vpc_id, fabric.gateway_device(endpoint.id), origin=endpoint.id)
    node = NodePart(
        name=endpoint.id,
        identity=Node(name=endpoint.id, kind=NodeKind.GATEWAY_ENDPOINT, label=f"{endpoint.id} ({service.name})", origin=endpoint.id, city=region.city, group=endpoint.vpc_id),
        loopback=tuple(IPv4Interface(address) for address in service.addresses),
        sysctls=end_sysctls(),
        routes=tuple(Route(destination=block, device=INSIDE, via=fabric.FABRIC_END, onlink=True, origin=f"{endpoint.id} to {endpoint.vpc_id}") for block in vpc.vpc.cidr_blocks),
        neighbours=(Neighbour(address=fabric.FABRIC_END, mac=at_fabric.mac, device=INSIDE),),
        tables=(_doors(endpoint),),
    )
    tracked = (NftTable(name=fabric.TABLE, sets=(NftSet(name=fabric.ALWAYS_TRACKED, type="iface_index", elements=(fabric.quoted(at_fabric.name),)),)),)
    in_fabric = NodePart(
        name=endpoint.vpc_id,
        neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=inside.mac, device=at_fabric.name),),
        tables=tracked if service.name in ALWAYS_TRACKED else (),
    )
    return Fragment(nodes=(node, in_fabric, fabric.door(endpoint.vpc_id, at_fabric.name)), links=(ordered(Link(a=inside, b=at_fabric, origin=endpoint.id)),))


def _interface(endpoint: VpcEndpoint, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    leads_to = endpoint.aws_service or endpoint.provider_service
    to_provider = endpoint.aws_service is None
    guest = guest_node(interface, NodeKind.INTERFACE_ENDPOINT, f"{endpoint.id} ({leads_to}, {interface.availability_zone})", resolved, forwards=private_link.sysctls(resolved) if to_provider else None)
    own = private_link.lower(endpoint, interface, resolved) if to_provider else Fragment(nodes=(NodePart(name=interface.node, tables=(_doors(endpoint),)),))
    return join(lower_interface(interface, resolved, mtu_bytes=MTU_BYTES, fabric_mtu_bytes=fabric.VPC_MTU_BYTES), Fragment(nodes=(guest,)), own)


def _doors(endpoint: VpcEndpoint) -> NftTable:
    """Only the service's ports answer, also where nothing listens for the moment; and nothing else leaves, since an endpoint never begins a connection."""
    opened = ", ".join(map(str, ports(endpoint.aws_service or "")))
    inward = (NftRule(statement=f"tcp dport {{ {opened} }} accept", origin=endpoint.id), NftRule(statement="counter drop", origin=f"{endpoint.id} is no port of the service"))
    outward = (
        NftRule(statement=f"tcp sport {{ {opened} }} tcp flags & (syn | ack) != syn accept", origin=endpoint.id),
        NftRule(statement="counter drop", origin=f"{endpoint.id} is one-directional"),
    )
    return NftTable(
        name="endpoint",
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=inward),
            NftChain(name="output", hook="type filter hook output priority filter; policy drop;", rules=outward),
        ),
    )
