"""A network interface becomes a veth pair between its owner's namespace and the fabric, and its entries in the fabric's maps.

The guest knows its address, the subnet's mask and the .1 gateway. The fabric knows the interface's address, its MAC (permanently: nobody can
take it over) and its groups; the guest cannot change any of it.
Sources: EC2 user guide, "Elastic network interfaces"; "Infrastructure security in Amazon EC2": source/destination check (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from testbed.compile import fabric, network_acl, security_group, subnet
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, end_sysctls, region_of_interface
from testbed.compile.vpc import resolver_addresses_of
from testbed.model.network_acl import Direction
from testbed.model.security_group import Flow
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, Node, NodeKind, Route
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved, ResolvedInterface

PRIMARY = "eth0"


def lower(interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    """The link, the guest's addresses, and all that the fabric knows of the interface. Its owner's lowering makes the guest's node."""
    vpc, device = interface.vpc, fabric.device(interface)
    resolved_subnet = fabric.subnet_of(resolved, interface.subnet)
    gateway = fabric.router(resolved_subnet.subnet)
    address = IPv4Interface(f"{interface.address}/{resolved_subnet.subnet.cidr_block.prefixlen}")
    guest = Interface(
        node=interface.node, name=interface.device, mac=interface.mac, addresses=(address,), mtu_bytes=fabric.VPC_MTU_BYTES, origin=interface.id
    )
    fabric_end = fabric.end(vpc, device, proxy_arp=True, origin=interface.id)
    default = Route(destination=fabric.EVERYTHING, device=interface.device, via=gateway, origin=f"{interface.subnet} router")
    in_fabric = NodePart(
        name=vpc,
        routes=(Route(destination=IPv4Network(interface.address), device=device, source=gateway, origin=interface.id),),
        neighbours=(Neighbour(address=interface.address, mac=interface.mac, device=device),),
    )
    return join(
        Fragment(
            nodes=(in_fabric, NodePart(name=interface.node, routes=(default,) if interface.device == PRIMARY else ())),
            links=(ordered(Link(a=guest, b=fabric_end, origin=interface.id)),),
        ),
        _arrival(interface, device),
        _borders(interface, device, resolved_subnet.network_acl),
        _groups(interface, device, resolved),
    )


def guest_node(interface: ResolvedInterface, kind: NodeKind, label: str, resolved: Resolved, *, forwards: tuple[tuple[str, str], ...] | None = None) -> NodePart:
    """The namespace behind a primary interface; it asks the VPC's resolver."""
    vpc = fabric.vpc_of(resolved, interface.vpc)
    city = city_of(resolved, region_of_interface(resolved, interface).city)
    return NodePart(
        name=interface.node,
        identity=Node(
            name=interface.node,
            kind=kind,
            label=label,
            origin=interface.owner,
            city=city.city.name,
            group=interface.vpc,
            name_servers=resolver_addresses_of(vpc)[:1],
            hosts=((interface.address, interface.node),),
        ),
        sysctls=end_sysctls() if forwards is None else forwards,
    )


def _arrival(interface: ResolvedInterface, device: str) -> Fragment:
    """The source check, then the marks of the subnet."""
    chain = identifier("from", interface.id)
    check = NftRule(statement=f"ip saddr != {interface.address} counter drop", origin=f"{interface.id} source/destination check")
    rules = (*((check,) if interface.source_dest_check else ()), NftRule(statement=f"goto {subnet.chain_name(interface.subnet)}"))
    arrivals = fabric.verdicts("from_interface", ((fabric.quoted(device), f"goto {chain}"),))
    return Fragment(nodes=(fabric.chains(interface.vpc, NftChain(name=chain, rules=rules), maps=(arrivals,)),))


def _borders(interface: ResolvedInterface, device: str, acl: str) -> Fragment:
    """Which ACL is asked when a packet leaves or enters the subnet here."""
    maps = tuple(
        fabric.verdicts(name, ((fabric.quoted(device), f"jump {network_acl.chain_name(acl, direction)}"),))
        for name, direction in (("leave_subnet", Direction.OUTBOUND), ("enter_subnet", Direction.INBOUND))
    )
    return Fragment(nodes=(fabric.chains(interface.vpc, maps=maps),))


def _groups(interface: ResolvedInterface, device: str, resolved: Resolved) -> Fragment:
    """The unions of the interface's groups; none where it has none (a NAT gateway's)."""
    if not interface.security_groups:
        return Fragment()
    parts = []
    for flow in Flow:
        chain, part = security_group.union(interface.vpc, tuple(sorted(interface.security_groups)), flow, resolved)
        ends = fabric.verdicts(f"{security_group.ENDS[flow]}_groups", ((fabric.quoted(device), f"goto {chain}"),))
        parts += [part, fabric.chains(interface.vpc, maps=(ends,))]
    return Fragment(nodes=tuple(parts))
