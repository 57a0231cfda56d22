"""EC2 instances, and what `user_data` makes them run.

`user_data` stands for the script that a person would write: a typed value here, so that it is checked before anything starts.
Source: CloudFormation, "AWS::EC2::Instance"; VPC user guide, "NAT instances" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.connection_tracking import ConnectionTrackingSpecification
from testbed.model.customer_gateway import HIGHEST_ASN
from testbed.model.identity_provider import IdentityProvider
from testbed.model.metadata_options import MetadataOptions
from testbed.model.values import Fault, Packet, Protocol, address, address_faults, bounds_faults, id_faults, network, network_faults

DEFAULT_METADATA_OPTIONS = MetadataOptions()
ECHO_REQUEST = 8
MOST_PREPENDED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WebApplication:
    """Run the product catalogue (`services.instance`) on `port`, keeping its rows in the DB instance `database_id`. Without one there is its first page, and ``/health``.

    With `proxy_protocol_v2` it wants a PROXY header at the beginning of each connection, refuses those without, and tells the client it names (``X-Proxy-Client``).
    """

    port: int = 80
    database_id: str | None = None
    proxy_protocol_v2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """Serve a page on `port` (`services.web_server`), up to `requests_per_second`; what is beyond gets 503. What a small instance can do, made exact: AWS has no such property."""

    port: int = 80
    requests_per_second: float = 100.0

    def faults(self, instance: str) -> tuple[Fault, ...]:
        """What is wrong with it by itself."""
        rate = "user_data requests_per_second"
        return (*bounds_faults(instance, "user_data port", self.port, 1, 65535), *bounds_faults(instance, rate, self.requests_per_second, 1, 100_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class IpForwarding:
    """Forward what is addressed to others (``net.ipv4.ip_forward=1``): a middlebox. `masquerade` puts the instance's own address on what leaves by eth0: a NAT instance.

    AWS lets an instance forward only with its source/destination check off.
    """

    masquerade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneveAppliance:
    """Inspect what a Gateway Load Balancer sends (`services.geneve_appliance`): packets with one of the words `signatures` in their TCP or UDP payload are dropped, all others go back.

    Its health is asked at TCP port `health_check_port`. The instance's groups must admit UDP 6081 and that port from the balancer's addresses.
    """

    signatures: tuple[str, ...] = ()
    health_check_port: int = 80

    def faults(self, instance: str) -> tuple[Fault, ...]:
        """What is wrong with it by itself."""
        empty = Fault(resource=instance, problem="user_data has an empty signature, which every packet has", remedy="leave it out")
        return (*bounds_faults(instance, "user_data health_check_port", self.health_check_port, 1, 65535), *((empty,) if "" in self.signatures else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatefulFirewall:
    """Forward for others as Linux's own firewall does (nftables, connection tracking): a flow begins with an echo request, a UDP datagram or a SYN to one of `tcp_ports` (None: any).

    What belongs to no flow whose beginning it has seen is dropped: so both directions must come by here.
    """

    tcp_ports: tuple[int, ...] | None = None

    def begins(self, packet: Packet, *, first: bool) -> bool:
        """Whether a packet of no known flow may begin one. `first`: of a TCP packet, that it is a SYN; of a ping, that it is the request."""
        if packet.protocol is Protocol.TCP:
            return first and (self.tcp_ports is None or packet.destination_port in self.tcp_ports)
        return packet.protocol is Protocol.UDP or (packet.protocol is Protocol.ICMP and packet.icmp_type == ECHO_REQUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class SdWanAppliance:
    """End the GRE tunnels of the Connect peers whose `peer_address` is the instance's, speak BGP in them, announce `prefixes`, and forward (source/destination check off).

    `bgp_asn` None is the one that the peers name; another one makes the sessions fail, as a wrong configuration does. `as_path_prepend` repeats it that many times.
    NOT MODELLED: the vendor's overlay to branches: what is announced is where the instance's own interfaces lead.
    """

    prefixes: tuple[IPv4Network, ...] = ()
    bgp_asn: int | None = None
    as_path_prepend: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", tuple(network(block) for block in self.prefixes))

    def faults(self, instance: str) -> tuple[Fault, ...]:
        """What is wrong with it by itself."""
        return (
            *(fault for block in self.prefixes for fault in network_faults(instance, "user_data prefixes", block)),
            *bounds_faults(instance, "user_data bgp_asn", 1 if self.bgp_asn is None else self.bgp_asn, 1, HIGHEST_ASN),
            *bounds_faults(instance, "user_data as_path_prepend", self.as_path_prepend, 0, MOST_PREPENDED),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance with one primary network interface; without `user_data` it is a bare Linux host.

    `private_ip_address`, `secondary_private_ip_addresses`, `security_group_ids`, `source_dest_check` and `connection_tracking_specification` are its primary interface's.
    """

    id: str
    subnet_id: str
    private_ip_address: IPv4Address | None = None
    security_group_ids: tuple[str, ...] = ()
    source_dest_check: bool = True
    associate_public_ip_address: bool | None = None
    user_data: WebApplication | IpForwarding | StatefulFirewall | GeneveAppliance | IdentityProvider | SdWanAppliance | WebServer | None = None
    secondary_private_ip_addresses: tuple[IPv4Address, ...] = ()
    connection_tracking_specification: ConnectionTrackingSpecification | None = None
    metadata_options: MetadataOptions = DEFAULT_METADATA_OPTIONS
    launched_by: str | None = None
    """The Auto Scaling group or ECS service that launched it, as AWS's tag ``aws:autoscaling:groupName``; nobody writes it by hand (`model.launching`)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))
        object.__setattr__(self, "secondary_private_ip_addresses", tuple(address(value) for value in self.secondary_private_ip_addresses))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the instance by itself."""
        return (
            *id_faults(self.id),
            *self.metadata_options.faults(self.id),
            *address_faults(self.id, "private_ip_address", self.private_ip_address),
            *(fault for value in self.secondary_private_ip_addresses for fault in address_faults(self.id, "secondary_private_ip_addresses", value)),
            *(() if self.connection_tracking_specification is None else self.connection_tracking_specification.faults(self.id)),
            *(bounds_faults(self.id, "user_data port", self.user_data.port, 1, 65535) if isinstance(self.user_data, WebApplication) else ()),
            *(self.user_data.faults(self.id) if isinstance(self.user_data, (GeneveAppliance, IdentityProvider, SdWanAppliance, WebServer)) else ()),
        )
