"""Flow logs become counters in the fabric, and the daemon that reads them; where nothing is logged there is neither.

    forward, before all filters   out_try   the logged interface sends
    border, past the ACL out      out_ok    … and its groups and its subnet's ACL have passed it;  in_try: it goes to a logged interface
    postrouting                   in_ok     … whose subnet's ACL and whose groups have passed it

The sets of all places are in the fabric's own table, so that loading it anew sets them to zero together. What is answered by the fabric itself (Amazon DNS, instance
metadata, time, ARP) is never forwarded, hence never logged, as AWS documents. A key has at most five parts (nft of Debian 12), so each kind of TCP packet has a set of its own.

Source: VPC user guide, "Flow log records", "Flow log limitations" (documented).
NOT MODELLED: records of packets that no route takes, or that the source/destination check drops; REJECT by the groups of an interface that forwards for others
(they are asked before its packets come here).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from services.common.config import encode
from services.flow_log.config import Config, Interface, Log
from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.vpc_peering_connection import peerings_of
from testbed.model.flow_log import FlowLog
from testbed.model.instance import Instance
from testbed.plan import NftChain, NftRule, NftSet, NftTable, ServiceSpec
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface, ResolvedVpc, TargetKind

KIND = "flow_log"
LOGGED = "flow_log_devices"
TRY, CROSSING, DONE = "flow_log_try", "flow_log_crossing", "flow_log_done"
PLACES = {"out_try": "iifname", "out_ok": "iifname", "in_try": "oifname", "in_ok": "oifname"}
ENDS = "ip saddr . ip daddr"
PORTS = {"tcp": "tcp sport . tcp dport", "udp": "udp sport . udp dport"}
WITH_PORTS, WITHOUT_PORTS = "ifname . ipv4_addr . ipv4_addr . inet_service . inet_service", "ifname . inet_proto . ipv4_addr . ipv4_addr"
CONDITIONS = {
    "syn": "tcp flags & (fin | syn | rst | ack) == syn", "synack": "tcp flags & (fin | syn | rst | ack) == (syn | ack)",
    "rst": "tcp flags & rst != 0", "fin": "tcp flags & fin != 0", "tcp": "meta l4proto tcp", "udp": "meta l4proto udp",
}
"""The first that holds names the kind; any other packet is ``other``."""
LARGEST_SET = 65535
FORGET_AFTER_S = 1800
LONG_NITRO_INTERNET, SAME_VPC = 8, 1
"""traffic-path through an internet gateway from a Nitro instance, and through another resource of the VPC (a NAT gateway)."""


def lower(vpc: ResolvedVpc, resolved: Resolved) -> Fragment:
    """Counters and daemon of a VPC's logs."""
    logged = _logged(vpc.vpc.id, resolved)
    if not logged:
        return Fragment()
    name = vpc.vpc.id
    devices = NftSet(name=LOGGED, type="ifname", elements=tuple(sorted(fabric.quoted(fabric.device(interface)) for interface, _ in logged)))
    sets = (devices, *(_set(place, kind) for place in PLACES for kind in (*CONDITIONS, "other")))
    chains = (
        NftChain(name=TRY, hook="type filter hook forward priority -10; policy accept;", rules=(NftRule(statement=f"iifname @{LOGGED} jump {_chain('out_try')}"),)),
        NftChain(name=CROSSING, rules=(NftRule(statement=f"iifname @{LOGGED} jump {_chain('out_ok')}"), NftRule(statement=f"oifname @{LOGGED} jump {_chain('in_try')}"))),
        NftChain(name=DONE, hook="type filter hook postrouting priority 300; policy accept;", rules=(NftRule(statement=f"oifname @{LOGGED} jump {_chain('in_ok')}"),)),
        *(NftChain(name=_chain(place), rules=_counting(place)) for place in PLACES),
    )
    peers = tuple(network for peering in peerings_of(name, resolved) for network in _peer_networks(peering.other(name), resolved))
    config = Config(
        account=resolved.topology.account, region=vpc.vpc.region, vpc_id=name, table=fabric.TABLE, networks=vpc.vpc.cidr_blocks, peered=peers,
        interfaces=tuple(_interface(interface, logs, resolved) for interface, logs in logged),
    )
    service = ServiceSpec(name=f"{name}.{KIND}", kind=KIND, node=name, config=encode(config), origin=name)
    return Fragment(nodes=(NodePart(name=name, tables=(NftTable(name=fabric.TABLE, sets=sets, chains=chains),)),), services=(service,))


def crossing(vpc_id: str, resolved: Resolved) -> str:
    """The chain that the fabric's border has to call; empty where nothing is logged."""
    return CROSSING if _logged(vpc_id, resolved) else ""


def _logged(vpc_id: str, resolved: Resolved) -> tuple[tuple[ResolvedInterface, tuple[FlowLog, ...]], ...]:
    logs = resolved.topology.of(FlowLog)
    found = ((i, tuple(log for log in logs if log.resource_id in (i.id, i.subnet, i.vpc))) for i in resolved.interfaces if i.vpc == vpc_id)
    return tuple((interface, own) for interface, own in found if own)


def _peer_networks(vpc_id: str, resolved: Resolved) -> tuple[IPv4Network, ...]:
    return next((vpc.vpc.cidr_blocks for vpc in resolved.vpcs if vpc.vpc.id == vpc_id), ())


def _chain(place: str) -> str:
    return f"flow_log_{place}"


def _set(place: str, kind: str) -> NftSet:
    return NftSet(name=f"flow_log_{place}_{kind}", type=WITHOUT_PORTS if kind == "other" else WITH_PORTS, flags=("dynamic", "timeout"), size=LARGEST_SET, timeout_s=FORGET_AFTER_S)


def _counting(place: str) -> tuple[NftRule, ...]:
    interface = PLACES[place]
    rules = [
        NftRule(statement=f"{condition} update @flow_log_{place}_{kind} {{ {interface} . {ENDS} . {PORTS['udp' if kind == 'udp' else 'tcp']} counter }} return")
        for kind, condition in CONDITIONS.items()
    ]
    return (*rules, NftRule(statement=f"update @flow_log_{place}_other {{ {interface} . ip protocol . {ENDS} counter }}"))


def _interface(interface: ResolvedInterface, logs: tuple[FlowLog, ...], resolved: Resolved) -> Interface:
    instances = {instance.id for instance in resolved.topology.of(Instance)}
    return Interface(
        device=fabric.device(interface), interface_id=interface.id, subnet_id=interface.subnet, address=interface.address, addresses=interface.addresses,
        instance_id=interface.owner if interface.owner_kind is OwnerKind.INSTANCE and interface.owner in instances else "",
        az_id=_zone_id(interface.availability_zone), outside_path=_outside_path(interface, resolved),
        logs=tuple(Log(id=log.id, traffic_type=log.traffic_type, interval_s=log.max_aggregation_interval, fields=log.fields) for log in logs),
    )


def _zone_id(zone: str) -> str:
    """``eu-west-1a`` → ``euw1-az1`` (AWS shuffles zones by account; that the letters are in order is assumed)."""
    area, direction, number = zone[:-1].split("-")
    short = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}.get(direction, direction[:1])
    return f"{area}{short}{number}-az{ord(zone[-1]) - ord('a') + 1}"


def _outside_path(interface: ResolvedInterface, resolved: Resolved) -> int:
    """traffic-path of what leaves the VPC by the subnet's default route; 0 where there is none."""
    subnet = fabric.subnet_of(resolved, interface.subnet)
    table = next(table for table in resolved.route_tables if table.id == subnet.route_table)
    default = next((route for route in table.routes if route.destination == fabric.EVERYTHING), None)
    if default is None or default.target_kind is TargetKind.BLACKHOLE:
        return 0
    return LONG_NITRO_INTERNET if default.target_kind is TargetKind.INTERNET_GATEWAY else SAME_VPC
