"""Traffic mirroring becomes a daemon in the fabric, which sends copies from there: past the target's ACL and groups, as the copies' receiver.

Source: VPC Traffic Mirroring guide, "Traffic mirroring limitations"; "Traffic mirror targets": the target has to admit UDP 4789 (documented). That the source's own groups are not
asked about copies is documented for outbound rules.
NOT MODELLED: a target in another VPC; copies do not count against a bandwidth, since interfaces have none here.
"""

from __future__ import annotations

from services.common.config import encode
from services.traffic_mirror.config import Config, Rule, Session, Source
from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.model.network_acl import Direction
from testbed.model.traffic_mirror import TrafficMirrorFilter, TrafficMirrorFilterRule, TrafficMirrorSession, TrafficMirrorTarget
from testbed.model.values import PortRange, Verdict
from testbed.plan import NftChain, NftRule, NftTable, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedInterface, ResolvedVpc

KIND = "traffic_mirror"
VXLAN_PORT = 4789


def lower(vpc: ResolvedVpc, resolved: Resolved) -> Fragment:
    """The daemon of a VPC's mirror sources, and the judgement of its copies; nothing where nothing is mirrored."""
    name = vpc.vpc.id
    if not resolved.topology.of(TrafficMirrorSession):
        return Fragment()
    sources = tuple(source for interface in resolved.interfaces_in(name) if (source := _source(interface, resolved)) is not None)
    if not sources:
        return Fragment()
    copies = f"udp dport {VXLAN_PORT}"
    chain = NftChain(
        name="mirrored", hook="type filter hook output priority filter; policy accept;",
        rules=(NftRule(statement=f"{copies} jump enter"), NftRule(statement=f"{copies} oif vmap @receiver_groups")),
    )
    service = ServiceSpec(name=f"{name}.{KIND}", kind=KIND, node=name, config=encode(Config(mtu_bytes=fabric.VPC_MTU_BYTES, sources=sources)), origin=name)
    return Fragment(nodes=(NodePart(name=name, tables=(NftTable(name=fabric.TABLE, chains=(chain,)),)),), services=(service,))


def _source(interface: ResolvedInterface, resolved: Resolved) -> Source | None:
    sessions = [session for session in resolved.topology.of(TrafficMirrorSession) if session.network_interface_id == interface.id]
    found = [_session(session, interface, resolved) for session in sorted(sessions, key=lambda session: session.session_number)]
    here = tuple(session for session in found if session is not None)
    return Source(device=fabric.device(interface), address=interface.address, sessions=here) if here else None


def _session(session: TrafficMirrorSession, source: ResolvedInterface, resolved: Resolved) -> Session | None:
    target = next(target for target in resolved.topology.of(TrafficMirrorTarget) if target.id == session.traffic_mirror_target_id)
    interface = next((i for i in resolved.interfaces_in(source.vpc) if i.id == target.network_interface_id), None)
    if interface is None:
        return None
    filters = next(each for each in resolved.topology.of(TrafficMirrorFilter) if each.id == session.traffic_mirror_filter_id)
    rules = tuple(_rule(rule) for rule in sorted(filters.rules, key=lambda rule: (rule.traffic_direction.value, rule.rule_number)))
    return Session(id=session.id, target=interface.address, vni=session.virtual_network_id, length_bytes=session.packet_length or 0, rules=rules)


def _rule(rule: TrafficMirrorFilterRule) -> Rule:
    return Rule(
        inbound=rule.traffic_direction is Direction.INBOUND, accept=rule.rule_action is Verdict.ALLOW, protocol=int(rule.protocol), source=rule.source_cidr_block,
        destination=rule.destination_cidr_block, source_ports=_ports(rule.source_port_range), destination_ports=_ports(rule.destination_port_range),
    )


def _ports(ports: PortRange | None) -> tuple[int, int]:
    return (0, 65535) if ports is None else (ports.first, ports.last)
