"""Faults of traffic mirroring across resources: sessions, targets and filters that name nothing, or disagree."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from testbed.model.traffic_mirror import TrafficMirrorFilter, TrafficMirrorSession, TrafficMirrorTarget
from testbed.model.values import Fault, unknown_faults
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """References of sessions and targets; a session to its own source; a session number used twice at one source."""
    topology = references.topology
    known: Collection[str] = {interface.id for interface in interfaces}
    targets = {target.id: target for target in topology.of(TrafficMirrorTarget)}
    filters = {each.id for each in topology.of(TrafficMirrorFilter)}
    for target in targets.values():
        yield from unknown_faults(target.id, "network_interface_id", target.network_interface_id, known)
    used: dict[tuple[str, int], str] = {}
    for session in topology.of(TrafficMirrorSession):
        yield from unknown_faults(session.id, "network_interface_id", session.network_interface_id, known)
        yield from unknown_faults(session.id, "traffic_mirror_target_id", session.traffic_mirror_target_id, targets)
        yield from unknown_faults(session.id, "traffic_mirror_filter_id", session.traffic_mirror_filter_id, filters)
        named = targets.get(session.traffic_mirror_target_id)
        if named is not None and named.network_interface_id == session.network_interface_id:
            yield Fault(resource=session.id, problem="the source is its own target", remedy="mirror to another interface")
        first = used.setdefault((session.network_interface_id, session.session_number), session.id)
        if first != session.id:
            yield Fault(resource=session.id, problem=f"session_number {session.session_number} of {session.network_interface_id} is {first}'s already", remedy="number the sessions of a source differently")
