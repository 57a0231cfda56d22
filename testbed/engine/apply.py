"""A live change: make a running network what another plan says, touching only what differs.

`plan.diff` says what differs; this module carries it out, in the order that it names. Afterwards the configured state is that of a
fresh start of the new plan. Flows that the change does not concern go on; those that it ends are told.

An interface is up only once the rules that judge its packets are there: links that go, links that come (down), rulesets, then addresses and routes.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from testbed.engine import netlink, nft
from testbed.engine.coalescing import coalesce
from testbed.engine.ethtool import settle
from testbed.engine.links import LabLink, change_link
from testbed.engine.nodes import FORWARDING, ForwardingNode, LabNode, add_route, nearest_first
from testbed.engine.status import Summary
from testbed.plan import Link, Node, Plan
from testbed.plan.diff import Change, EndedFlows, NodeChange, diff

if TYPE_CHECKING:
    from testbed.engine.topo import PlanTopo

log = logging.getLogger(__name__)
CONNTRACK_SIDES = ("--orig-src", "--orig-dst", "--reply-src", "--reply-dst")


def apply(net: Any, topo: PlanTopo, old: Plan, new: Plan, *, patient: bool = True) -> Summary:
    """Carry out the difference; `patient`: return once every service is ready again. Raises OSError or RealiseError naming what the machine refused; what was done until then stays done."""
    change = diff(old, new)
    specs = {node.name: node for node in new.nodes}
    topo.plan = new
    topo.supervisor.time_scale = new.time_scale
    topo.supervisor.remove(tuple(service.name for service in change.services_removed))
    replaced = [changed for changed in change.links_changed if changed.remade]
    numbers = _numbers(topo, (*change.links_removed, *(changed.old for changed in replaced)))
    for link in change.links_removed:
        net.delLink(_link(net, link))
    for node in change.nodes_removed:
        _remove_node(net, topo, node)
    for node in change.nodes_added:
        _add_node(net, topo, node)
    for link in sorted(change.links_added, key=lambda link: link.vlan is not None):
        net.addLink(link.a.node, link.b.node, **topo.making(link))
    for changed in replaced:
        net.delLink(_link(net, changed.old))
        net.addLink(changed.new.a.node, changed.new.b.node, **topo.making(changed.new))
    for node_change in change.nodes_changed:
        if node_change.ruleset:
            nft.change(node_change, numbers.get(node_change.name, {}), topo.built[node_change.name].namespace.descriptor)
    for changed in change.links_changed:
        if not changed.remade:
            change_link(_link(net, changed.old), changed.new)
    for added in change.nodes_added:
        topo.built[added.name].realise()
    for node in topo.built.values():
        node.flush()
    gone = {(node, device) for node, devices in numbers.items() for device in devices}
    disturbed = {(end.node, end.name) for changed in change.links_changed for end in (changed.new.a, changed.new.b)}
    disturbed |= gone & {(end.node, end.name) for link in change.links_added for end in (link.a, link.b)}
    for node_change in change.nodes_changed:
        _change_node(topo.built[node_change.name], node_change, {device for name, device in gone if name == node_change.name})
    for name, node in topo.built.items():
        node.spec = specs[name]
    for name in sorted({name for name, _ in disturbed} & specs.keys()):
        restore(topo.built[name], {device for owner, device in disturbed if owner == name})
    topo.wires.change(topo.userspace_wires(), made_anew=any(link.wire is not None or link.vlan is not None for link in change.links_added))
    for link in (*change.links_added, *(changed.new for changed in replaced)):
        for end in (link.a, link.b):
            settle(topo.built[end.node], (end.name,))
            coalesce(topo.built[end.node], (end.name,) if end.coalesces else ())
    _forget_flows(topo, change.flows_ended)
    _change_services(topo, change, patient=patient)
    return _summary(change)


def _numbers(topo: PlanTopo, links: Iterable[Link]) -> dict[str, dict[str, int]]:
    """The kernel's numbers of the links' ends, by node and device."""
    numbers: dict[str, dict[str, int]] = {}
    for link in links:
        for end in (link.a, link.b):
            numbers.setdefault(end.node, {})[end.name] = topo.built[end.node].indexes[end.name]
    return numbers


def _link(net: Any, spec: Link) -> LabLink:
    for link in net.links:
        if link.spec.key == spec.key:
            return link  # type: ignore[no-any-return]
    raise KeyError(spec.key)


def _remove_node(net: Any, topo: PlanTopo, spec: Node) -> None:
    node = topo.built.pop(spec.name)
    (net.switches if node in net.switches else net.hosts).remove(node)
    del net.nameToNode[spec.name]
    node.terminate()


def _add_node(net: Any, topo: PlanTopo, spec: Node) -> None:
    if spec.kind in FORWARDING:
        net.addSwitch(spec.name, cls=ForwardingNode, spec=spec, namespaces=topo.namespaces, registry=topo.built)
    else:
        net.addHost(spec.name, cls=LabNode, spec=spec, namespaces=topo.namespaces, registry=topo.built)


def _change_node(node: LabNode, change: NodeChange, gone: set[str]) -> None:
    """Change one node in place; what hung on interfaces that are `gone` went with them."""
    batch = netlink.Batch()
    for rule in change.rules.removed:
        batch.rule(priority=rule.priority, mark=rule.mark, mask=rule.mask, table=rule.table, source=rule.source, delete=True)
    for route in sorted(change.routes.removed, key=nearest_first, reverse=True):
        if route.device not in gone:
            add_route(batch, route, node.indexes, delete=True)
    for neighbour in change.neighbours.removed:
        if neighbour.device not in gone:
            batch.neighbour(node.indexes[neighbour.device], neighbour.address, neighbour.mac, delete=True)
    for address in change.loopback.removed:
        batch.address(netlink.LOOPBACK_INDEX, address, delete=True)
    for address in change.loopback.added:
        batch.address(netlink.LOOPBACK_INDEX, address)
    for neighbour in change.neighbours.added:
        batch.neighbour(node.indexes[neighbour.device], neighbour.address, neighbour.mac)
    for route in sorted(change.routes.added, key=nearest_first):
        add_route(batch, route, node.indexes)
    for rule in change.rules.added:
        batch.rule(priority=rule.priority, mark=rule.mark, mask=rule.mask, table=rule.table, source=rule.source)
    node.write_sysctls(change.sysctls)
    node.namespace.netlink.send(batch)
    if change.settings:
        node.forget_view()


def restore(node: LabNode, disturbed: set[str]) -> None:
    """Put back what hung on interfaces that were made anew or readdressed: the kernel takes routes and neighbours away with them."""
    batch = netlink.Batch(may_exist=True)
    for neighbour in node.spec.neighbours:
        if neighbour.device in disturbed:
            batch.neighbour(node.indexes[neighbour.device], neighbour.address, neighbour.mac)
    for route in sorted(node.spec.routes, key=nearest_first):
        if route.device in disturbed:
            add_route(batch, route, node.indexes)
    node.namespace.netlink.send(batch)


def _forget_flows(topo: PlanTopo, flows: Iterable[EndedFlows]) -> None:
    """Make connection tracking forget the flows of addresses that moved or went."""
    for ended in flows:
        node = topo.built.get(ended.node)
        if node is None or ended.address is None:
            continue
        for side in CONNTRACK_SIDES:
            done = node.popen(["conntrack", "-D", side, str(ended.address)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            _, words = done.communicate()
            if done.returncode not in (0, 1):  # 1: there was none
                log.warning("conntrack in %s: %s", ended.node, words.decode(errors="replace").strip())


def _change_services(topo: PlanTopo, change: Change, *, patient: bool) -> None:
    """New services may need what reloaded ones will know (a name), and reloaded ones may need new ones to be ready (a target's first health check): whoever is not patient lets them meet as they come."""
    added = {service.name for service in change.services_added}
    held = tuple(service for service in change.services_reloaded if patient and added & set(service.after))
    topo.supervisor.add(change.services_added)
    for service in change.services_restarted:
        topo.supervisor.replace(service, reload=False)
    for service in change.services_reloaded:
        if service not in held:
            topo.supervisor.replace(service, reload=True)
    if not patient:
        return
    topo.supervisor.wait_ready()
    for service in held:
        topo.supervisor.replace(service, reload=True)
    topo.supervisor.wait_ready()


def _summary(change: Change) -> Summary:
    def of_links(links: Iterable[Link]) -> tuple[str, ...]:
        return tuple(f"{link.a.node} - {link.b.node}" for link in links)

    return Summary(
        nodes_added=tuple(node.name for node in change.nodes_added),
        nodes_removed=tuple(node.name for node in change.nodes_removed),
        nodes_changed=tuple(f"{node.name}: {', '.join(node.parts)}" for node in change.nodes_changed),
        links_added=of_links(change.links_added),
        links_removed=of_links(change.links_removed),
        links_changed=of_links(changed.new for changed in change.links_changed),
        services_added=tuple(service.name for service in change.services_added),
        services_removed=tuple(service.name for service in change.services_removed),
        services_restarted=tuple(service.name for service in change.services_restarted),
        services_reloaded=tuple(service.name for service in change.services_reloaded),
        flows_ended=tuple(flows.sentence for flows in change.flows_ended),
    )
