"""Flow logs become counters in the fabric, and the daemon that reads them; where nothing is logged there is neither.

    forward, before all filters   out_try   the logged interface sends
    border, past the ACL out      out_ok    … and its groups and its subnet's ACL have passed it;  in_try: it goes to a logged interface
    postrouting                   in_ok     … whose subnet's ACL and whose groups have passed it

Of an interface that forwards for others, the first and the last are in its port's namespace (`interface_port`), before and behind its groups, and the daemon reads both.
The sets are in the fabric's (or port's) own table, so that loading it anew sets them to zero together. What is answered by the fabric itself (Amazon DNS, instance
metadata, time, ARP) is never forwarded, hence never logged, as AWS documents. A key has at most five parts (nft of Debian 12), so each kind of TCP packet has a set of its own.

Source: VPC user guide, "Flow log records", "Flow log limitations" (documented).
NOT MODELLED: records of packets that no route takes, or that the source/destination check drops: no page says whether there are any, and such a packet is not forwarded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from services.common.config import Listen, Transport, encode
from services.flow_log.config import Config, Interface, Log, Port, Service, Way
from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.model.flow_log import FlowLog
from testbed.model.instance import Instance
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.plan import NftChain, NftRule, NftSet, NftTable, ServiceSpec
from testbed.resolve.resolved import EffectiveRoute, OwnerKind, Resolved, ResolvedInterface, ResolvedVpc, TargetKind

KIND = "flow_log"
LOGGED, LOGGED_HERE = "flow_log_devices", "flow_log_devices_here"
"""Sets of devices: all that are logged, and those of them whose groups are asked in this namespace."""
TRY, CROSSING, DONE = "flow_log_try", "flow_log_crossing", "flow_log_done"
PLACES = {"out_try": "iifname", "out_ok": "iifname", "in_try": "oifname", "in_ok": "oifname"}
ENDS_OF_WAY = ("out_try", "in_ok")
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
SAME_VPC, PEERING, PEERING_ELSEWHERE, GATEWAY_ENDPOINT, INTERNET_GATEWAY = 1, 4, 5, 7, 8
"""traffic-path: another resource of the VPC (a NAT gateway too), peering within the Region and to another, from Nitro instances by a gateway endpoint and an internet gateway."""
PATHS = {
    TargetKind.LOCAL: SAME_VPC, TargetKind.NAT_GATEWAY: SAME_VPC, TargetKind.NETWORK_INTERFACE: SAME_VPC, TargetKind.VPC_ENDPOINT: GATEWAY_ENDPOINT, TargetKind.INTERNET_GATEWAY: INTERNET_GATEWAY,
}  # fmt: skip
SERVICE_NAMES = {"s3": "S3", "dynamodb": "DYNAMODB"}
OTHER_SERVICE = "AMAZON"
"""As pkt-src-aws-service names every service that has no name of its own there."""
PORT_OF_NOBODY = 4739
"""An address in a port's namespace by which the daemon finds it; everything sent there is dropped."""


def lower(vpc: ResolvedVpc, resolved: Resolved) -> Fragment:
    """Counters and daemon of a VPC's logs."""
    logged = _logged(vpc.vpc.id, resolved)
    if not logged:
        return Fragment()
    name = vpc.vpc.id
    here = tuple(interface for interface, _ in logged if not fabric.has_port(interface))
    devices = NftSet(name=LOGGED, type="iface_index", elements=tuple(sorted(fabric.quoted(fabric.device(interface)) for interface, _ in logged)))
    sets = (devices, _device_set(LOGGED_HERE, *(fabric.device(interface) for interface in here)), *counter_sets(tuple(PLACES)))
    chains = (
        *_ends(LOGGED_HERE),
        NftChain(name=CROSSING, rules=(NftRule(statement=f"iif @{LOGGED} jump {counter_chain('out_ok')}"), NftRule(statement=f"oif @{LOGGED} jump {counter_chain('in_try')}"))),
        *counter_chains(PLACES),
    )
    config = Config(
        account=resolved.topology.account, region=vpc.vpc.region, vpc_id=name, table=fabric.TABLE, services=services_of(resolved),
        interfaces=tuple(_interface(interface, logs, resolved) for interface, logs in logged),
    )
    service = ServiceSpec(name=f"{name}.{KIND}", kind=KIND, node=name, config=encode(config), origin=name)
    own = Fragment(nodes=(NodePart(name=name, tables=(NftTable(name=fabric.TABLE, sets=sets, chains=chains),)),), services=(service,))
    return join(own, *(_at_port(interface) for interface, _ in logged if fabric.has_port(interface)))


def _at_port(interface: ResolvedInterface) -> Fragment:
    """What is counted before and behind the groups of an interface that forwards for others."""
    sets = (_device_set(LOGGED_HERE, fabric.PORT_GUEST), *counter_sets(ENDS_OF_WAY))
    table = NftTable(name=fabric.TABLE, sets=sets, chains=(*_ends(LOGGED_HERE), *counter_chains({place: PLACES[place] for place in ENDS_OF_WAY})))
    return Fragment(nodes=(NodePart(name=fabric.port_node(interface), tables=(table,)),))


def _ends(devices: str) -> tuple[NftChain, NftChain]:
    """The chains that count what a guest tries to send, and what comes through to it."""
    return (
        NftChain(name=TRY, hook="type filter hook forward priority -10; policy accept;", rules=(NftRule(statement=f"iif @{devices} jump {counter_chain('out_try')}"),)),
        NftChain(name=DONE, hook="type filter hook postrouting priority 300; policy accept;", rules=(NftRule(statement=f"oif @{devices} jump {counter_chain('in_ok')}"),)),
    )


def _device_set(name: str, *devices: str) -> NftSet:
    return NftSet(name=name, type="iface_index", elements=tuple(sorted(map(fabric.quoted, devices))))


def counter_sets(places: tuple[str, ...]) -> tuple[NftSet, ...]:
    """The sets that count at these places, one for each kind of packet."""
    return tuple(_set(place, kind) for place in places for kind in (*CONDITIONS, "other"))


def counter_chains(places: Mapping[str, str]) -> tuple[NftChain, ...]:
    """A chain that counts for each place, with whose interface: ``iifname`` or ``oifname``."""
    return tuple(NftChain(name=counter_chain(place), rules=_counting(place, interface)) for place, interface in places.items())


def crossing(vpc_id: str, resolved: Resolved) -> str:
    """The chain that the fabric's border has to call; empty where nothing is logged."""
    return CROSSING if _logged(vpc_id, resolved) else ""


def _logged(vpc_id: str, resolved: Resolved) -> tuple[tuple[ResolvedInterface, tuple[FlowLog, ...]], ...]:
    logs = resolved.topology.of(FlowLog)
    found = ((i, tuple(log for log in logs if log.resource_id in (i.id, i.subnet, i.vpc))) for i in resolved.interfaces_in(vpc_id))
    return tuple((interface, own) for interface, own in found if own)


def counter_chain(place: str) -> str:
    """The chain that counts at a place."""
    return f"flow_log_{place}"


def _set(place: str, kind: str) -> NftSet:
    return NftSet(name=f"flow_log_{place}_{kind}", type=WITHOUT_PORTS if kind == "other" else WITH_PORTS, flags=("dynamic", "timeout"), size=LARGEST_SET, timeout_s=FORGET_AFTER_S)


def _counting(place: str, interface: str) -> tuple[NftRule, ...]:
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
        az_id=zone_id(interface.availability_zone), ways=_ways(interface, resolved),
        logs=tuple(Log(id=log.id, traffic_type=log.traffic_type, interval_s=log.max_aggregation_interval, fields=log.fields) for log in logs),
        port=_port(interface) if fabric.has_port(interface) else None,
    )


def zone_id(zone: str) -> str:
    """``eu-west-1a`` → ``euw1-az1`` (AWS shuffles zones by account; that the letters are in order is assumed)."""
    area, direction, number = zone[:-1].split("-")
    short = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}.get(direction, direction[:1])
    return f"{area}{short}{number}-az{ord(zone[-1]) - ord('a') + 1}"


def _port(interface: ResolvedInterface) -> Port:
    at = Listen(address=IPv4Address("0.0.0.0"), port=PORT_OF_NOBODY, transport=Transport.UDP, namespace=fabric.port_node(interface))
    return Port(at=at, device=fabric.PORT_GUEST)


def _ways(interface: ResolvedInterface, resolved: Resolved) -> tuple[Way, ...]:
    """The routes of the interface's subnet, the longest prefix first, as traffic-path tells them."""
    subnet = fabric.subnet_of(resolved, interface.subnet)
    table = resolved.route_table(subnet.route_table)
    ordered = sorted(table.routes, key=lambda route: (-route.destination.prefixlen, route.destination))
    return tuple(Way(network=route.destination, path=_path(route, resolved)) for route in ordered)


def _path(route: EffectiveRoute, resolved: Resolved) -> int:
    if route.target_kind is not TargetKind.VPC_PEERING_CONNECTION:
        return PATHS.get(route.target_kind, 0)
    peering = next(each for each in resolved.topology.of(VpcPeeringConnection) if each.id == route.target)
    regions = {vpc.vpc.region for vpc in resolved.vpcs if vpc.vpc.id in (peering.vpc_id, peering.peer_vpc_id)}
    return PEERING if len(regions) == 1 else PEERING_ELSEWHERE


def services_of(resolved: Resolved) -> tuple[Service, ...]:
    """Public addresses of AWS's services."""
    return tuple(Service(name=SERVICE_NAMES.get(service.name, OTHER_SERVICE), network=service.block) for region in resolved.regions for service in region.aws_services)
