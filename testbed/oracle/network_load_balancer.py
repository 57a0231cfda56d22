"""Where a Network Load Balancer's node sends a new flow, and whose address the target sees. From the raw resources alone.

    a listener for the packet's protocol and port? ─▶ its group's targets: of the node's zone, or of all with cross-zone load balancing ─▶ one of them
    client's address kept    instances and an ALB by default, addresses with UDP always, with TCP if the group says so; and the target is in the balancer's VPC
                     hidden  otherwise, and always through PrivateLink

TLS ends at the node, and a PROXY header makes a connection of the node's own: `ends`. What goes on to the target is another connection. (With PROXY headers that is assumed.)

Source: ELB user guide, "Network Load Balancers", "TLS listeners for your NLB", "Edit target group attributes for your NLB", "Cross-zone load balancing", "Application Load Balancers as targets" (documented).
Where several targets could be chosen the first by name stands for all (a probe whose fate depends on which is none for this oracle); all are taken to be healthy, which is also what
failing open comes to. Assumed: a node that has no target of its zone answers nothing. NOT MODELLED: preservation in a peered VPC; a port of a target's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import NETWORK, LoadBalancer
from testbed.model.subnet import Subnet
from testbed.model.target_group import ALB, IP, TargetGroup
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol
from testbed.model.vpc import Vpc
from testbed.resolve.resolved import Resolved, ResolvedInterface

LISTENS_FOR = {"TCP": (Protocol.TCP,), "TLS": (Protocol.TCP,), "UDP": (Protocol.UDP,), "TCP_UDP": (Protocol.TCP, Protocol.UDP)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """Where a node sends a flow: its interface, address and balancer; the target's address and port; whether the target sees the client."""

    interface: str
    node: str
    balancer: str
    source: IPv4Address
    target: IPv4Address
    port: int
    keeps_client: bool


class NetworkLoadBalancers:
    """The network balancers of a topology."""

    def __init__(self, resolved: Resolved) -> None:
        self._topology: Topology = resolved.topology
        self.by_id = {balancer.id: balancer for balancer in self._topology.of(LoadBalancer) if balancer.type == NETWORK}
        self._subnets = {subnet.id: subnet for subnet in self._topology.of(Subnet)}
        self._groups = {group.id: group for group in self._topology.of(TargetGroup)}
        self._interfaces: dict[str, list[ResolvedInterface]] = {}
        for interface in sorted(resolved.interfaces, key=lambda interface: (interface.device, interface.id)):
            self._interfaces.setdefault(interface.owner, []).append(interface)

    def node(self, balancer: str, zone: str) -> ResolvedInterface | None:
        """The interface of a balancer's node in a zone."""
        return next((each for each in self._interfaces.get(balancer, ()) if self._zone(each) == zone), None)

    def onward(self, node: ResolvedInterface, packet: Packet) -> Onward | None:
        """Where a node sends the first packet of a flow; None if nothing listens, or nothing is registered for it."""
        balancer = self.by_id[node.owner]
        listener = next((each for each in self._topology.of(Listener) if each.load_balancer_arn == balancer.id and self._hears(each, packet)), None)
        if listener is None:
            return None
        group = next(self._groups[action.target_group_arn] for action in listener.default_actions if isinstance(action, Forward))
        across = group.load_balancing_cross_zone_enabled
        across = balancer.load_balancing_cross_zone_enabled if across is None else across
        candidates = [address for address, zone in self._targets(group) if across or zone is None or zone == self._zone(node)]
        if not candidates:
            return None
        kept = group.preserves_client and self._in_vpc(candidates[0], self._subnets[node.subnet].vpc_id)
        return Onward(interface=node.id, node=node.node, balancer=balancer.id, source=node.address, target=candidates[0], port=group.port, keeps_client=kept)

    def ends(self, owner: str, packet: Packet) -> bool:
        """Whether a balancer's node itself answers a new connection."""
        heard = (each for each in self._topology.of(Listener) if owner in self.by_id and each.load_balancer_arn == owner and self._hears(each, packet))
        return any(listener.protocol == "TLS" or any(self._groups[action.target_group_arn].proxy_protocol_v2_enabled for action in listener.default_actions if isinstance(action, Forward)) for listener in heard)

    def _hears(self, listener: Listener, packet: Packet) -> bool:
        return packet.protocol in LISTENS_FOR.get(listener.protocol, ()) and packet.destination_port == listener.port

    def _targets(self, group: TargetGroup) -> list[tuple[IPv4Address, str | None]]:
        """The registered targets' addresses with their zones, by name; an address outside the VPC's subnets is of no zone."""
        found: list[tuple[IPv4Address, str | None]] = []
        for target in sorted(group.targets):
            if group.target_type == IP and target not in self._interfaces:  # an ECS task is registered by the address of its interface
                address = IPv4Address(target)
                found.append((address, next((s.availability_zone for s in self._subnets.values() if s.vpc_id == group.vpc_id and address in s.cidr_block), None)))
                continue
            interfaces = self._interfaces.get(target, [])
            found += [(each.address, self._zone(each)) for each in (interfaces if group.target_type == ALB else interfaces[:1])]
        return found

    def _in_vpc(self, address: IPv4Address, vpc_id: str) -> bool:
        return any(address in block for vpc in self._topology.of(Vpc) if vpc.id == vpc_id for block in vpc.cidr_blocks)

    def _zone(self, interface: ResolvedInterface) -> str:
        return self._subnets[interface.subnet].availability_zone


class Everybody:
    """Every address: the members of a balancer's group, as seen by a target's rule about what comes from the balancer."""

    def __contains__(self, address: object) -> bool:
        return True
