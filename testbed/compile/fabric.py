"""Words that the lowerings of one VPC share: names in its fabric's namespace, and the walk of a packet through its chains.

    prerouting (raw)   own_addresses: source check ─> subnet.<id>: mark = route table, zone, SAME_SUBNET
                         │not in it: from.<eni> says why, if anything
    (TTL)              kept: forwarding takes one, AWS's router takes none (secondary source; see the facts)
    ip rule            mark -> route table
    forward            both ends admitted this flow? ──yes──> border ─> accept
                         │no, or ICMP
                       sender ─> border ─> receiver ─> accept
    sender, receiver   this end's bit is set? return. Else union.<flow>.<groups>: interval maps -> <group>.<flow>.<rule> -> admit
    admit              a flow that is not tracked here: return, the rules judge every packet of it. Else, on a packet of the way forth: set the bit
    border             not SAME_SUBNET: ACL outbound of the subnet left, then ACL inbound of the subnet entered, without state
    input              the resolver's addresses; nothing else is answered

Devices are held by number (decision 0008). One that is in no map is a stranger, and what comes from it or goes to it is dropped.
Source: VPC user guide, "Configure route tables", "Network ACLs", "Security group rules" (documented).
An interface without source/destination check has no end here: its groups and their state are in a namespace of its own (`interface_port`), because what
it forwards crosses the fabric twice as one 5-tuple, under one connection mark, whose bits are the two real ends'.
A packet on the way back never sets a bit: else a reply that its own rules allow would keep a flow alive whose rule is gone.
NOT MODELLED: an interface that has admitted a flow forgets it if the first packet was dropped further on (the fabric's table keeps only what passed it);
a TTL of 255 arrives as 254; SCTP, DCCP, UDP-Lite and GRE are told apart by their ports or keys, where AWS looks at addresses and protocol.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.compile import resets
from testbed.compile.fragment import NodePart
from testbed.model.subnet import Subnet
from testbed.model.values import Protocol
from testbed.plan import Interface, NftChain, NftMap, NftRule, NftSet, NftTable, Route
from testbed.plan.marks import AVAILABILITY_ZONE_SHIFT, BOTH_ADMITTED, ORIGINATOR_ADMITTED, RESPONDER_ADMITTED, SAME_SUBNET
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface, ResolvedSubnet, ResolvedVpc

VPC_MTU_BYTES = 9001
INTERNET_MTU_BYTES = 1500
TABLE = "fabric"
FABRIC_END = IPv4Address("169.254.0.1")
"""Next hop of an internet gateway towards the fabric; it and GATEWAY_END have permanent neighbour entries and are never seen in a packet."""
GATEWAY_END = IPv4Address("169.254.0.2")
PEERING_PREFIX = "p-"
TRANSIT_GATEWAY_PREFIX = "t-"
EVERYTHING = IPv4Network("0.0.0.0/0")
OWN_ADDRESSES = "own_addresses"
"""Map of (device, MAC address, address) that the source/destination check lets pass, to the subnet's chain."""
END_MAPS = ("receiver_groups", "receiver_untracked", "sender_groups", "sender_untracked")
ALWAYS_TRACKED = "always_tracked"
"""Set of devices: flows to and from what is behind them are tracked at their other end whatever its rules say."""
FORWARDERS, FORWARDERS_ADDRESSES = "forwarders", "forwarders_addresses"
"""Sets of devices behind which is what forwards for others, and of these devices with their own addresses."""
PORT_GUEST = "guest"
"""A port's device on its guest's side."""
SAME_SUBNET_HOPS = "same_subnet_hops"
DOORS = "doors"
"""Set of devices behind which there is no network interface but the way to another network: gateways, peerings, and the fabric itself (lo)."""
STRANGER = "no interface of this VPC"
"""Why a packet from or to a device is dropped that is in no map: the kernel holds devices by number, and a number that nobody knows shall open nothing."""
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


def peering_device(peering: str) -> str:
    """A fabric's end of a VPC peering connection; no other device's name begins like this."""
    return interface_name(PEERING_PREFIX, peering)


def transit_gateway_device(attachment: str, zone: str) -> str:
    """A fabric's end of a transit gateway's attachment in one zone (its letter); no other device's name begins like this."""
    return interface_name(TRANSIT_GATEWAY_PREFIX, f"{attachment}-{zone}")


def through(device_name: str, destination: IPv4Network, table: int, origin: str) -> Route:
    """A route out of the fabric by a gateway's or peering's device; `GATEWAY_END` has a permanent neighbour entry there."""
    return Route(destination=destination, device=device_name, via=GATEWAY_END, onlink=True, table=table, origin=origin)


def end(vpc: str, name: str, *, mtu_bytes: int = VPC_MTU_BYTES, proxy_arp: bool = False, origin: str) -> Interface:
    """An interface in the fabric. It answers ARP at once for addresses that exist elsewhere, and for no others (they have no route)."""
    sysctls = (("ipv4/neigh/{}/proxy_delay", "0"), ("proxy_arp", "1"), ("send_redirects", "0")) if proxy_arp else (("send_redirects", "0"),)
    return Interface(node=vpc, name=name, mac=mac_address(vpc, name), mtu_bytes=mtu_bytes, sysctls=sysctls, origin=origin)


def addresses(interface: ResolvedInterface) -> str:
    """An interface's private addresses in nft's words: one, or a set."""
    own = sorted(interface.addresses)
    return str(own[0]) if len(own) == 1 else f"{{ {', '.join(map(str, own))} }}"


def has_port(interface: ResolvedInterface) -> bool:
    """An instance's interface without source/destination check: its groups are enforced in a port of its own. A NAT gateway's has no groups to enforce."""
    return not interface.source_dest_check and interface.owner_kind is OwnerKind.INSTANCE


def inspects(interface: ResolvedInterface) -> bool:
    """An endpoint of a Gateway Load Balancer or a network firewall: what enters by it leaves by it again as the same 5-tuple, and nobody's groups are asked there."""
    return interface.owner_kind is OwnerKind.NETWORK_FIREWALL or (not interface.source_dest_check and interface.owner_kind is OwnerKind.VPC_ENDPOINT)


def is_end(interface: ResolvedInterface) -> bool:
    """Whether flows end there as far as the fabric knows: not at what hands a flow on as it is, with its own groups or none."""
    return not has_port(interface) and not inspects(interface)


def port_node(interface: ResolvedInterface) -> str:
    """The namespace of such a port."""
    return f"port-{interface.id}"


def vpc_of(resolved: Resolved, vpc_id: str) -> ResolvedVpc:
    """The VPC with this id."""
    return resolved.vpc(vpc_id)


def subnet_of(resolved: Resolved, subnet_id: str) -> ResolvedSubnet:
    """The subnet with this id."""
    return resolved.subnet(subnet_id)


def chains(vpc: str, *added: NftChain, maps: tuple[NftMap, ...] = ()) -> NodePart:
    """A part of the fabric that only adds to its table."""
    return NodePart(name=vpc, tables=(NftTable(name=TABLE, maps=maps, chains=added),))


def verdicts(name: str, elements: tuple[tuple[str, str], ...]) -> NftMap:
    """A verdict map keyed by interface: named in the text, numbered in the kernel, which compares numbers faster than names."""
    return NftMap(name=name, type="iface_index", value_type="verdict", elements=elements)


def own_addresses(elements: tuple[tuple[str, str], ...]) -> NftMap:
    """The map of `OWN_ADDRESSES` with these elements."""
    return NftMap(name=OWN_ADDRESSES, type="iface_index . ether_addr . ipv4_addr", value_type="verdict", elements=elements)


def within(field: str, block: IPv4Network) -> str:
    """That an address of a packet (``saddr``, ``daddr``) lies in `block`, nft's words for which the kernel is quick: it copies an odd number of bytes slowly, and nft
    loads three for a ``/24``, so that one is compared under its mask."""
    if block.prefixlen != 24:
        return f"ip {field} {block}"
    return f"ip {field} & {block.netmask} == {block.network_address}"


def door(vpc: str, device_name: str) -> NodePart:
    """The fabric's knowledge that a device is no network interface's."""
    return NodePart(name=vpc, tables=(NftTable(name=TABLE, sets=(doors(quoted(device_name)),)),))


def doors(*elements: str) -> NftSet:
    """The set of `DOORS` with these devices."""
    return NftSet(name=DOORS, type="iface_index", elements=elements)


def quoted(device_name: str) -> str:
    """An interface's name as an element of a set."""
    return f'"{device_name}"'


def subnet_mark(table_number: int, zone_number: int) -> tuple[int, int]:
    """The marks of a subnet's packets: those that leave it, and those that stay (no route table applies)."""
    zone = zone_number << AVAILABILITY_ZONE_SHIFT
    return zone | table_number, zone | SAME_SUBNET


def base_chains(destination_checked: bool, same_subnet_hops: bool = False, crossing: str = "", appliances: bool = False) -> tuple[NftChain, ...]:
    """The chains that every fabric has.

    `destination_checked`: some route leads to an interface that takes only what is addressed to it. `same_subnet_hops`: some route leads to one
    in the sender's own subnet, so that no border is crossed on the way there ("not as it is routed within a subnet": "Network ACLs"; documented).
    `crossing` is a chain that sees every packet which its sender's side has passed (`flow_log`); empty for none. `appliances`: some instance forwards for others.

    What stops a packet drops it by a rule with a name; what lets one pass returns. So `forward` itself accepts, and a flow that both ends have admitted has its border alone
    to cross. Errors about flows have their flow's mark and are not asked for by their state, which costs more, but by their protocol: all ICMP takes the longer way.
    """
    check = (NftRule(statement="oif vmap @destination_check"),) if destination_checked else ()
    again = (resets.remember(FORWARDERS),) if appliances else ()
    within = (NftRule(statement=f"iif . oif @{SAME_SUBNET_HOPS} return", origin="next hop in the same subnet"),) if same_subnet_hops else ()
    staying = [f"meta mark & {SAME_SUBNET:#x} != 0", *([f"iif . oif @{SAME_SUBNET_HOPS}"] if same_subnet_hops else [])]
    seen_staying = tuple(NftRule(statement=f"{condition} jump {crossing}") for condition in staying) if crossing else ()
    seen_leaving = (NftRule(statement=f"jump {crossing}"),) if crossing else ()
    enter = (NftRule(statement="oif vmap @enter_subnet"), NftRule(statement=f"oif @{DOORS} return"), NftRule(statement="counter drop", origin=STRANGER))
    return (
        NftChain(
            name="prerouting",
            hook="type filter hook prerouting priority raw; policy accept;",
            rules=(
                NftRule(statement=f"iif . ether saddr . ip saddr vmap @{OWN_ADDRESSES}"),
                NftRule(statement="iif vmap @from_interface"),
                NftRule(statement=f"iif @{DOORS} accept"),
                NftRule(statement="counter drop", origin=STRANGER),
            ),
        ),
        NftChain(
            name="forward",
            hook="type filter hook forward priority filter; policy accept;",
            rules=(
                *check,
                NftRule(statement=f"ip protocol != {Protocol.ICMP:d} ct mark & {BOTH_ADMITTED:#x} == {BOTH_ADMITTED:#x} goto {'admitted' if again else 'border'}", origin="admitted by both interfaces before"),
                NftRule(statement="jump sender"),
                NftRule(statement="jump border"),
                NftRule(statement="jump receiver"),
                *again,
                NftRule(statement="accept"),
            ),
        ),
        *((NftChain(name="admitted", rules=(NftRule(statement="jump border"), *again, NftRule(statement="accept"))),) if again else ()),
        NftChain(
            name="border",
            rules=(
                *seen_staying,
                NftRule(statement=f"meta mark & {SAME_SUBNET:#x} != 0 return", origin="same subnet"),
                *within,
                NftRule(statement="iif vmap @leave_subnet"),
                *seen_leaving,
                *enter,
            ),
        ),
        NftChain(name="enter", rules=enter),
        *ends(appliances),
        _path_mtu(),
    )


def _path_mtu() -> NftChain:
    """The one message that the fabric itself originates. AWS says that it needs a rule in ACL and security group to arrive ("Network MTU", "Network ACLs"; documented)."""
    too_big = "icmp type destination-unreachable icmp code frag-needed"
    return NftChain(
        name="path_mtu",
        hook="type filter hook output priority filter; policy accept;",
        rules=(
            NftRule(statement=f"{too_big} jump enter"),
            NftRule(statement=f"{too_big} oif vmap @receiver_groups"),
            NftRule(statement="icmp type time-exceeded counter drop", origin="no hop, so silent about a TTL of 0"),
        ),
    )


def ends(appliances: bool) -> tuple[NftChain, ...]:
    """The chains that ask the groups of a packet's two ends, and remember what they admit. They use the maps of `END_MAPS`, with `appliances` `resets`' sets too."""
    again = (resets.known(FORWARDERS),) if appliances else ()
    return (*_end("sender", "iif", ORIGINATOR_ADMITTED, RESPONDER_ADMITTED, again), *_end("receiver", "oif", RESPONDER_ADMITTED, ORIGINATOR_ADMITTED, again))


def _end(name: str, interface: str, forth: int, back: int, again: tuple[NftRule, ...]) -> tuple[NftChain, ...]:
    """One end of a packet's way: its bit of the flow for a packet on the way forth, and on the way back."""
    return (
        NftChain(
            name=name,
            rules=(
                NftRule(statement=f"{TRACKED} ct direction original ct mark & {forth:#x} != 0 return", origin="admitted before"),
                NftRule(statement=f"{TRACKED} ct direction reply ct mark & {back:#x} != 0 return", origin="admitted before"),
                *again,
                NftRule(statement=f"{interface} vmap @{name}_groups"),
                NftRule(statement=f"{interface} @{DOORS} goto admit_{name}", origin="no security group at this end"),
                NftRule(statement="counter drop", origin=STRANGER),
            ),
        ),
        NftChain(
            name=f"admit_{name}",
            rules=(NftRule(statement=f"meta l4proto {{ tcp, udp }} {interface} vmap @{name}_untracked"), NftRule(statement=f"goto track_{name}")),
        ),
        NftChain(name=f"track_{name}", rules=(NftRule(statement=f"{TRACKED} ct direction original ct mark set ct mark | {forth:#x}"),)),
    )
