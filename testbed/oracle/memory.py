"""What outlives a packet: the flows that interfaces know, and the translations of those that forward.

State belongs to an interface. It knows a flow from the first packet that its rules admit, by both directions' packets, and forgets it after being idle.
A tracked flow goes on whatever becomes of the rules; of an untracked one only the direction is known, and the rules judge every packet of it.

    memory = Memory()
    before.walk(probe, memory)       the flow begins
    memory.elapse(20)                AWS's seconds, without a packet
    after.walk(probe, memory)        its next packets, by the rules of another topology

Source: EC2 user guide, "Amazon EC2 security group connection tracking" (documented). Assumed: an interface knows a flow's direction even where it does not
track it; a tracked flow stays so when a new rule would make its kind untracked; a mid-stream packet that a rule allows begins a flow anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.model.connection_tracking import ICMP_TIMEOUT_S, OTHER_TIMEOUT_S, ConnectionTrackingSpecification
from testbed.model.security_group import Flow
from testbed.model.values import Packet, Protocol


@dataclass(slots=True, kw_only=True)
class KnownFlow:
    """A flow at one interface. `origin` is the rule that admitted it."""

    origin: str
    tracked: bool
    protocol: Protocol
    timeouts: ConnectionTrackingSpecification
    replies: int = 0
    idle_s: float = 0.0

    @property
    def timeout_s(self) -> int:
        """After how much idleness it is forgotten: a UDP flow of more than one exchange is a stream."""
        if self.protocol is Protocol.TCP:
            return self.timeouts.tcp_established_timeout_s
        if self.protocol is Protocol.UDP:
            return self.timeouts.udp_stream_timeout_s if self.replies > 1 else self.timeouts.udp_timeout_s
        return ICMP_TIMEOUT_S if self.protocol is Protocol.ICMP else OTHER_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A packet's flow, and whether the packet goes back along it."""

    flow: KnownFlow
    is_reply: bool


@dataclass(slots=True)
class Memory:
    """State of flows, by the packets that continue them."""

    flows: dict[tuple[str, Flow, Packet], Known] = field(default_factory=dict)
    """(interface, direction, packet) → the flow of which it is a packet."""
    translated: dict[tuple[str, Packet], Packet] = field(default_factory=dict)
    """(NAT gateway's interface or forwarding node, packet coming back) → that packet for the inside host."""
    forwarded: dict[tuple[str, Packet], tuple[str, Packet]] = field(default_factory=dict)
    """(network balancer's interface, packet coming back) → the interface from which it goes back to the client, and as what."""
    kept: dict[tuple[str, Packet], str] = field(default_factory=dict)
    """(VPC, packet answering a client whose address a network balancer kept) → the interface of the balancer's node, to which it goes."""
    returned: dict[tuple[str, Packet], str] = field(default_factory=dict)
    """(VPC, packet answering what a peer's NAT gateway sent there) → the peering over which it came."""

    accelerated: dict[tuple[str, Packet], Packet] = field(default_factory=dict)
    """(VPC, packet answering a client whose address Global Accelerator kept) → that packet as the client gets it."""
    inspected: set[tuple[str, Packet]] = field(default_factory=set)
    """(Gateway Load Balancer endpoint, packet of a flow that its balancer has seen begin), in both directions."""
    firewalled: dict[tuple[str, Packet], str] = field(default_factory=dict)
    """(network firewall's endpoint, packet of a flow that it knows) → ``aws:pass`` if a rule has passed the flow for good, else ``aws:forward_to_sfe``."""

    def known(self, interface: str, direction: Flow, packet: Packet) -> Known | None:
        """What the interface knows of a packet's flow; being asked ends its idleness."""
        known = self.flows.get((interface, direction, packet))
        if known is not None:
            known.flow.idle_s = 0.0
            known.flow.replies += known.is_reply
        return known

    def learn(self, interface: str, direction: Flow, packet: Packet, reply: Packet, flow: KnownFlow) -> None:
        """The interface has admitted a flow that began with `packet`, to be answered by `reply`."""
        back = Flow.EGRESS if direction is Flow.INGRESS else Flow.INGRESS
        self.flows[interface, back, reply] = Known(flow=flow, is_reply=True)
        self.flows[interface, direction, packet] = Known(flow=flow, is_reply=False)

    def elapse(self, seconds: float) -> None:
        """Let time pass without a packet: what has been idle for too long is forgotten. Translations are not (their own timers are modelled elsewhere)."""
        for flow in {id(known.flow): known.flow for known in self.flows.values()}.values():
            flow.idle_s += seconds
        self.flows = {key: known for key, known in self.flows.items() if known.flow.idle_s < known.flow.timeout_s}
