"""What of a Network Load Balancer's node goes by a process: listeners with TLS, and groups before whose connections a PROXY header goes (`services.nlb_relay`).

    client ─▶ input: accepted ─▶ [relay] ─▶ TARGETS_ADDRESS, mark = slot ─▶ output nat: the slot's target ─▶ fabric     the target's address and health stay the ruleset's
    own address as source        replies come to it by themselves
    client's address (kept)      connection mark ─▶ packet mark ─▶ a table that holds everything as local: replies for the client are the relay's
    by PrivateLink               the consumer's own address as source (the endpoint translates the destination alone); answers by the link, by their source address

    output: a mark to forget ─▶ drop, silently;  still for TARGETS_ADDRESS (no target, or flow ended) ─▶ RST to the relay

Its flows never time out in connection tracking: the relay knows when they are idle. Source: `services/nlb_relay/server.py`'s.
NOT MODELLED: a consumer behind an endpoint that has the very address of the balancer's node (its answers stay in the node).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from services.common.config import encode
from services.nlb.config import Target, slots_for
from services.nlb_relay.config import FORGET_MARK, TARGETS_ADDRESS, Config, Entrance
from services.nlb_relay.config import Listener as RelayListener
from testbed.compile import private_link
from testbed.compile.fragment import NodePart
from testbed.compile.network_target_group import is_relayed, map_name
from testbed.compile.tls import certificate, tls
from testbed.model.listener import ALPN_POLICIES, Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.target_group import TLS, TargetGroup
from testbed.plan import NftChain, NftRule, NftTimeout, PolicyRule, Route, RouteType, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND = "nlb_relay"
TRANSPARENT, TRANSPARENT_MARK = 2, 0x10000
"""Connection mark of flows from a client's address, and the packet mark by which their replies stay here."""
LOCAL_TABLE, FIRST_LINK_TABLE = 100, 102
TIMEOUT, FOR_EVER_S = "tcp_relayed", 432_000
EVERYTHING = IPv4Network("0.0.0.0/0")
SYSCTLS = (("ipv4/ip_local_port_range", "1024 65535"),)
Served = tuple[tuple[Listener, TargetGroup, tuple[Target, ...]], ...]


def service(balancer: LoadBalancer, node: ResolvedInterface, served: Served, after: tuple[str, ...], resolved: Resolved) -> tuple[ServiceSpec, ...]:
    """The relay, where something goes by it."""
    relayed = _relayed(served)
    if not relayed:
        return ()
    name = f"{node.node}.{KIND}"
    hosts = tuple((listener.id, host) for listener, _, _ in relayed for host in listener.certificates)
    issued = tuple((listener, certificate(name, number, (host,))) for number, (listener, host) in enumerate(hosts))
    listeners = tuple(
        RelayListener(
            id=listener.id,
            port=listener.port,
            tls=tuple(tls(each) for owner, each in issued if owner == listener.id),
            alpn=ALPN_POLICIES[listener.alpn_policy],
            idle_timeout_s=float(listener.tcp_idle_timeout_seconds),
            target_group=group.id,
            slots=slots_for(len(targets)) if targets else 0,
            encrypts=group.protocol == TLS,
            proxy_protocol=group.proxy_protocol_v2_enabled,
            keeps_client=group.preserves_client,
            by_source=group.stickiness_enabled,
        )
        for listener, group, targets in relayed
    )
    links = ((private_link.link_addresses(endpoint, resolved)[1], endpoint.owner) for endpoint in private_link.connected(node, resolved))
    entrances = (Entrance(address=node.address), *(Entrance(address=address, vpc_endpoint=endpoint) for address, endpoint in links))
    config = Config(load_balancer=balancer.id, entrances=entrances, listeners=listeners)
    return (ServiceSpec(name=name, kind=KIND, node=node.node, config=encode(config), after=after, certificates=tuple(each for _, each in issued), origin=balancer.id),)


def part(balancer: LoadBalancer, node: ResolvedInterface, served: Served, resolved: Resolved) -> tuple[NodePart, ...]:
    """The routes by which answers find the relay, and consumers."""
    relayed = _relayed(served)
    if not relayed:
        return ()
    kept, refused = f"{balancer.id} client's address kept", f"{balancer.id} tells its relay"
    routes = [Route(destination=EVERYTHING, type=RouteType.LOCAL, device="lo", table=LOCAL_TABLE, origin=kept)]
    rules = [
        PolicyRule(priority=LOCAL_TABLE, mark=TRANSPARENT_MARK, mask=TRANSPARENT_MARK, table=LOCAL_TABLE, origin=kept),
        PolicyRule(priority=LOCAL_TABLE + 1, source=IPv4Network(TARGETS_ADDRESS), table=LOCAL_TABLE, origin=refused),
    ]
    for table, endpoint in enumerate(private_link.connected(node, resolved), start=FIRST_LINK_TABLE):
        here, there = private_link.link_addresses(endpoint, resolved)
        routes.append(Route(destination=EVERYTHING, device=private_link.balancer_device(endpoint), via=here, table=table, onlink=True, origin=endpoint.owner))
        rules.append(PolicyRule(priority=table, source=IPv4Network(f"{there}/32"), table=table, origin=endpoint.owner))
    return (NodePart(name=node.node, sysctls=SYSCTLS, routes=tuple(routes), rules=tuple(rules)),)


def accepted(name: str, served: Served) -> Iterator[NftRule]:
    """In the node's input chain: new connections to the relay's listeners."""
    ports = _ports(served)
    if ports:
        yield NftRule(statement=f"tcp dport {{ {ports} }} ct state new accept", origin=f"{name} client")
        yield NftRule(statement=f'iifname "lo" ip saddr {TARGETS_ADDRESS} accept', origin=f"{name} tells its relay that there is no target")


def chains(balancer: LoadBalancer, node: ResolvedInterface, served: Served) -> tuple[NftChain, ...]:
    """Of the node's table: from the relay to targets and, of what keeps its client's address, back."""
    relayed, name = _relayed(served), balancer.id
    if not relayed:
        return ()
    to_targets = f"ip daddr {TARGETS_ADDRESS}"
    slots = tuple(NftRule(statement=f"{to_targets} tcp dport {listener.port} dnat ip to meta mark map @{map_name(group)}", origin=f"{listener.id} -> {group.id}") for listener, group, targets in relayed if targets)
    remember = NftRule(statement=f"{to_targets} ip saddr != {node.address} ct state new ct mark set {TRANSPARENT:#x}")
    back = NftRule(statement=f"ct direction reply ct mark {TRANSPARENT:#x} meta mark set {TRANSPARENT_MARK:#x}", origin=f"{name} client's address kept")
    return (
        NftChain(name="relay_remembers", hook="type filter hook output priority mangle; policy accept;", rules=(remember,)),
        NftChain(name="relay_to_target", hook="type nat hook output priority -100; policy accept;", rules=slots),
        NftChain(name="relay_from_target", hook="type filter hook prerouting priority mangle; policy accept;", rules=(back,)),
        NftChain(
            name="relay_output",
            hook="type filter hook output priority filter; policy accept;",
            rules=(
                NftRule(statement=f"meta mark {FORGET_MARK:#x} drop", origin=f"{name} forgets an idle connection"),
                NftRule(statement=f"{to_targets} meta l4proto tcp counter reject with tcp reset", origin=f"{name} has no target, or has ended the flow"),
            ),
        ),
    )


def timeout(served: Served) -> tuple[tuple[NftTimeout, ...], tuple[NftChain, ...]]:
    """Connection tracking's patience with the relay's flows: an object, and where it is set."""
    ports = _ports(served)
    if not ports:
        return (), ()
    rule = f'ct state new ct timeout set "{TIMEOUT}"'
    return (NftTimeout(name=TIMEOUT, protocol="tcp", policy=(("established", FOR_EVER_S),)),), (
        NftChain(name="to_relay", hook="type filter hook input priority -1; policy accept;", rules=(NftRule(statement=f"tcp dport {{ {ports} }} {rule}"),)),
        NftChain(name="from_relay", hook="type filter hook output priority -151; policy accept;", rules=(NftRule(statement=f"ip daddr {TARGETS_ADDRESS} meta l4proto tcp {rule}"),)),
    )


def _relayed(served: Served) -> Served:
    return tuple((listener, group, targets) for listener, group, targets in served if is_relayed(listener, group))


def _ports(served: Served) -> str:
    return ", ".join(str(port) for port in sorted(listener.port for listener, _, _ in _relayed(served)))
