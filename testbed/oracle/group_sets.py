"""What security groups say of many addresses at once: sets of addresses as the bits of a number.

A group's rules that match a flow's protocol and port each admit a set of far ends; a group admits their union, an interface that of its groups. `places` with every
group open show what everything else says.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from testbed.model.security_group import ALLOW_ALL_OUTBOUND, Flow, Members, SecurityGroup, SecurityGroupRule
from testbed.model.values import Packet, Protocol
from testbed.oracle.places import InterfacePlace, Places


class GroupSets:
    """Far ends by their place in `addresses`. `packet` is a flow's first one, whoever its ends are; `named` what a rule may name instead of a block."""

    def __init__(self, addresses: tuple[IPv4Address, ...], named: Members, packet: Packet) -> None:
        self._addresses, self._named, self._packet = addresses, named, packet
        order = sorted(range(len(addresses)), key=lambda index: addresses[index])
        self._sorted = [int(addresses[index]) for index in order]
        self._below = [0]
        """The set of the first n addresses in order, for each n."""
        for index in order:
            self._below.append(self._below[-1] | 1 << index)
        self._sets: dict[str, int] = {}
        self._admitted: dict[tuple[str, Flow], int] = {}

    def admitted(self, groups: tuple[SecurityGroup, ...], flow: Flow) -> int:
        """The far ends that an interface with these groups admits; bit n is address n."""
        total = 0
        for group in groups:
            key = (group.id, flow)
            if key not in self._admitted:
                self._admitted[key] = self._of_group(group, flow)
            total |= self._admitted[key]
        return total

    def _of_group(self, group: SecurityGroup, flow: Flow) -> int:
        total = 0
        for rule in group.rules(flow):
            if rule.speaks_of(self._packet):
                total |= self._far_side(rule)
        return total

    def _far_side(self, rule: SecurityGroupRule) -> int:
        if rule.cidr_ip is not None:
            return self._inside(rule.cidr_ip)
        name = rule.security_group_id or rule.prefix_list_id or ""
        if name not in self._sets:
            named = self._named.get(name, ())
            self._sets[name] = sum(1 << index for index, address in enumerate(self._addresses) if address in named)
        return self._sets[name]

    def _inside(self, block: IPv4Network) -> int:
        first, last = int(block.network_address), int(block.broadcast_address)
        return self._below[bisect_right(self._sorted, last)] & ~self._below[bisect_left(self._sorted, first)]


def relevant(group: SecurityGroup, protocol: Protocol, ports: tuple[int | None, ...]) -> Iterator[SecurityGroupRule]:
    """The rules of a group that may have a say about a flow of this protocol, to any of these ports."""
    for flow in Flow:
        for rule in group.rules(flow):
            number = rule.protocol_number()
            first, last = rule.from_port, rule.to_port
            speaks = protocol is Protocol.ICMP or first is None or last is None or any(port is not None and first <= port <= last for port in ports)
            if number == Protocol.ANY or (number == protocol and speaks):
                yield rule


def without_groups(places: Places) -> Places:
    """The same places, every group open."""
    opened = copy.copy(places)

    def open_place(place: InterfacePlace) -> InterfacePlace:
        group = SecurityGroup(id="open", vpc_id=place.vpc.id, security_group_ingress=ALLOW_ALL_OUTBOUND)
        return replace(place, groups=(group,))

    by_id = {place.id: open_place(place) for place in places.by_interface.values()}
    opened.by_interface = by_id
    opened.by_vpc = {key: by_id[place.id] for key, place in places.by_vpc.items()}
    opened.by_public_address = {key: by_id[place.id] for key, place in places.by_public_address.items()}
    opened.by_node = {key: tuple(by_id[place.id] for place in found) for key, found in places.by_node.items()}
    return opened
