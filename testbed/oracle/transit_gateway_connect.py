"""Which way packets take over Connect peers, from the peers as written: what appliances announce, what they are told, which tunnel takes a packet.

    transit gateway ─▶ appliance   longest prefix ─▶ shortest AS path ─▶ the first peer by name, which stands for those that share the load
    appliance ─▶ transit gateway   longest prefix, an interface's own subnet included ─▶ the first peer by name

A peer's sessions are up if an appliance has its outer address, has the ASN that the peer names, announces no more than the quota, and reaches the transit gateway's outer addresses: by its subnet's route table, which has to lead them to
that transit gateway, or over Direct Connect, which has to be told of them. Over iBGP nothing is installed that the appliance originates.
Source: Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers" (documented). NOT MODELLED: groups and network ACLs that refuse GRE (a live test's affair).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.instance import Instance, SdWanAppliance
from testbed.model.network_interface import NetworkInterface
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.transit_gateway import MTU_BYTES, TransitGateway
from testbed.model.transit_gateway_connect import MOST_ROUTES_FROM_PEER, OVERHEAD_BYTES, TransitGatewayConnect, TransitGatewayConnectPeer
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.oracle.direct_connect import DirectConnectWays
from testbed.oracle.route_selection import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A prefix that an appliance announces over a peer. `instance` or `site` says whose it is."""

    destination: IPv4Network
    peer: str
    instance: str | None
    site: str | None
    as_path_length: int
    mtu_bytes: int


class ConnectWays:
    """The Connect attachments of a topology, and who is at the other end of their peers."""

    def __init__(self, topology: Topology, direct_connect: DirectConnectWays) -> None:
        self._topology = topology
        self._direct_connect = direct_connect
        self.attachments = {each.id: each for each in topology.of(TransitGatewayConnect)}
        self._vpc_transports = {each.id: each for each in topology.of(TransitGatewayVpcAttachment)}
        self._fibre_transports = {each.id: each for each in topology.of(DirectConnectGatewayAssociation)}
        self._gateways = {gateway.id: gateway for gateway in topology.of(TransitGateway)}

    def gateway_of(self, connect_id: str) -> str | None:
        """The transit gateway of a Connect attachment."""
        transport = self.attachments[connect_id].transport_transit_gateway_attachment_id
        if transport in self._vpc_transports:
            return self._vpc_transports[transport].transit_gateway_id
        return self._fibre_transports[transport].associated_gateway_id if transport in self._fibre_transports else None

    def announced(self, connect_id: str) -> Iterator[Branch]:
        """Everything that a Connect attachment learns and installs, peer by peer."""
        gateway = self._gateways.get(self.gateway_of(connect_id) or "")
        for peer in self._topology.of(TransitGatewayConnectPeer):
            if peer.transit_gateway_attachment_id != connect_id or gateway is None:
                continue
            if peer.bgp_asn in (None, gateway.amazon_side_asn):
                continue
            yield from self._branches(peer, connect_id, gateway)

    def to_branch(self, connect_id: str, destination: IPv4Address) -> Branch | None:
        """The tunnel by which a transit gateway sends to an address over a Connect attachment."""
        holding = (each for each in self.announced(connect_id) if destination in each.destination)
        return min(holding, key=lambda each: (-each.destination.prefixlen, each.as_path_length, each.peer), default=None)

    def from_appliance(self, node: str, destination: IPv4Address, told: Callable[[str, str], Iterable[IPv4Network]]) -> tuple[str, str, IPv4Network, int] | None:
        """By which peer, of which Connect attachment, an instance or a site sends to an address, the prefix, and the tunnel's MTU; `told` (transit gateway, attachment) is what is announced there."""
        found = []
        for connect_id in self.attachments:
            gateway = self._gateways.get(self.gateway_of(connect_id) or "")
            for peer in self._topology.of(TransitGatewayConnectPeer) if gateway is not None else ():
                if gateway is None or peer.transit_gateway_attachment_id != connect_id or node not in self._ends(peer, connect_id):
                    continue
                if self._is_up(peer, connect_id, gateway):
                    found += [(-block.prefixlen, peer.id, connect_id, block) for block in told(gateway.id, connect_id) if destination in block]
        if not found:
            return None
        _, peer_id, connect_id, block = min(found)
        return peer_id, connect_id, block, self._mtu(connect_id)

    def _branches(self, peer: TransitGatewayConnectPeer, connect_id: str, gateway: TransitGateway) -> Iterator[Branch]:
        if not self._is_up(peer, connect_id, gateway):
            return
        mtu_bytes = self._mtu(connect_id)
        instance = self._instance(peer, connect_id)
        if instance is not None and isinstance(instance.user_data, SdWanAppliance):
            for block in instance.user_data.prefixes:
                yield Branch(destination=block, peer=peer.id, instance=instance.id, site=None, as_path_length=1 + instance.user_data.as_path_prepend, mtu_bytes=mtu_bytes)
        site = self._site(peer, connect_id)
        if site is not None:
            yield Branch(destination=site.cidr_block, peer=peer.id, instance=None, site=site.id, as_path_length=1, mtu_bytes=mtu_bytes)

    def _is_up(self, peer: TransitGatewayConnectPeer, connect_id: str, gateway: TransitGateway) -> bool:
        expected = gateway.amazon_side_asn if peer.bgp_asn is None else peer.bgp_asn
        instance = self._instance(peer, connect_id)
        if instance is not None and isinstance(instance.user_data, SdWanAppliance):
            subnet = next(each for each in self._topology.of(Subnet) if peer.peer_address in each.cidr_block and each.vpc_id == self._vpc(connect_id))
            routes = table_of(subnet, self._topology).routes
            leads = any(route.transit_gateway_id == gateway.id and self._covers(route.destination_cidr_block, peer, gateway) for route in routes)
            return leads and instance.user_data.bgp_asn in (None, expected) and len(set(instance.user_data.prefixes)) <= MOST_ROUTES_FROM_PEER
        site = self._site(peer, connect_id)
        return site is not None and any(self._covers(told.destination, peer, gateway) for told in self._direct_connect.told(site.id))

    @staticmethod
    def _covers(block: IPv4Network | None, peer: TransitGatewayConnectPeer, gateway: TransitGateway) -> bool:
        """Whether a route leads to the peer's outer address on the transit gateway, or, where AWS chooses that, to all that it may choose."""
        if block is None:
            return False
        if peer.transit_gateway_address is not None:
            return peer.transit_gateway_address in block
        return any(own.subnet_of(block) for own in gateway.transit_gateway_cidr_blocks)

    def _ends(self, peer: TransitGatewayConnectPeer, connect_id: str) -> tuple[str, ...]:
        instance, site = self._instance(peer, connect_id), self._site(peer, connect_id)
        return (*(() if instance is None else (instance.id,)), *(() if site is None else (site.id,)))

    def _vpc(self, connect_id: str) -> str | None:
        transport = self._vpc_transports.get(self.attachments[connect_id].transport_transit_gateway_attachment_id)
        return None if transport is None else transport.vpc_id

    def _instance(self, peer: TransitGatewayConnectPeer, connect_id: str) -> Instance | None:
        """The appliance in the transport's VPC that has been given the peer's address, by itself or by an interface."""
        subnets = {subnet.id for subnet in self._topology.of(Subnet) if subnet.vpc_id == self._vpc(connect_id)}
        by_interface = {each.instance_id for each in self._topology.of(NetworkInterface) if each.subnet_id in subnets and each.private_ip_address == peer.peer_address}
        for instance in self._topology.of(Instance):
            own = instance.subnet_id in subnets and peer.peer_address in (instance.private_ip_address, *instance.secondary_private_ip_addresses)
            if isinstance(instance.user_data, SdWanAppliance) and (own or instance.id in by_interface):
                return instance
        return None

    def _site(self, peer: TransitGatewayConnectPeer, connect_id: str) -> OnPremisesSite | None:
        if self.attachments[connect_id].transport_transit_gateway_attachment_id not in self._fibre_transports:
            return None
        return next((site for site in self._topology.of(OnPremisesSite) if site.cidr_block[1] == peer.peer_address), None)

    def _mtu(self, connect_id: str) -> int:
        association = self.attachments[connect_id].transport_transit_gateway_attachment_id
        return min((MTU_BYTES, *self._direct_connect.mtus(association))) - OVERHEAD_BYTES
