"""Connect attachments and Connect peers: GRE tunnels between a transit gateway and appliances that are not AWS's, with BGP in them.

    appliance  peer_address ═══ GRE, carried by the transport attachment ═══ transit_gateway_address  transit gateway
               inside .1    ─── two BGP sessions ───────────────────────────  inside .2 and .3

The transport is a VPC attachment or that of a Direct Connect gateway. What of GRE has not exactly a peer's two outer addresses is ordinary traffic of the transport attachment. Routes
come by BGP only: a static route to a Connect attachment is refused. Peers that announce one prefix with one AS path share the load; the two sessions of one peer do not.
Without `bgp_asn` the peer has the transit gateway's own ASN (iBGP), and then the transit gateway takes nothing that has no AS path: what the appliance originates itself is not installed.
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers", "Transit gateway quotas" (4 peers per attachment, 5 Gbps and 300,000 packets/s each, 1,000 routes in and
5,000 out); CloudFormation, "AWS::EC2::TransitGatewayConnect", "AWS::EC2::TransitGatewayConnectPeer" (documented).
NOT MODELLED: IPv6 inside or outside, the quotas in Gbps and packets/s (a peer carries what the machine gives), the 5,000 routes out, eBGP over several hops (the sessions are on a link).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.customer_gateway import AWS_RESERVED_ASNS, HIGHEST_ASN
from testbed.model.values import Fault, address, address_faults, bounds_faults, id_faults, network, network_faults

INSIDE = IPv4Network("169.254.0.0/16")
INSIDE_PREFIX = 29
RESERVED = frozenset(IPv4Network(block) for block in (*(f"169.254.{number}.0/29" for number in range(6)), "169.254.169.248/29"))
MOST_PEERS = 4
MOST_ROUTES_FROM_PEER = 1000
OVERHEAD_BYTES = 24
"""An outer IPv4 header and a GRE header without options (RFC 2784)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayConnect:
    """A Connect attachment over another one: a `TransitGatewayVpcAttachment`, or the `DirectConnectGatewayAssociation` of a transit gateway."""

    id: str
    transport_transit_gateway_attachment_id: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the attachment by itself."""
        return tuple(id_faults(self.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayConnectPeer:
    """A GRE tunnel of the Connect attachment `transit_gateway_attachment_id`.

    `peer_address` is the appliance's outer address: that of an instance with `user_data=SdWanAppliance(…)` in the transport's VPC, or over Direct Connect that of a site's router on its LAN (.1).
    `transit_gateway_address` is one of the transit gateway's CIDR blocks, None the first that is free. `bgp_asn` None is the transit gateway's.
    """

    id: str
    transit_gateway_attachment_id: str
    peer_address: IPv4Address
    inside_cidr_block: IPv4Network
    transit_gateway_address: IPv4Address | None = None
    bgp_asn: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "peer_address", address(self.peer_address))
        object.__setattr__(self, "transit_gateway_address", address(self.transit_gateway_address))
        object.__setattr__(self, "inside_cidr_block", network(self.inside_cidr_block))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the peer by itself."""
        return (
            *id_faults(self.id),
            *address_faults(self.id, "peer_address", self.peer_address),
            *address_faults(self.id, "transit_gateway_address", self.transit_gateway_address),
            *network_faults(self.id, "inside_cidr_block", self.inside_cidr_block),
            *self._own_faults(),
        )

    def _own_faults(self) -> Iterator[Fault]:
        block = self.inside_cidr_block
        if self.bgp_asn is not None:
            yield from bounds_faults(self.id, "bgp_asn", self.bgp_asn, 1, HIGHEST_ASN)
            if self.bgp_asn in AWS_RESERVED_ASNS:
                yield Fault(resource=self.id, problem=f"bgp_asn {self.bgp_asn} is reserved by AWS", remedy="use a private ASN from 64512 to 65534, or one of your own")
        if not isinstance(block, IPv4Network):
            return
        if block.prefixlen != INSIDE_PREFIX or not block.subnet_of(INSIDE):
            yield Fault(resource=self.id, problem=f"inside_cidr_block {block} is not a /{INSIDE_PREFIX} of {INSIDE}", remedy="use a block such as 169.254.6.0/29")
        elif block in RESERVED:
            yield Fault(resource=self.id, problem=f"inside_cidr_block {block} is reserved by AWS", remedy="use a block such as 169.254.6.0/29")


def appliance_address(inside: IPv4Network) -> IPv4Address:
    """The appliance's BGP address: the first of the inside block."""
    return inside[1]


def amazon_addresses(inside: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """The transit gateway's BGP addresses, one for each session."""
    return inside[2], inside[3]
