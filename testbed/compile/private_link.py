"""PrivateLink: from an interface endpoint in a consumer's VPC to a Network Load Balancer's node in the provider's, and never back.

    consumer's fabric ─ eth0 [endpoint] nlb ─ 169.254.64.x/31 ─ pl… [balancer's node] eth0 ─ provider's fabric ─▶ target
                             dnat to the balancer's end,             dnat to a target,
                             snat to this end                        snat to the node's own address

Neither side sees an address of the other's VPC, so their CIDR blocks may overlap, and the target's source is always the balancer's node. Where a process carries a listener's
connections (`network_relay`), it is shown the consumer's address, which goes no further than into a PROXY header: answers find back by the link.
An endpoint's interface stays with one balancer of its Availability Zone: the first by id (AWS picks one at random).
Source: PrivateLink guide, "Create a service powered by AWS PrivateLink"; ELB user guide, "Edit target group attributes for your NLB" (client address; documented);
idle timeout of 350 s (secondary). The balancer's groups are asked about the consumer's own address, unless that is off ("Update the security groups for your NLB"; documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, collapse_addresses

from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.network_target_group import is_relayed, listeners_of
from testbed.compile.places import forwarding_sysctls
from testbed.compile.vpc import conntrack_sysctls
from testbed.model.listener import Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.prefix_list import PrefixList
from testbed.model.security_group import Flow, SecurityGroupRule, no_rule_name, rule_name
from testbed.model.target_group import NETWORK_PROTOCOLS
from testbed.model.values import Protocol
from testbed.model.vpc_endpoint import MTU_BYTES, VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftTable, PlanError
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface

DEVICE = "nlb"
BALANCER_PREFIX = "pl-"
FIRST_LINK = IPv4Address("169.254.64.0")
LINKS = 8192
"""169.254.64.0/18, two addresses each; they are seen in no packet of a VPC."""
MSS_BYTES = MTU_BYTES - 40
PORTS = "1024-65535"
ASKED = "groups_of_the_balancer"


def lower(endpoint: VpcEndpoint, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    """The link from an endpoint's interface to the balancer's node of its zone, and the translation at this end. The balancer's lowering makes the other's."""
    node = balancer_node(endpoint, interface, resolved)
    here, there = link_addresses(interface, resolved)
    near = Interface(node=interface.node, name=DEVICE, mac=mac_address(interface.node, DEVICE), addresses=(IPv4Interface(f"{here}/31"),), mtu_bytes=MTU_BYTES, origin=endpoint.id)
    name = balancer_device(interface)
    far = Interface(node=node.node, name=name, mac=mac_address(node.node, name), addresses=(IPv4Interface(f"{there}/31"),), mtu_bytes=MTU_BYTES, origin=endpoint.id)
    return Fragment(
        nodes=(
            NodePart(name=interface.node, neighbours=(Neighbour(address=there, mac=far.mac, device=DEVICE),), tables=(_translation(endpoint, interface, here, there, _ports(node.owner, resolved), _shown(node.owner, resolved), _asked(node, resolved)),)),
            NodePart(name=node.node, neighbours=(Neighbour(address=here, mac=near.mac, device=name),)),
        ),
        links=(ordered(Link(a=near, b=far, origin=endpoint.id)),),
    )


def sysctls(resolved: Resolved) -> tuple[tuple[str, str], ...]:
    """An endpoint that forwards; its connections are idle after 350 s, like the fabric's."""
    return (*forwarding_sysctls(), *conntrack_sysctls(resolved.topology.time_scale))


def balancer_node(endpoint: VpcEndpoint, interface: ResolvedInterface, resolved: Resolved) -> ResolvedInterface:
    """The interface of the balancer's node to which an endpoint's interface leads. Raises PlanError."""
    service = next(s for s in resolved.topology.of(VpcEndpointService) if s.id == endpoint.provider_service)
    nodes = tuple(i for balancer in sorted(service.network_load_balancer_arns) for i in resolved.interfaces_of(balancer) if i.availability_zone == interface.availability_zone)
    if not nodes:
        raise PlanError(f"{interface.id}: {service.id} has no balancer in {interface.availability_zone}")
    return nodes[0]


def connected(node: ResolvedInterface, resolved: Resolved) -> tuple[ResolvedInterface, ...]:
    """The endpoints' interfaces that lead to a balancer's node, by id."""
    endpoints = {endpoint.id: endpoint for endpoint in resolved.topology.of(VpcEndpoint) if endpoint.is_interface and endpoint.provider_service is not None}
    return tuple(i for i in resolved.interfaces if i.owner in endpoints and balancer_node(endpoints[i.owner], i, resolved).id == node.id)


def link_addresses(interface: ResolvedInterface, resolved: Resolved) -> tuple[IPv4Address, IPv4Address]:
    """The endpoint's end and the balancer's end of a link: where its id hashes to, or the next free ones."""
    taken: set[int] = set()
    for each in (i for i in resolved.interfaces if i.owner_kind is OwnerKind.VPC_ENDPOINT):
        number = next(n % LINKS for n in range(hashed(each.id) % LINKS, 2 * LINKS) if n % LINKS not in taken)
        taken.add(number)
        if each.id == interface.id:
            return FIRST_LINK + 2 * number, FIRST_LINK + 2 * number + 1
    raise PlanError(f"{interface.id} is no endpoint's interface")


def balancer_device(interface: ResolvedInterface) -> str:
    """The balancer's end of a link; no other device's name there begins like this."""
    return interface_name(BALANCER_PREFIX, interface.node)


def clamp(name: str) -> NftRule:
    """No larger segment than an endpoint passes (PrivateLink guide, "PrivateLink quotas")."""
    return NftRule(statement=f"tcp flags & (syn | rst) == syn tcp option maxseg size > {MSS_BYTES} tcp option maxseg size set {MSS_BYTES}", origin=f"{name} clamps the MSS")


def _ports(balancer: str, resolved: Resolved) -> tuple[str, ...]:
    """The balancer's ports, as elements (protocol, port)."""
    listeners = (listener for listener in resolved.topology.of(Listener) if listener.load_balancer_arn == balancer)
    return tuple(sorted(f"{protocol} . {listener.port}" for listener in listeners for protocol in NETWORK_PROTOCOLS[listener.protocol]))


def _shown(balancer: str, resolved: Resolved) -> tuple[int, ...]:
    """The ports at which a relay sees the consumer's address."""
    owner = next(each for each in resolved.topology.of(LoadBalancer) if each.id == balancer)
    return tuple(sorted(listener.port for listener, group in listeners_of(owner, resolved) if is_relayed(listener, group)))


def _asked(node: ResolvedInterface, resolved: Resolved) -> tuple[NftChain, ...]:
    """What the balancer's groups say of consumers: judged by the consumer's own address, so asked at this end; no rule that names a group matches (assumed)."""
    balancer = next(each for each in resolved.topology.of(LoadBalancer) if each.id == node.owner)
    if not node.security_groups or balancer.enforce_security_group_inbound_rules_on_private_link_traffic == "off":
        return ()
    groups = [group for group in resolved.security_groups if group.id in node.security_groups]
    lists = {each.id: each.blocks for each in resolved.topology.of(PrefixList)}
    rules = [
        NftRule(statement=f"ip saddr {{ {', '.join(map(str, blocks))} }} {_traffic(rule)}return", origin=rule_name(group.id, Flow.INGRESS, index))
        for group in groups
        for index, rule in enumerate(group.rules(Flow.INGRESS))
        if (blocks := tuple(collapse_addresses(lists.get(rule.prefix_list_id or "", () if rule.cidr_ip is None else (rule.cidr_ip,)))))
    ]
    return (NftChain(name=ASKED, rules=(*rules, NftRule(statement="counter drop", origin=no_rule_name((group.id for group in groups), Flow.INGRESS)))),)


def _traffic(rule: SecurityGroupRule) -> str:
    """A rule's protocol and ports in nft's words. The listener's port is the endpoint's."""
    number = rule.protocol_number()
    if number is None or number == Protocol.ANY:
        return ""
    ports = "" if rule.from_port is None or rule.to_port is None or number not in (Protocol.TCP, Protocol.UDP) else f"th dport {rule.from_port}-{rule.to_port} "
    return f"meta l4proto {int(number)} {ports}"


def _translation(endpoint: VpcEndpoint, interface: ResolvedInterface, here: IPv4Address, there: IPv4Address, ports: tuple[str, ...], shown: tuple[int, ...], asked: tuple[NftChain, ...]) -> NftTable:
    name = endpoint.id
    opened = f"meta l4proto . th dport {{ {', '.join(ports)} }} "
    to_service = (NftRule(statement=f'iifname "{interface.device}" ip daddr {interface.address} {opened}dnat to {there}', origin=name),) if ports else ()
    relayed = (NftRule(statement=f'oifname "{DEVICE}" tcp dport {{ {", ".join(map(str, shown))} }} accept', origin=name),) if shown else ()
    return NftTable(
        name="endpoint",
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{name} is no port of the service"),)),
            NftChain(
                name="forward",
                hook="type filter hook forward priority filter; policy drop;",
                rules=(
                    clamp(name),
                    NftRule(statement="ct state established,related accept", origin=f"{name} known"),
                    *((NftRule(statement=f"ct state new jump {ASKED}"),) if asked else ()),
                    NftRule(statement=f'iifname "{interface.device}" oifname "{DEVICE}" ct state new ct status dnat accept', origin=f"{name} consumer"),
                    NftRule(statement="counter drop", origin=f"{name} is one-directional"),
                ),
            ),
            *asked,
            NftChain(name="to_service", hook="type nat hook prerouting priority dstnat; policy accept;", rules=to_service),
            NftChain(name="hide_consumer", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(*relayed, NftRule(statement=f'oifname "{DEVICE}" meta l4proto {{ tcp, udp }} snat to {here}:{PORTS}', origin=name))),
        ),
    )
