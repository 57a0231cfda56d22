"""Site-to-Site VPN connections: two tunnels between a customer gateway and a virtual private gateway or a transit gateway.

Source: CloudFormation, "AWS::EC2::VPNConnection", "AWS::EC2::VPNConnectionRoute"; Site-to-Site VPN user guide, "How Site-to-Site VPN works",
"Site-to-Site VPN routing options", "Private IP VPN with AWS Direct Connect" (documented). NOT MODELLED: accelerated VPN, IPv6 inside, VPN concentrators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, choice_faults, id_faults, network, network_faults
from testbed.model.vpn_tunnel import CustomerDeviceTunnel, VpnTunnelOptions

TUNNELS = 2
PUBLIC_IPV4, PRIVATE_IPV4 = "PublicIpv4", "PrivateIpv4"


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnConnection:
    """A connection. With `static_routes_only`, `static_routes` are the site's prefixes (CloudFormation's VPNConnectionRoute); else BGP tells them.

    `vpn_tunnel_options` are AWS's two ends, `customer_device` the customer's two. `customer_routes` is what the site's router sends into a
    static connection; left out, it is the blocks of the virtual private gateway's VPC.
    With `outside_ip_address_type` PrivateIpv4 (private-IP VPN) the tunnels' outside lies on `transport_transit_gateway_attachment_id`, the association of a Direct Connect gateway with the same transit gateway: AWS's
    addresses are of the transit gateway's CIDR blocks, which its allowed prefixes must hold, the customer's is the site router's on its LAN (.1).
    """

    id: str
    customer_gateway_id: str
    vpn_gateway_id: str | None = None
    transit_gateway_id: str | None = None
    static_routes_only: bool = False
    static_routes: tuple[IPv4Network, ...] = ()
    vpn_tunnel_options: tuple[VpnTunnelOptions, ...] = (VpnTunnelOptions(), VpnTunnelOptions())
    customer_device: tuple[CustomerDeviceTunnel, ...] = (CustomerDeviceTunnel(), CustomerDeviceTunnel(metric=200))
    customer_routes: tuple[IPv4Network, ...] = ()
    outside_ip_address_type: str = PUBLIC_IPV4
    transport_transit_gateway_attachment_id: str | None = None

    @property
    def is_private(self) -> bool:
        """Whether it is a private-IP VPN."""
        return self.outside_ip_address_type == PRIVATE_IPV4

    def __post_init__(self) -> None:
        object.__setattr__(self, "static_routes", tuple(network(block) for block in self.static_routes))
        object.__setattr__(self, "customer_routes", tuple(network(block) for block in self.customer_routes))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the connection by itself."""
        return (
            *id_faults(self.id),
            *(fault for field in ("static_routes", "customer_routes") for block in getattr(self, field) for fault in network_faults(self.id, field, block)),
            *(fault for number, options in enumerate(self.vpn_tunnel_options, start=1) for fault in options.faults(tunnel_name(self.id, number))),
            *(fault for number, device in enumerate(self.customer_device, start=1) for fault in device.faults(tunnel_name(self.id, number))),
            *self._own_faults(),
        )

    def _own_faults(self) -> Iterator[Fault]:
        if (self.vpn_gateway_id is None) == (self.transit_gateway_id is None):
            problem = "no gateway at AWS's end" if self.vpn_gateway_id is None else "two gateways at AWS's end"
            yield Fault(resource=self.id, problem=problem, remedy="give one of vpn_gateway_id and transit_gateway_id")
        for field in ("vpn_tunnel_options", "customer_device"):
            if len(getattr(self, field)) != TUNNELS:
                yield Fault(resource=self.id, problem=f"{len(getattr(self, field))} tunnels in {field}", remedy=f"a connection has {TUNNELS} tunnels: give {TUNNELS}, or leave it out")
        yield from choice_faults(self.id, "outside_ip_address_type", self.outside_ip_address_type, (PUBLIC_IPV4, PRIVATE_IPV4))
        if self.is_private and (self.transit_gateway_id is None or self.transport_transit_gateway_attachment_id is None):
            missing = "transit gateway" if self.transit_gateway_id is None else "transport attachment"
            yield Fault(resource=self.id, problem=f"outside_ip_address_type PrivateIpv4 without a {missing}", remedy="give transit_gateway_id and, as transport_transit_gateway_attachment_id, a DirectConnectGatewayAssociation of it")
        if not self.is_private and self.transport_transit_gateway_attachment_id is not None:
            yield Fault(resource=self.id, problem="a transport attachment for public outside addresses", remedy="set outside_ip_address_type='PrivateIpv4', or leave transport_transit_gateway_attachment_id out")
        if not self.static_routes_only and self.static_routes:
            yield Fault(resource=self.id, problem="static routes on a connection that uses BGP", remedy="set static_routes_only=True, or leave static_routes out")
        if self.static_routes_only and self.vpn_gateway_id is not None and not self.static_routes:
            yield Fault(resource=self.id, problem="a static connection without static routes carries nothing to the site", remedy="name the site's prefixes in static_routes")


def tunnel_name(connection_id: str, number: int) -> str:
    """A tunnel as people call it; `number` from 1."""
    return f"{connection_id} tunnel {number}"
