"""Mininet links made by one netlink message, ends named, addressed and up; or held by the userspace wire where they have a delay.

Closing a namespace takes its links away, so stopping a network deletes none; `delete` is for a live change.
"""

from __future__ import annotations

import itertools
from typing import Any

from mininet.link import Intf, Link

from testbed.engine import netlink
from testbed.engine.ethtool import send_whole_frames
from testbed.engine.netem import shape
from testbed.engine.nodes import LabNode
from testbed.engine.preflight import DelayLine, Tagging
from testbed.engine.wire import create_tap
from testbed.plan import Interface
from testbed.plan import Link as LinkSpec

_indexes = itertools.count(100)
"""Interface numbers are chosen here, so that nobody has to ask the kernel for them; unique in the lab, hence in each namespace."""


class LabIntf(Intf):  # type: ignore[misc]
    """One end of a link, as the plan describes it; Mininet's ifconfig-based configuration is not needed."""

    def __init__(self, spec: Interface, node: LabNode, link: LabLink) -> None:
        self.spec = spec
        super().__init__(spec.name, node=node, link=link, mac=spec.mac, moveIntfFn=_already_there)
        if spec.addresses:
            self.ip, self.prefixLen = str(spec.addresses[0].ip), spec.addresses[0].network.prefixlen

    def config(self, **_params: Any) -> dict[str, Any]:
        """Configured by `LabLink`, in one batch for both ends."""
        return {}

    def delete(self) -> None:
        """Forget the interface; the link has deleted it."""
        self.node.indexes.pop(self.name, None)
        self.node.delIntf(self)
        self.link = None


class LabLink(Link):  # type: ignore[misc]
    """A link of the plan. Raises OSError if the kernel refuses."""

    def __init__(
        self, node1: LabNode, node2: LabNode, *, spec: LinkSpec, delay_line: DelayLine = DelayLine.USERSPACE_WIRE, tagging: Tagging = Tagging.USERSPACE_WIRE, registry: dict[str, LabNode], **_params: Any
    ) -> None:
        self.spec = spec
        self.is_userspace_wire = tagging is Tagging.USERSPACE_WIRE if spec.vlan is not None else spec.wire is not None and delay_line is DelayLine.USERSPACE_WIRE
        self.node1, self.node2 = node1, node2
        ends = {node1.name: node1, node2.name: node2}
        first, second = ends[spec.a.node], ends[spec.b.node]
        if self.is_userspace_wire:
            self._taps(first, second)
        elif spec.vlan is not None:
            self._vlan(spec.vlan.tag, first, second, registry)
        else:
            self._veth(first, second)
        for end, node in ((spec.a, first), (spec.b, second)):
            configure_end(end, node)
            if spec.wire is not None and not self.is_userspace_wire:
                shape(node.namespace.descriptor, end.name, spec.wire)
        self.intf1, self.intf2 = LabIntf(spec.a, first, self), LabIntf(spec.b, second, self)
        for node in (first, second):
            node.link_made()

    def _veth(self, first: LabNode, second: LabNode) -> None:
        a, b = self.spec.a, self.spec.b
        first.indexes[a.name], second.indexes[b.name] = next(_indexes), next(_indexes)
        batch = netlink.Batch()
        batch.veth(
            netlink.VethEnd(a.name, first.namespace.descriptor, a.mac, a.mtu_bytes, first.indexes[a.name]),
            netlink.VethEnd(b.name, second.namespace.descriptor, b.mac, b.mtu_bytes, second.indexes[b.name]),
        )
        first.namespace.netlink.send(batch)

    def _vlan(self, tag: int, first: LabNode, second: LabNode, registry: dict[str, LabNode]) -> None:
        for end, node, (parent_node, parent_name) in zip((self.spec.a, self.spec.b), (first, second), self.spec.parents, strict=True):
            below = registry[parent_node]
            node.indexes[end.name] = next(_indexes)
            batch = netlink.Batch()
            batch.up(below.indexes[parent_name])  # a VLAN cannot be raised before its trunk
            batch.vlan(netlink.VethEnd(end.name, node.namespace.descriptor, end.mac, end.mtu_bytes, node.indexes[end.name]), below.indexes[parent_name], tag)
            below.namespace.netlink.send(batch)

    def _taps(self, first: LabNode, second: LabNode) -> None:
        for end, node in ((self.spec.a, first), (self.spec.b, second)):
            create_tap(node.namespace.descriptor, end.name)
            batch = netlink.Batch()
            batch.configure_link(end.name, mac=end.mac, mtu_bytes=end.mtu_bytes)
            node.namespace.netlink.send(batch)
            node.indexes[end.name] = node.namespace.netlink.index(end.name)

    def stop(self) -> None:
        """The namespaces' end is the link's."""

    def delete(self) -> None:
        """Take the link away from a living network."""
        batch = netlink.Batch()
        batch.delete_link(self.intf1.name)
        self.intf1.node.namespace.netlink.send(batch)
        if self.is_userspace_wire or self.spec.vlan is not None:
            batch = netlink.Batch()
            batch.delete_link(self.intf2.name)
            self.intf2.node.namespace.netlink.send(batch)
        super().delete()


def configure_end(end: Interface, node: LabNode) -> None:
    """Leave it to the node's next message to bring up one interface that exists, with its addresses; its sysctls are set at once."""
    node.pending.up(node.indexes[end.name])
    for address in end.addresses:
        node.pending.address(node.indexes[end.name], address)
    node.write_sysctls(sysctls_of(end))
    if not end.offloads:
        send_whole_frames(node, end.name)


def change_link(link: LabLink, new: LinkSpec) -> None:
    """Give a link other addresses, MTU, sysctls or wire parameters in place."""
    old = link.spec
    for before, after, intf in ((old.a, new.a, link.intf1), (old.b, new.b, link.intf2)):
        node = intf.node
        batch = netlink.Batch()
        if before.mtu_bytes != after.mtu_bytes:
            batch.configure_link(after.name, mtu_bytes=after.mtu_bytes)
        for address in sorted(set(before.addresses) - set(after.addresses)):
            batch.address(node.indexes[after.name], address, delete=True)
        for address in sorted(set(after.addresses) - set(before.addresses)):
            batch.address(node.indexes[after.name], address)
        node.namespace.netlink.send(batch)
        node.write_sysctls(sysctls_of(after))
        if new.wire is not None and new.wire != old.wire and not link.is_userspace_wire:
            shape(node.namespace.descriptor, after.name, new.wire)
        intf.spec = after
    link.spec = new


def sysctls_of(end: Interface) -> tuple[tuple[str, str], ...]:
    """The interface's sysctls as paths under net/."""
    return tuple((key.format(end.name) if "/" in key else f"ipv4/conf/{end.name}/{key}", value) for key, value in end.sysctls)


def _already_there(_name: str, _node: LabNode) -> None:
    """Both ends were created in their namespaces; Mininet need not move them."""
