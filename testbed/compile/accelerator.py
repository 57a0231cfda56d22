"""Global Accelerator at one edge location: a namespace that takes what comes to accelerators' static addresses, and sends it on over AWS's own network.

    city ══ city ┐                                                                                    ┌ x-ga-vpc-… ══ wire, light's own delay ══ a VPC's exit (`endpoint_group`)
                 ┴─ address, protocol, port ─▶ listener's chain: hash ─▶ slot ─▶ dnat to an endpoint ─┴ x-ga-eu-…  ══ a Region's exit
    prerouting      fragments of TCP: drop
    forward         known flow, or its first packet ─▶ on; TCP without a flow (idle, or never seen) ─▶ RST to whoever sent it; anything else: drop
    input           BGP and BFD with the city; answers to health checks

An endpoint's address on this network stands for its own (`resolve.accelerators`): private addresses of several VPCs may be the same. The client's address is kept until the exit.
A flow keeps its endpoint whatever becomes of the slots, which `services.global_accelerator` writes by health: failover is for new flows.
Source: Global Accelerator developer guide, "How AWS Global Accelerator works" (idle timeouts; fragments of TCP are dropped, of UDP passed), "Client affinity" (documented).
Assumed: a static address answers nothing but its listeners' ports; a packet of no known connection is answered by a reset; the edge is a hop.
NOT MODELLED: TCP ended at the edge and begun anew towards the endpoint (a process would have to carry every byte): here the handshake is the endpoint's, so that connecting takes the whole way's
round trip in place of the edge's.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network

from services.common.config import HealthCheck, encode
from services.global_accelerator.config import SLOTS, Config, Endpoint, Listener, Way, spread
from services.global_accelerator.config import EndpointGroup as GroupConfig
from testbed.compile import accelerator_link, accelerator_speaker, shield_protection, shield_standard
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.instance import service_name as instance_service_name
from testbed.compile.per_topology import per_topology
from testbed.compile.places import city_of, forwarding_sysctls, region_of
from testbed.compile.zone_health import zone_health_file
from testbed.model.accelerator import SOURCE_IP, AcceleratorListener
from testbed.model.endpoint_group import EndpointGroup
from testbed.model.geography import round_trip_ms
from testbed.model.instance import Instance, WebApplication
from testbed.model.load_balancer import LoadBalancer
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, Route, ServiceSpec
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_accelerator import AcceleratorEdge

KIND, TABLE = "global_accelerator", "global_accelerator"
TCP_IDLE_S, UDP_IDLE_S = 340, 30
ADDRESSES = "static_addresses"
ACCEPTED = "200-399"
"""What Route 53's checkers take for healthy ("How Route 53 determines whether a health check is healthy": 2xx and 3xx; documented)."""


def lower(edge: AcceleratorEdge, resolved: Resolved) -> Fragment:
    """The location's node, its links to its city and to every exit, its speaker and its daemon."""
    city = city_of(resolved, edge.city)
    served = tuple(sorted((address, accelerator.id) for accelerator in resolved.accelerators if accelerator.enabled for address in accelerator.addresses))
    label = f"Global Accelerator {edge.code} ({edge.city})"
    identity = Node(name=edge.node, kind=NodeKind.EDGE_LOCATION, label=label, origin="Global Accelerator", city=edge.city, group=city.node, hosts=served)
    inside = tuple(
        Route(destination=IPv4Network(address), device=accelerator_link.edge_device(exit), via=accelerator_link.EXIT_END, onlink=True, source=edge.address, origin=f"Global Accelerator to {exit.node}")
        for exit in resolved.accelerator_exits
        for address in sorted({way.inside for way in resolved.accelerated_ways if way.exit == exit.node})
    )
    part = NodePart(
        name=edge.node,
        identity=identity,
        loopback=(IPv4Interface(edge.address),),
        sysctls=sysctls(resolved),
        routes=(accelerator_link.default_route(edge), *inside),
        tables=(_table(edge, resolved),),
    )
    links = (accelerator_link.to_city(edge, resolved), *(accelerator_link.to_exit(edge, exit, resolved) for exit in resolved.accelerator_exits))
    shield = shield_standard.at_gateway(edge.node, accelerator_link.CITY_DEVICE, shield_protection.protected_accelerators(resolved), resolved)
    return join(Fragment(nodes=(part, shield), services=(*accelerator_speaker.lower(edge, resolved), *_services(edge, resolved))), *links)


def sysctls(resolved: Resolved) -> tuple[tuple[str, str], ...]:
    """Idle timeouts in this lab's time; a TCP packet without a connection makes none."""

    def scaled(seconds: int) -> str:
        return str(max(1, round(seconds / resolved.topology.time_scale)))

    return (
        *forwarding_sysctls(),
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("netfilter/nf_conntrack_tcp_loose", "0"),
        ("netfilter/nf_conntrack_tcp_timeout_established", scaled(TCP_IDLE_S)),
        ("netfilter/nf_conntrack_udp_timeout", scaled(UDP_IDLE_S)),
        ("netfilter/nf_conntrack_udp_timeout_stream", scaled(UDP_IDLE_S)),
    )


def known_flows(name: str) -> tuple[NftRule, ...]:
    """The rules of a forward chain where accelerated flows are translated."""
    return (
        NftRule(statement="ct state established accept", origin=f"{name} known"),
        NftRule(statement="ct state new ct status dnat accept", origin=f"{name} client"),
        NftRule(statement="ct state related icmp type destination-unreachable accept", origin=f"{name} ICMP type 3"),
        NftRule(statement="ct state invalid meta l4proto tcp counter reject with tcp reset", origin=f"{name} has no such connection (idle for {TCP_IDLE_S} s?)"),
    )


def _table(edge: AcceleratorEdge, resolved: Resolved) -> NftTable:
    enabled = [accelerator for accelerator in resolved.accelerators if accelerator.enabled]
    listeners = [(accelerator, listener) for accelerator in enabled for listener in resolved.topology.of(AcceleratorListener) if listener.accelerator_arn == accelerator.id]
    keys = tuple(
        (f"{address} . {listener.protocol.lower()} . {ports.first}{'' if ports.first == ports.last else f'-{ports.last}'}", f"goto {_chain(listener)}")
        for accelerator, listener in listeners
        for address in accelerator.addresses
        for ports in listener.port_ranges
    )
    maps = tuple(_map(config) for config in _listeners(resolved, edge) if config.id in {listener.id for _, listener in listeners})
    whole = NftRule(statement=f"ip daddr @{ADDRESSES} ip protocol tcp ip frag-off & 0x3fff != 0 counter drop", origin="Global Accelerator takes no fragments of TCP")
    return NftTable(
        name=TABLE,
        sets=(NftSet(name=ADDRESSES, type="ipv4_addr", elements=tuple(sorted(str(address) for accelerator in enabled for address in accelerator.addresses))),),
        maps=tuple(sorted((NftMap(name="listeners", type="ipv4_addr . inet_proto . inet_service", value_type="verdict", flags=("interval",), elements=tuple(sorted(keys))), *maps), key=lambda each: each.name)),
        chains=(
            NftChain(name="fragments", hook="type filter hook prerouting priority -450; policy accept;", rules=(whole,)),
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=_input(edge)),
            NftChain(
                name="forward", hook="type filter hook forward priority filter; policy drop;", rules=(*known_flows("Global Accelerator"), NftRule(statement="counter drop", origin="no listener of an accelerator"))
            ),
            NftChain(name="to_endpoint", hook="type nat hook prerouting priority dstnat; policy accept;", rules=(NftRule(statement="ip daddr . meta l4proto . th dport vmap @listeners"),)),
            *(_to_endpoint(listener, resolved) for _, listener in listeners),
        ),
    )


def _input(edge: AcceleratorEdge) -> tuple[NftRule, ...]:
    return (
        NftRule(statement="ct state established,related accept", origin="Global Accelerator health check"),
        NftRule(statement=f'iifname "{accelerator_link.CITY_DEVICE}" ip saddr {accelerator_link.ends(edge)[1]} accept', origin="BGP with the city"),
        NftRule(statement="counter drop", origin="no listener of an accelerator"),
    )


def _to_endpoint(listener: AcceleratorListener, resolved: Resolved) -> NftChain:
    protocol = listener.protocol.lower()
    ends = "ip saddr . ip daddr" if listener.client_affinity == SOURCE_IP else f"ip saddr . ip daddr . {protocol} sport . {protocol} dport"
    groups = ", ".join(group.id for group in resolved.topology.of(EndpointGroup) if group.listener_arn == listener.id)
    choose = NftRule(statement=f"meta mark set jhash {ends} mod {SLOTS} seed 0x1 dnat ip to meta mark map @{_map_name(listener.id)}", origin=f"{listener.id} -> {groups}")
    return NftChain(name=_chain(listener), rules=(*((choose,) if groups else ()), NftRule(statement="counter drop", origin=f"{listener.id} has no endpoint")))


def _map(listener: Listener) -> NftMap:
    """The slots of a listener, as if every endpoint were healthy; the daemon knows better (decision 0011)."""
    slots = spread(listener.groups, lambda group, endpoint, way: True, SLOTS)
    return NftMap(name=listener.map, type="mark", value_type="ipv4_addr", elements=tuple((str(slot), way.element) for slot, way in enumerate(slots)), size=SLOTS)


def _chain(listener: AcceleratorListener) -> str:
    return identifier("listener", listener.id)


def _map_name(listener_id: str) -> str:
    return identifier("slots", listener_id)


@per_topology
def _listeners(resolved: Resolved, edge: AcceleratorEdge) -> tuple[Listener, ...]:
    """The listeners as the daemon of an edge location is told of them: endpoint groups by distance."""
    here = city_of(resolved, edge.city).city
    groups = sorted(
        resolved.topology.of(EndpointGroup), key=lambda group: (round_trip_ms(here, city_of(resolved, region_of(resolved, group.endpoint_group_region).city).city), group.endpoint_group_region)
    )
    return tuple(
        Listener(id=listener.id, map=_map_name(listener.id), groups=tuple(_group(group, listener, resolved) for group in groups if group.listener_arn == listener.id))
        for listener in resolved.topology.of(AcceleratorListener)
    )


def _group(group: EndpointGroup, listener: AcceleratorListener, resolved: Resolved) -> GroupConfig:
    return GroupConfig(
        id=group.id,
        region=group.endpoint_group_region,
        traffic_dial_percentage=float(group.traffic_dial_percentage),
        health_check=HealthCheck(
            protocol=group.health_check_protocol,
            port=group.health_check_port or listener.port_ranges[0].first,
            path=group.health_check_path,
            interval_s=float(group.health_check_interval_seconds),
            timeout_s=float(group.checks_for_s),
            healthy_threshold=group.threshold_count,
            unhealthy_threshold=group.threshold_count,
            matcher=ACCEPTED,
        ),
        endpoints=tuple(
            Endpoint(
                id=endpoint.endpoint_id,
                weight=endpoint.weight,
                ways=tuple(
                    Way(address=way.inside, health_file="" if way.balancer_node is None else zone_health_file(way.balancer_node))
                    for way in resolved.accelerated_ways
                    if (way.group, way.endpoint) == (group.id, endpoint.endpoint_id)
                ),
            )
            for endpoint in sorted(group.endpoint_configurations, key=lambda endpoint: endpoint.endpoint_id)
        ),
    )


def _services(edge: AcceleratorEdge, resolved: Resolved) -> Iterator[ServiceSpec]:
    """The daemon. It starts after the endpoints' own services: a first health check before they are there would cost an interval."""
    listeners = _listeners(resolved, edge)
    enabled = {accelerator.id for accelerator in resolved.accelerators if accelerator.enabled}
    served = tuple(config for config, listener in zip(listeners, resolved.topology.of(AcceleratorListener), strict=True) if listener.accelerator_arn in enabled and config.groups)
    if served:
        config = Config(edge_location=edge.code, table=TABLE, listeners=served)
        yield ServiceSpec(name=f"{edge.node}.{KIND}", kind=KIND, node=edge.node, config=encode(config), after=_after(resolved), origin="Global Accelerator")


@per_topology
def _after(resolved: Resolved) -> tuple[str, ...]:
    endpoints = {way.endpoint for way in resolved.accelerated_ways}
    applications = (instance_service_name(each) for each in resolved.topology.of(Instance) if each.id in endpoints and isinstance(each.user_data, WebApplication))
    kinds = {balancer.id: "alb" if balancer.type == "application" else "nlb" for balancer in resolved.topology.of(LoadBalancer) if balancer.id in endpoints}
    balancers = (f"{interface.node}.{kinds[interface.owner]}" for interface in resolved.interfaces if interface.owner in kinds)
    return tuple(sorted((*applications, *balancers)))
