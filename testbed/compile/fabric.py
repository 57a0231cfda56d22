"""Words that the lowerings of one VPC share: names in its fabric's namespace, and the walk of a packet through its chains.

    prerouting (raw)   from.<eni>: source check ─> subnet.<id>: mark = route table, zone, SAME_SUBNET
    prerouting (ttl)   one more, since forwarding takes one and AWS's router takes none
    ip rule            mark -> route table
    forward            both ends admitted this flow? ──yes──> border ─> accept
                         │no
                       sender ─> border ─> receiver ─> accept
    sender, receiver   this end's bit is set? return. Else union.<flow>.<groups>: interval maps -> <group>.<flow>.<rule> -> set the bit
    border             not SAME_SUBNET: ACL outbound of the subnet left, then ACL inbound of the subnet entered, without state
    input              the resolver's addresses; nothing else is answered

Source: VPC user guide, "Configure route tables", "Network ACLs", "Security group rules" (documented).
NOT MODELLED: an interface without source/destination check that forwards for others shares the fabric's state (AWS keeps state per interface, and the
same 5-tuple crosses twice); "untracked" flows (a removed rule cuts them at once on AWS); a TTL of 255 arrives as 254.
"""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address, IPv4Network

from testbed.compile.fragment import NodePart
from testbed.model.subnet import Subnet
from testbed.plan import Interface, NftChain, NftMap, NftRule, NftTable
from testbed.plan.marks import AVAILABILITY_ZONE_SHIFT, BOTH_ADMITTED, ORIGINATOR_ADMITTED, RESPONDER_ADMITTED, SAME_SUBNET
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedInterface, ResolvedSubnet, ResolvedVpc

VPC_MTU_BYTES = 9001
INTERNET_MTU_BYTES = 1500
TABLE = "fabric"
FABRIC_END = IPv4Address("169.254.0.1")
"""Next hop of an internet gateway towards the fabric; it and GATEWAY_END have permanent neighbour entries and are never seen in a packet."""
GATEWAY_END = IPv4Address("169.254.0.2")
EVERYTHING = IPv4Network("0.0.0.0/0")
FIRST_TABLE = 10000
"""Kernel table of route table number 0: the kernel keeps 253-255 for itself."""

TRACKED = "ct state new,established"
"""A flow of its own, not an error message about one (`related`) and not half a flow (`invalid`): those are judged by the rules, packet by packet."""


def router(subnet: Subnet) -> IPv4Address:
    """The subnet's .1."""
    return subnet.cidr_block.network_address + 1


def device(interface: ResolvedInterface) -> str:
    """The fabric's end of an ENI's link."""
    return interface_name("e-", interface.node if interface.device == "eth0" else interface.id)


def gateway_device(gateway: str) -> str:
    """The fabric's end of an internet gateway's link."""
    return interface_name("e-", gateway)


def end(vpc: str, name: str, *, mtu_bytes: int = VPC_MTU_BYTES, proxy_arp: bool = False, origin: str) -> Interface:
    """An interface in the fabric. It answers ARP at once for addresses that exist elsewhere, and for no others (they have no route)."""
    sysctls = (("ipv4/neigh/{}/proxy_delay", "0"), ("proxy_arp", "1"), ("send_redirects", "0")) if proxy_arp else (("send_redirects", "0"),)
    return Interface(node=vpc, name=name, mac=mac_address(vpc, name), mtu_bytes=mtu_bytes, sysctls=sysctls, origin=origin)


def vpc_of(resolved: Resolved, vpc_id: str) -> ResolvedVpc:
    """The VPC with this id."""
    return next(v for v in resolved.vpcs if v.vpc.id == vpc_id)


def subnet_of(resolved: Resolved, subnet_id: str) -> ResolvedSubnet:
    """The subnet with this id."""
    return next(s for s in resolved.subnets if s.subnet.id == subnet_id)


def chains(vpc: str, *added: NftChain, maps: tuple[NftMap, ...] = ()) -> NodePart:
    """A part of the fabric that only adds to its table."""
    return NodePart(name=vpc, tables=(NftTable(name=TABLE, maps=maps, chains=added),))


def verdicts(name: str, elements: tuple[tuple[str, str], ...]) -> NftMap:
    """A verdict map keyed by interface name."""
    return NftMap(name=name, type="ifname", value_type="verdict", elements=elements)


def quoted(device_name: str) -> str:
    """An interface's name as an element of a set."""
    return f'"{device_name}"'


def subnet_mark(table_number: int, zone_number: int) -> tuple[int, int]:
    """The marks of a subnet's packets: those that leave it, and those that stay (no route table applies)."""
    zone = zone_number << AVAILABILITY_ZONE_SHIFT
    return zone | table_number, zone | SAME_SUBNET


def base_chains(destination_checked: bool) -> tuple[NftChain, ...]:
    """The chains that every fabric has. `destination_checked`: some route leads to an interface that takes only what is addressed to it."""
    check = (NftRule(statement="oifname vmap @destination_check"),) if destination_checked else ()
    return (
        NftChain(name="prerouting", hook="type filter hook prerouting priority raw; policy accept;", rules=(NftRule(statement="iifname vmap @from_interface"),)),
        NftChain(
            name="forward",
            hook="type filter hook forward priority filter; policy drop;",
            rules=(
                *check,
                NftRule(statement=f"{TRACKED} ct mark & {BOTH_ADMITTED:#x} == {BOTH_ADMITTED:#x} goto admitted", origin="admitted by both interfaces before"),
                NftRule(statement="jump sender"),
                NftRule(statement="jump border"),
                NftRule(statement="jump receiver"),
                NftRule(statement="accept"),
            ),
        ),
        NftChain(name="admitted", rules=(NftRule(statement="jump border"), NftRule(statement="accept"))),
        NftChain(
            name="border",
            rules=(
                NftRule(statement=f"meta mark & {SAME_SUBNET:#x} != 0 return", origin="same subnet"),
                NftRule(statement="iifname vmap @leave_subnet"),
                NftRule(statement="oifname vmap @enter_subnet"),
            ),
        ),
        *_end("sender", "iifname", ORIGINATOR_ADMITTED, RESPONDER_ADMITTED),
        *_end("receiver", "oifname", RESPONDER_ADMITTED, ORIGINATOR_ADMITTED),
    )


def _end(name: str, interface: str, forth: int, back: int) -> tuple[NftChain, NftChain]:
    """One end of a packet's way: its bit of the flow for a packet on the way forth, and on the way back."""
    return (
        NftChain(
            name=name,
            rules=(
                NftRule(statement=f"{TRACKED} ct direction original ct mark & {forth:#x} != 0 return", origin="admitted before"),
                NftRule(statement=f"{TRACKED} ct direction reply ct mark & {back:#x} != 0 return", origin="admitted before"),
                NftRule(statement=f"{interface} vmap @{name}_groups"),
                NftRule(statement=f"goto admit_{name}", origin="no security group at this end"),
            ),
        ),
        NftChain(
            name=f"admit_{name}",
            rules=(
                NftRule(statement=f"{TRACKED} ct direction original ct mark set ct mark | {forth:#x}"),
                NftRule(statement=f"{TRACKED} ct direction reply ct mark set ct mark | {back:#x}"),
            ),
        ),
    )


@cache
def ttl_table() -> NftTable:
    """Undo what forwarding does to the TTL: AWS's router and internet gateway are no hops (secondary source; see the facts).

    nft of Debian 12 can set a TTL to a constant only, hence a chain per value behind one hash look-up, and Linux's own initial value without it.
    """
    return NftTable(
        name="ttl",
        maps=(NftMap(name="next", type="typeof ip ttl", value_type="verdict", elements=tuple((str(n), f"goto ttl.{n + 1:03}") for n in range(1, 255))),),
        chains=(
            NftChain(name="prerouting", hook="type filter hook prerouting priority mangle; policy accept;", rules=(NftRule(statement="ip ttl 64 ip ttl set 65 accept"), NftRule(statement="ip ttl vmap @next"))),
            *(NftChain(name=f"ttl.{n:03}", rules=(NftRule(statement=f"ip ttl set {n}"),)) for n in range(2, 256)),
        ),
    )
