"""An internet gateway becomes a namespace between a fabric and its Region's city, which swaps private and public addresses one for one.

Conntrack does the swap, so that ICMP errors are translated too. What comes from inside with any source but a mapped private address is dropped and
counted, before the swap and, whatever conntrack made of it, once more after.
Two interfaces of one VPC that meet by public addresses turn round here (assumed).
Source: VPC user guide, "Internet gateways", "Network MTU" (documented). Not a hop to traceroute (secondary).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from testbed.compile import fabric, shield_protection, shield_standard
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import city_of, forwarding_sysctls, region_of
from testbed.compile.vpc import conntrack_sysctls
from testbed.model.internet_gateway import InternetGateway
from testbed.plan import Interface, Link, Neighbour, NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, Route
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedCity

INSIDE, OUTSIDE = "vpc", "internet"


class _Mapped(NamedTuple):
    """A private address and the public one that stands for it."""

    interface: str
    private: IPv4Address
    public: IPv4Address
    origin: str


def lower(gateway: InternetGateway, resolved: Resolved) -> Fragment:
    """The gateway's namespace, its two links, and the routes of its public addresses at the city's router."""
    vpc = fabric.vpc_of(resolved, gateway.vpc_id)
    city = city_of(resolved, region_of(resolved, vpc.vpc.region).city)
    mapped = tuple(_Mapped(i.id, each.address, each.public_address, each.public_origin) for i in resolved.interfaces_in(gateway.vpc_id) for each in i.mapped if each.public_address)
    inside = _interface(gateway.id, INSIDE, gateway.id)
    outside = _interface(gateway.id, OUTSIDE, gateway.id)
    at_fabric = fabric.end(gateway.vpc_id, fabric.gateway_device(gateway.id), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin=gateway.id)
    at_city = _interface(city.node, interface_name("g-", gateway.id), gateway.id)
    identity = Node(name=gateway.id, kind=NodeKind.INTERNET_GATEWAY, label=gateway.id, origin=gateway.id, city=city.city.name, group=gateway.vpc_id, keeps_ttl=True)
    node = NodePart(
        name=gateway.id,
        identity=identity,
        sysctls=(*forwarding_sysctls(), *conntrack_sysctls(resolved.topology.time_scale)),
        routes=(
            Route(destination=fabric.EVERYTHING, device=OUTSIDE, via=city.router, onlink=True, origin=f"{gateway.id} to {city.city.name}"),
            *(Route(destination=block, device=INSIDE, via=fabric.FABRIC_END, onlink=True, origin=f"{gateway.id} to {gateway.vpc_id}") for block in vpc.vpc.cidr_blocks),
        ),
        neighbours=(
            Neighbour(address=fabric.FABRIC_END, mac=at_fabric.mac, device=INSIDE),
            Neighbour(address=city.router, mac=at_city.mac, device=OUTSIDE),
        ),
        tables=(_address_swap(gateway.id, mapped),),
    )
    in_fabric = NodePart(name=gateway.vpc_id, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=inside.mac, device=at_fabric.name),))
    return Fragment(
        nodes=(node, shield_standard.at_gateway(gateway.id, OUTSIDE, shield_protection.protected(gateway.vpc_id, resolved), resolved), in_fabric, fabric.door(gateway.vpc_id, at_fabric.name), _at_city(city, at_city.name, outside.mac, mapped)),
        links=(ordered(Link(a=inside, b=at_fabric, origin=gateway.id)), ordered(Link(a=outside, b=at_city, origin=gateway.id))),
    )


def _interface(node: str, name: str, origin: str) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin=origin)


def _at_city(city: ResolvedCity, device: str, mac: str, mapped: tuple[_Mapped, ...]) -> NodePart:
    routes = tuple(
        Route(destination=IPv4Network(each.public), device=device, via=fabric.GATEWAY_END, onlink=True, origin=f"{each.origin} {each.interface}") for each in mapped
    )
    return NodePart(name=city.node, routes=routes, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=mac, device=device),))


def _address_swap(gateway: str, mapped: tuple[_Mapped, ...]) -> NftTable:
    pairs = tuple((str(each.private), str(each.public)) for each in mapped)
    swap = (
        (
            NftChain(name="inward", hook="type nat hook prerouting priority dstnat; policy accept;", rules=(NftRule(statement="dnat to ip daddr map @private_of", origin=gateway),)),
            NftChain(name="outward", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(NftRule(statement="snat to ip saddr map @public_of", origin=gateway),)),
        )
        if pairs
        else ()
    )
    untranslated = NftChain(
        name="untranslated",
        hook="type filter hook postrouting priority 150; policy accept;",
        rules=(NftRule(statement=f'iifname "{INSIDE}" ip saddr != @public counter drop', origin=f"{gateway} untranslated"),),
    )
    unknown = NftChain(
        name="forward",
        hook="type filter hook forward priority filter; policy accept;",
        rules=(
            NftRule(statement=f'iifname "{INSIDE}" ip saddr != @private counter drop', origin=f"{gateway} no public address"),
            NftRule(statement=f'iifname "{OUTSIDE}" oifname "{OUTSIDE}" counter drop', origin=f"{gateway} address not in use"),
        ),
    )
    return NftTable(
        name="internet_gateway",
        sets=(
            NftSet(name="private", type="ipv4_addr", elements=tuple(sorted(private for private, _ in pairs))),
            NftSet(name="public", type="ipv4_addr", elements=tuple(sorted(public for _, public in pairs))),
        ),
        maps=(
            NftMap(name="private_of", type="ipv4_addr", value_type="ipv4_addr", elements=tuple((public, private) for private, public in pairs)),
            NftMap(name="public_of", type="ipv4_addr", value_type="ipv4_addr", elements=pairs),
        ),
        chains=(*swap, untranslated, unknown, _silence(gateway)),
    )


def _silence(gateway: str) -> NftChain:
    """The gateway has no address of its own, so nothing that reaches itself is meant for it."""
    return NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{gateway} answers nothing"),))
