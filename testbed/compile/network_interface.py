"""A network interface becomes a veth pair between its owner's namespace and the fabric, and its entries in the fabric's maps.

The guest knows its address, the subnet's mask and the .1 gateway. The fabric knows the interface's address, its MAC (permanently: nobody can
take it over) and its groups; the guest cannot change any of it.
Sources: EC2 user guide, "Elastic network interfaces"; "Infrastructure security in Amazon EC2": source/destination check (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from testbed.compile import aws_service, dhcp_options, fabric, interface_port, network_acl, security_group, subnet
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.network_target_group import keepers, nodes_of
from testbed.compile.per_topology import per_topology
from testbed.compile.places import city_of, end_sysctls, region_of_interface
from testbed.model.network_acl import Direction
from testbed.model.security_group import Flow
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftSet, NftTable, Node, NodeKind, Route
from testbed.plan.names import identifier
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface

PRIMARY = "eth0"
ALWAYS_TRACKED = frozenset({OwnerKind.NAT_GATEWAY, OwnerKind.NETWORK_FIREWALL, OwnerKind.VPC_ENDPOINT})
"""EC2 user guide, "Amazon EC2 security group connection tracking": automatically tracked connections, of what exists here and has a kind of its own; network balancers, too (documented)."""


def lower(interface: ResolvedInterface, resolved: Resolved, *, mtu_bytes: int = fabric.VPC_MTU_BYTES, fabric_mtu_bytes: int | None = None) -> Fragment:
    """The link, the guest's addresses, and all that the fabric knows of the interface. Its owner's lowering makes the guest's node.

    With a larger `fabric_mtu_bytes` the fabric sends what the guest's end does not take: it vanishes, and nobody is told."""
    vpc, device = interface.vpc, fabric.device(interface)
    resolved_subnet = fabric.subnet_of(resolved, interface.subnet)
    gateway = fabric.router(resolved_subnet.subnet)
    address = IPv4Interface(f"{interface.address}/{resolved_subnet.subnet.cidr_block.prefixlen}")
    secondary = tuple(IPv4Interface(each.address) for each in interface.secondary)
    guest = Interface(
        node=interface.node, name=interface.device, mac=interface.mac, addresses=(address, *secondary), mtu_bytes=mtu_bytes, origin=interface.id
    )
    fabric_end = fabric.end(vpc, device, mtu_bytes=fabric_mtu_bytes or mtu_bytes, proxy_arp=True, origin=interface.id)
    default = Route(destination=fabric.EVERYTHING, device=interface.device, via=gateway, origin=f"{interface.subnet} router")
    in_fabric = NodePart(
        name=vpc,
        routes=tuple(Route(destination=IPv4Network(own), device=device, source=gateway, origin=interface.id) for own in interface.addresses),
        neighbours=tuple(Neighbour(address=own, mac=interface.mac, device=device) for own in interface.addresses),
    )
    if fabric.has_port(interface):
        link = interface_port.lower(interface, guest, fabric_end, resolved)
    else:
        link = Fragment(links=(ordered(Link(a=guest, b=fabric_end, origin=interface.id)),))
    return join(
        Fragment(nodes=(in_fabric, NodePart(name=interface.node, routes=(default,) if interface.device == PRIMARY else ()))),
        link,
        _arrival(interface, device, interface.source_dest_check and interface not in keepers(resolved, vpc)),
        _borders(interface, device, resolved_subnet.network_acl),
        _groups(interface, device, resolved),
        _as_neighbour(interface, device, resolved),
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
            name_servers=dhcp_options.name_servers(vpc, resolved),
            search=dhcp_options.search(vpc, resolved),
            hosts=((interface.address, interface.node),),
            environment=aws_service.environment(region_of_interface(resolved, interface)) if kind is NodeKind.INSTANCE else (),
        ),
        sysctls=end_sysctls() if forwards is None else forwards,
    )


def _arrival(interface: ResolvedInterface, device: str, checked: bool) -> Fragment:
    """The source check, then the marks of the subnet: one look-up for what passes, the chain for what does not (or is not checked).

    A network balancer's node also sends with the addresses of its clients."""
    chain = identifier("from", interface.id)
    own_mac = NftRule(statement=f"ether saddr != {interface.mac} counter drop", origin=f"{interface.id} source MAC address")
    check = NftRule(statement=f"ip saddr != {fabric.addresses(interface)} counter drop", origin=f"{interface.id} source/destination check")
    rules = (*((own_mac, check) if checked else (own_mac,)), NftRule(statement=f"goto {subnet.chain_name(interface.subnet)}"))
    arrivals = fabric.verdicts("from_interface", ((fabric.quoted(device), f"goto {chain}"),))
    own = tuple((f"{fabric.quoted(device)} . {interface.mac} . {address}", f"goto {subnet.chain_name(interface.subnet)}") for address in interface.addresses) if interface.source_dest_check else ()
    return Fragment(nodes=(fabric.chains(interface.vpc, NftChain(name=chain, rules=rules), maps=(arrivals, fabric.own_addresses(own))),))


def _borders(interface: ResolvedInterface, device: str, acl: str) -> Fragment:
    """Which ACL is asked when a packet leaves or enters the subnet here."""
    maps = tuple(
        fabric.verdicts(name, ((fabric.quoted(device), f"{verb} {network_acl.chain_name(acl, direction)}"),))
        for name, verb, direction in (("leave_subnet", "jump", Direction.OUTBOUND), ("enter_subnet", "goto", Direction.INBOUND))
    )
    return Fragment(nodes=(fabric.chains(interface.vpc, maps=maps),))


def _groups(interface: ResolvedInterface, device: str, resolved: Resolved) -> Fragment:
    """What judges flows at the interface; nothing where it has no groups (a NAT gateway's). With a port of its own, or an inspection behind it, it is no end of a flow in the fabric."""
    if not fabric.is_end(interface):
        return Fragment(nodes=(fabric.chains(interface.vpc, maps=tuple(fabric.verdicts(f"{end}_groups", ((fabric.quoted(device), "return"),)) for end in security_group.ENDS.values())),))
    if not interface.security_groups:
        none = tuple(fabric.verdicts(f"{end}_groups", ((fabric.quoted(device), f"goto admit_{end}"),)) for end in security_group.ENDS.values())
        return Fragment(nodes=(fabric.chains(interface.vpc, maps=none),))
    forwarded = interface.vpc in _with_forwarders(resolved)
    groups = tuple(sorted(interface.security_groups))
    return join(*(security_group.at_end(interface.vpc, device, groups, flow, resolved, forwarded=forwarded, always_tracked=_is_always_tracked(interface, resolved)) for flow in Flow))


@per_topology
def _with_forwarders(resolved: Resolved) -> frozenset[str]:
    """The VPCs in which some interface forwards for others."""
    return frozenset(interface.vpc for interface in resolved.interfaces if not interface.source_dest_check)


def _is_always_tracked(interface: ResolvedInterface, resolved: Resolved) -> bool:
    """Whether flows through it are tracked whatever the rules at either end say."""
    return interface.owner_kind in ALWAYS_TRACKED or interface in nodes_of(resolved, interface.vpc)


def _as_neighbour(interface: ResolvedInterface, device: str, resolved: Resolved) -> Fragment:
    """What the rules at the other end of a flow need to know of this one: whether it forwards for others, whether flows through it are always tracked."""
    name, sets = fabric.quoted(device), []
    if _is_always_tracked(interface, resolved):
        sets.append(NftSet(name=fabric.ALWAYS_TRACKED, type="iface_index", elements=(name,)))
    if not interface.source_dest_check:
        sets.append(NftSet(name=fabric.FORWARDERS, type="iface_index", elements=(name,)))
        sets.append(NftSet(name=fabric.FORWARDERS_ADDRESSES, type="iface_index . ipv4_addr", elements=tuple(f"{name} . {own}" for own in interface.addresses)))
    return Fragment(nodes=(NodePart(name=interface.vpc, tables=(NftTable(name=fabric.TABLE, sets=tuple(sets)),)),) if sets else ())
