"""Why the model drops a packet, in one sentence, and what would let it pass.

    security group   add an ingress or egress rule, from the group of the other end where it has one
    network ACL      add a rule, for a reply one for the ephemeral ports; or a lower number than the rule that denies
    route            add a route, or point a blackhole at something that exists
    transit gateway  associate, propagate, add a route, enable the zone
    gateways         a public address, a NAT gateway, a balancer: whatever AWS's own pages advise

Source: VPC user guide, "Network ACLs" (ephemeral ports), "Security group rules", "Internet gateways", "Troubleshoot NAT gateways" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.values import Packet, Protocol, Verdict
from testbed.oracle.places import Places
from testbed.oracle.walk import Hop, Leg, Path, Stage, Walk
from testbed.oracle.words import packet_words

EPHEMERAL = "1024-65535"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """`cause` says why the packet is dropped, `remedy` what would let it pass; both are sentences, or empty where there is nothing to say."""

    cause: str = ""
    remedy: str = ""


def advise(walk: Walk, places: Places) -> Advice:
    """What to say of a walk that ends in a drop; empty for one that does not."""
    path = walk.deciding
    last = path.hops[-1]
    if last.verdict is not Verdict.DENY:
        return Advice()
    vpc = _vpc_of(path, places)
    match last.stage:
        case Stage.SECURITY_GROUP:
            return _group(last, vpc, places)
        case Stage.NETWORK_ACL:
            return _acl(last, path, places)
        case Stage.ROUTE:
            return _route(last)
        case Stage.TRANSIT_GATEWAY:
            return _transit_gateway(last)
        case Stage.INTERNET_GATEWAY:
            return _internet_gateway(last)
        case Stage.INTERFACE:
            return _interface(last)
        case Stage.NAT_GATEWAY:
            return Advice(cause=f"{last.where} passes only what was asked for from inside ({last.origin}).", remedy=f"reach hosts behind {last.where} through a load balancer, or give them public addresses")
        case Stage.NETWORK_FIREWALL:
            return _network_firewall(last)
        case Stage.INTERNET:
            return _internet(last, places)
        case Stage.GLOBAL_ACCELERATOR:
            return Advice(cause=f"{last.origin} for {packet_words(last.packet)}.", remedy="add a listener with this protocol and port, an endpoint group whose traffic dial is above 0, and in it an endpoint of a weight above 0")
        case _:
            return Advice(cause=f"{last.origin}.")


def _group(hop: Hop, vpc: str, places: Places) -> Advice:
    groups, _, rest = hop.origin.partition("#")
    flow = rest.partition(" ")[0]
    inward = flow == "ingress"
    other = hop.packet.source if inward else hop.packet.destination
    far = places.by_vpc.get((vpc, other))
    whom = far.groups[0].id if far is not None and far.groups else _prefix_list(other, places) or f"{other}/32"
    group = groups.split(",")[0]
    preposition = "from" if inward else "to"
    cause = f"No {flow} rule of {groups.replace(',', ' or ')} admits {packet_words(hop.packet)} {preposition} {other}."
    return Advice(cause=cause, remedy=f"add to {group} an {flow} rule {_rule(hop.packet)} {preposition} {whom}")


def _acl(hop: Hop, path: Path, places: Places) -> Advice:
    acl, _, number = hop.origin.partition("#")
    packet, direction = hop.packet, hop.direction
    far = packet.source if direction == "inbound" else packet.destination
    whom = f"{'from' if direction == 'inbound' else 'to'} {_block(far, places)}"
    is_reply = path.leg is Leg.REPLY and packet.protocol in (Protocol.TCP, Protocol.UDP)
    what = f"{packet.protocol.name.lower()} for ports {EPHEMERAL}" if is_reply else _rule(packet)
    denies = f"denies it by rule {number}" if number != "*" else "has no rule that allows it"
    if is_reply:
        asked = f"The request arrived, but its reply goes to the ephemeral port {packet.destination_port}, and {acl} {denies} {direction}: network ACLs are stateless, replies need a rule of their own."
    else:
        reply = "The request arrived, but its reply" if path.leg is Leg.REPLY else f"{packet_words(packet).capitalize()}"
        asked = f"{reply} crosses the border of {hop.where} {direction}, and {acl} {denies}{': network ACLs are stateless' if path.leg is Leg.REPLY else ''}."
    if number == "*":
        return Advice(cause=asked, remedy=f"add to {acl} an {direction} rule that allows {what} {whom}")
    return Advice(cause=asked, remedy=f"remove {acl}'s {direction} rule {number}, or allow {what} {whom} under a lower number")


def _route(hop: Hop) -> Advice:
    if "blackhole" in hop.origin:
        return Advice(cause=f"{hop.origin}: the route's target does not exist any more.", remedy=f"point the route in {hop.where} at a target that exists, or remove it")
    return Advice(cause=f"{hop.where} has no route to {hop.packet.destination}.", remedy=f"add to {hop.where} a route whose destination contains {hop.packet.destination}")


def _transit_gateway(hop: Hop) -> Advice:
    origin, destination = hop.origin, hop.packet.destination
    if "has no subnet in" in origin:
        attachment, zone = origin.partition(": ")[2].split(" ")[0], origin.rpartition(" ")[2]
        cause = f"{hop.packet.source} is in {zone}, where {attachment} has no subnet: a sender reaches {hop.where} only in a zone that its attachment enables."
        return Advice(cause=cause, remedy=f"add a subnet in {zone} to the subnet_ids of {attachment}")
    if origin.endswith("-> blackhole"):
        return Advice(cause=f"{origin}: the table drops what goes there.", remedy=f"remove the blackhole, or add a more specific route to {destination}, if they are to meet")
    if "no route to" in origin:
        table = origin.partition(":")[0]
        return Advice(cause=f"{table} has no route to {destination}.", remedy=f"let the attachment that leads to {destination} propagate into {table}, or add a static route there")
    if "associated with no route table" in origin:
        return Advice(cause=f"{origin}.", remedy="name the attachment in the associations of a transit gateway route table")
    return Advice(cause=f"{origin}.")


def _network_firewall(hop: Hop) -> Advice:
    if "stream exception policy" in hop.origin:
        cause = f"{hop.origin}: request and reply went by different endpoints, and each knows only the flows that it has seen begin."
        return Advice(cause=cause, remedy="route both directions through one endpoint; behind a transit gateway, set appliance_mode_support on the inspection VPC's attachment")
    if "larger than" in hop.origin:
        return Advice(cause=f"{hop.origin}.")
    return Advice(cause=f"{hop.origin} drops {packet_words(hop.packet)} at {hop.where}.", remedy=f"change {hop.origin.partition('#')[0].split(' ')[0]}, or let a rule that is asked before it pass this traffic")


def _internet_gateway(hop: Hop) -> Advice:
    if "public address" in hop.origin:
        cause = f"{hop.packet.source} has no public address, so {hop.where} cannot translate it: a route to an internet gateway is not enough."
        return Advice(cause=cause, remedy="associate an Elastic IP with the interface, or route its subnet through a NAT gateway")
    return Advice(cause=f"{hop.origin}.", remedy="attach an internet gateway to the VPC, and route to it")


def _interface(hop: Hop) -> Advice:
    if "source/destination check" in hop.origin:
        return Advice(cause=f"{hop.where} takes only packets addressed to it: its source/destination check drops one for {hop.packet.destination}.", remedy=f"set source_dest_check=False on {hop.where}")
    return Advice(cause=f"No interface has the address {hop.packet.destination}.", remedy="use the address of an interface that exists")


def _internet(hop: Hop, places: Places) -> Advice:
    destination = hop.packet.destination
    owners = [place for (_, address), place in places.by_vpc.items() if address == destination]
    if not owners:
        return Advice(cause=f"Nobody on the internet has {destination}.")
    public = owners[0].public_address
    remedy = f"use its public address {public}" if public is not None else f"give {owners[0].node} a public address, put a load balancer before it, or connect by VPN"
    return Advice(cause=f"{destination} is the private address of {owners[0].node}: the internet has no route to it.", remedy=remedy)


def _rule(packet: Packet) -> str:
    if packet.protocol is Protocol.ICMP:
        return f"icmp type {packet.icmp_type}"
    return f"{packet.protocol.name.lower()} {packet.destination_port}"


def _prefix_list(address: IPv4Address, places: Places) -> str:
    """The prefix list of an AWS service that has the address, as "Gateway endpoints" advises (documented); empty if none has."""
    return next((name for name in sorted(places.prefix_lists) if address in places.prefix_lists[name]), "")


def _block(address: IPv4Address, places: Places) -> str:
    """The subnet of an address, as ACL rules name it; else the address."""
    blocks = {IPv4Network(place.subnet.cidr_block) for place in places.by_interface.values() if address in place.subnet.cidr_block}
    return str(min(blocks, default=IPv4Network(address)))


def _vpc_of(path: Path, places: Places) -> str:
    """The VPC in which the last judge stands."""
    last = path.hops[-1].where
    interface = places.by_interface.get(last)
    return interface.vpc.id if interface is not None else ""
