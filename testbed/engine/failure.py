"""What has been made to fail in a running lab, and how it is healed: part of the lab's state, never of its plan.

    cut         no carrier, at both ends. A TAP's carrier is taken away; a veth pair has none of its own, so both ends go down, and what the kernel then
                forgets (routes, neighbours) is put back when it is healed, but for routes of daemons, which put them back themselves
    blackhole   the carrier stays, every frame is lost: dropped where it arrives, at both ends (nftables, ingress)
    loss        so many of a hundred frames are lost there; whole segments are cut into frames first, so that one loss is one packet
    delay       added to that of the link, one way: by the link's userspace wire, else by netem. A veth pair on a kernel without netem cannot be delayed
    kill        a service ends as by kill -9 and stays away

A node fails with all its links and services, an Availability Zone with all its nodes. What several failures do to one link adds up. A change of the plan heals nothing: see `Failures.around`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from testbed.engine import netlink, nft
from testbed.engine.apply import restore
from testbed.engine.errors import RealiseError
from testbed.engine.ethtool import settle
from testbed.engine.links import LabLink
from testbed.engine.netem import shape, unshape
from testbed.engine.preflight import DelayLine, delay_line
from testbed.engine.status import Failure, FailureMode
from testbed.plan import Link, Plan, Wire
from testbed.plan.names import identifier

if TYPE_CHECKING:
    from testbed.engine.topo import PlanTopo

FIRST_OF_ALL = -500
WHOLE_SEGMENTS, SINGLE_FRAMES = 65535, 1
LINKED = "--"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """All that fails on one link."""

    cut: bool = False
    loss_percent: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0

    @property
    def lost_percent(self) -> float:
        """What must be dropped. The kernel may take a second to see that a carrier has gone; a cut cable carries nothing at once."""
        return 100.0 if self.cut else self.loss_percent


HEALTHY = Fault()


def affected(plan: Plan, what: str) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """The links and services that `what` means: a node (its links, its services), a zone (all its nodes), a service, ``NODE--NODE``, ``NODE/INTERFACE``, or the AWS resource that a link is for.

    Raises RealiseError, with the nearest names, if there is nothing of this name.
    """
    links: tuple[Link, ...] = ()
    services: tuple[str, ...] = ()
    nodes = {node.name for node in plan.nodes if what in (node.name, node.zone)}
    if nodes:
        links = tuple(link for link in plan.links if link.a.node in nodes or link.b.node in nodes)
        services = tuple(service.name for service in plan.services if service.node in nodes)
    elif any(service.name == what for service in plan.services):
        services = (what,)
    else:
        links = tuple(link for link in plan.links if what in _names(link))
    if not links and not services:
        near = difflib.get_close_matches(what, names(plan), n=3, cutoff=0.4)
        raise RealiseError(f"nothing in {plan.name} is called {what!r}", f"did you mean {' or '.join(near)}?" if near else "name a node, a service, NODE--NODE or NODE/INTERFACE")
    trunks = {link.key for link in links}
    return (*links, *(link for link in plan.links if link.vlan is not None and link.vlan.trunk in trunks and link not in links)), services


def names(plan: Plan) -> tuple[str, ...]:
    """Everything that can fail, by name."""
    found = {node.name for node in plan.nodes} | set(zones(plan)) | {service.name for service in plan.services}
    return tuple(sorted(found.union(*(_names(link) for link in plan.links)) if plan.links else sorted(found)))


def zones(plan: Plan) -> tuple[str, ...]:
    """The zones that some node is in, by name."""
    return tuple(sorted({node.zone for node in plan.nodes} - {""}))


def name_of(link: Link) -> str:
    """A link as ``NODE--NODE``."""
    return f"{link.a.node}{LINKED}{link.b.node}"


def _names(link: Link) -> set[str]:
    ends = {f"{end.node}/{end.name}" for end in (link.a, link.b)}
    return {*ends, name_of(link), f"{link.b.node}{LINKED}{link.a.node}", *(origin for origin in (link.origin, link.a.origin, link.b.origin) if origin)}


class Failures:
    """The failures of one lab."""

    def __init__(self, net: Any, topo: PlanTopo) -> None:
        self._net, self._topo = net, topo
        self._failures: dict[str, Failure] = {}
        self._in_force: dict[tuple[str, str, str, str], Fault] = {}

    def all(self) -> tuple[Failure, ...]:
        """What fails now, by name."""
        return tuple(self._failures[what] for what in sorted(self._failures))

    def fail(self, what: str, mode: FailureMode, *, loss_percent: float = 0.0, delay_ms: float = 0.0, jitter_ms: float = 0.0) -> Failure:
        """Make something fail, in place of how it failed before. Raises RealiseError if there is no such thing, or this machine cannot do that to it."""
        links, services = affected(self._topo.plan, what)
        if services and not links and mode is not FailureMode.CUT:
            raise RealiseError(f"{what} is a service: it can be killed, but not {mode.value}", "leave --mode out, or name a link")
        if mode is FailureMode.DELAY:
            for link in links:
                self._refuse_delay(link)
        killed = services if mode is FailureMode.CUT else ()
        failure = Failure(
            what=what, mode=mode, links=tuple(sorted({name_of(link) for link in links})), services=killed, loss_percent=loss_percent, delay_ms=delay_ms, jitter_ms=jitter_ms
        )
        before = self._failures.get(what)
        self._failures[what] = failure
        try:
            self._enforce(links)
        except (OSError, RealiseError):
            self._failures.pop(what)
            if before is not None:
                self._failures[what] = before
            self._enforce(links)
            raise
        self._topo.supervisor.hold(killed)
        if before is not None:
            self._topo.supervisor.release(self._freed(before))
        return failure

    def heal(self, what: str | None = None) -> tuple[Failure, ...]:
        """Heal what failed under this name; None heals everything. Raises RealiseError if nothing fails under it."""
        if what is not None and what not in self._failures:
            failing = ", ".join(sorted(self._failures))
            raise RealiseError(f"{what} has not been made to fail", f"failing now: {failing}" if failing else "nothing fails now")
        healed = self.all() if what is None else (self._failures[what],)
        links = [link for failure in healed for link in affected(self._topo.plan, failure.what)[0]]
        for failure in healed:
            del self._failures[failure.what]
        self._enforce(links)
        for failure in healed:
            self._topo.supervisor.release(self._freed(failure))
        return healed

    @contextmanager
    def around(self, new: Plan) -> Iterator[None]:
        """While the network becomes `new`, what is cut loses every frame instead, for routes cannot be changed on an interface that is down; added delays pause. Then all that the new plan still has fails as before."""
        if not (self._failures or self._in_force):
            yield
            return
        staying = {service.name for service in new.services}
        for what in tuple(self._failures):
            if what not in names(new):
                gone = self._failures.pop(what)
                self._enforce(affected(self._topo.plan, what)[0])
                self._topo.supervisor.release(tuple(service for service in self._freed(gone) if service in staying))  # what goes is not started once more
        for link in self._topo.plan.links:
            fault = self._in_force.get(link.key, HEALTHY)
            self._change(link, Fault(loss_percent=100.0 if fault.cut else fault.loss_percent))
        made_before = {id(made) for made in self._net.links}
        try:
            yield
        finally:
            kept = {made.spec.key for made in self._net.links if id(made) in made_before}
            self._in_force = {key: fault for key, fault in self._in_force.items() if key in kept}  # what was made anew is healthy
            self._enforce(self._topo.plan.links)
            for what, failure in self._failures.items():
                links, services = affected(self._topo.plan, what)
                held = services if failure.mode is FailureMode.CUT else ()
                self._failures[what] = replace(failure, links=tuple(sorted({name_of(link) for link in links})), services=held)
                self._topo.supervisor.hold(held)

    def _freed(self, failure: Failure) -> tuple[str, ...]:
        held = {service for other in self._failures.values() for service in other.services}
        return tuple(service for service in failure.services if service not in held)

    def _enforce(self, links: Iterable[Link]) -> None:
        wanted: dict[tuple[str, str, str, str], Fault] = {}
        for failure in self._failures.values():
            for link in affected(self._topo.plan, failure.what)[0]:
                wanted[link.key] = _together(wanted.get(link.key, HEALTHY), failure)
        for link in links:
            self._change(link, wanted.get(link.key, HEALTHY))

    def _change(self, link: Link, fault: Fault) -> None:
        before = self._in_force.get(link.key, HEALTHY)
        if fault == before:
            return
        self._in_force[link.key] = fault
        made = next(made for made in self._net.links if made.spec.key == link.key)
        if (fault.delay_ms, fault.jitter_ms) != (before.delay_ms, before.jitter_ms):
            self._delay(link, made, fault)
        if fault.lost_percent != before.lost_percent:
            _lose(made, fault.lost_percent)
        if fault.cut != before.cut:
            _carry(made, not fault.cut)

    def _refuse_delay(self, link: Link) -> None:
        made = next(made for made in self._net.links if made.spec.key == link.key)
        on_a_wire = made.is_userspace_wire and link.vlan is None
        if not on_a_wire and (link.vlan is not None or delay_line() is not DelayLine.NETEM):
            problem = "is a VLAN: what delays it is its trunk" if link.vlan is not None else "is a veth pair, which only netem can delay, and this kernel has none"
            raise RealiseError(f"{name_of(link)} {problem}", "fail a link between cities or sites, which has a wire of its own; loss, blackhole and cut work on every link")

    def _delay(self, link: Link, made: LabLink, fault: Fault) -> None:
        own = link.wire or Wire()
        wire = Wire(delay_ms=own.delay_ms + fault.delay_ms, jitter_ms=own.jitter_ms + fault.jitter_ms, loss_percent=own.loss_percent, rate_mbit=own.rate_mbit)
        if made.is_userspace_wire:
            if link.vlan is None:
                self._topo.wires.set(self._wire_number(link), wire)
            return
        for intf in (made.intf1, made.intf2):
            if wire == Wire():
                unshape(intf.node.namespace.descriptor, intf.name)
            else:
                shape(intf.node.namespace.descriptor, intf.name, wire)

    def _wire_number(self, link: Link) -> int:
        end = (self._topo.built[link.a.node].namespace.descriptor, link.a.name)
        return next(number for number, wire in enumerate(self._topo.userspace_wires()) if wire.a == end)


def _together(fault: Fault, failure: Failure) -> Fault:
    """What a link suffers from one failure more."""
    lost = {FailureMode.BLACKHOLE: 100.0, FailureMode.LOSS: failure.loss_percent}.get(failure.mode, 0.0)
    return Fault(
        cut=fault.cut or failure.mode is FailureMode.CUT,
        loss_percent=100 - (100 - fault.loss_percent) * (100 - lost) / 100,
        delay_ms=fault.delay_ms + failure.delay_ms,
        jitter_ms=fault.jitter_ms + failure.jitter_ms,
    )


def _lose(made: LabLink, percent: float) -> None:
    """Lose frames where they arrive, at both ends."""
    for intf in (made.intf1, made.intf2):
        namespace, table = intf.node.namespace, identifier("failure", intf.name)
        batch = netlink.Batch()
        batch.segments(intf.node.indexes[intf.name], SINGLE_FRAMES if 0 < percent < 100 else WHOLE_SEGMENTS)
        namespace.netlink.send(batch)
        namespace.rest()
        known = f"table netdev {table}\ndelete table netdev {table}\n"
        if not percent:
            nft.load_text(known, namespace.descriptor)
            continue
        chance = "" if percent >= 100 else f"numgen random mod 100000 < {round(percent * 1000)} "
        hook = f'type filter hook ingress device "{intf.name}" priority {FIRST_OF_ALL}; policy accept;'
        rule = f'{chance}counter drop comment "testbed fail: {percent:g}% lost"'
        nft.load_text(f"{known}table netdev {table} {{\n  chain lost {{\n    {hook}\n    {rule}\n  }}\n}}\n", namespace.descriptor)


def _carry(made: LabLink, carries: bool) -> None:
    """Give a link its carrier, or take it away, at both ends."""
    for intf in (made.intf1, made.intf2):
        batch, index = netlink.Batch(), intf.node.indexes[intf.name]
        if made.is_userspace_wire:
            batch.carrier(index, carries)
        else:
            batch.up(index, up=carries)
        intf.node.namespace.netlink.send(batch)
        intf.node.namespace.rest()
    if carries and not made.is_userspace_wire:
        for intf in (made.intf1, made.intf2):
            restore(intf.node, {intf.name})
    if carries:
        for intf in (made.intf1, made.intf2):
            settle(intf.node, (intf.name,))
