"""Direct Connect's virtual interfaces: a VLAN on a connection, and a BGP session in it.

    private   to a virtual private gateway, or to a Direct Connect gateway     MTU 1500 or 9001
    transit   to a Direct Connect gateway with transit gateways                MTU 1500 or 8500
    public    to AWS's public addresses (see `public_virtual_interface`)       MTU 1500

On a LAG there is a session in the VLAN of each member, equally good: what a member carries is balanced by flow, and goes to the others when it is cut.
Source: Direct Connect user guide, "Virtual interfaces and hosted virtual interfaces", "Direct Connect quotas", "Routing policies and BGP communities", "MTUs for private virtual interfaces or transit virtual
interfaces"; API reference, "CreatePrivateVirtualInterface" (documented).
NOT MODELLED: IPv6 sessions, SiteLink, hosted virtual interfaces; LACP (one session over all of a LAG); graceful restart (AWS has it for sessions without BFD).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from typing import ClassVar

from testbed.model.customer_gateway import AWS_RESERVED_ASNS, HIGHEST_ASN
from testbed.model.values import Fault, bounds_faults, id_faults, network, network_faults

HIGHEST_VLAN = 4094
STANDARD_MTU_BYTES, PRIVATE_JUMBO_MTU_BYTES, TRANSIT_JUMBO_MTU_BYTES = 1500, 9001, 8500
LEAST_MSS, TCP_AND_IP_BYTES = 536, 40
SHORTEST_KEY, LONGEST_KEY = 6, 80
HOLD_S, KEEPALIVE_S = 90, 30
MOST_ROUTES_FROM_SITE = 100
"""On a private or transit virtual interface; one more takes the session down ("Direct Connect quotas"; documented)."""
AMAZON = 7224
LOW, MEDIUM, HIGH = (AMAZON, 7100), (AMAZON, 7200), (AMAZON, 7300)
"""Local preference communities; routes without one are medium (documented)."""
LOCAL_PREFERENCES = {LOW: 100, MEDIUM: 200, HIGH: 300}
"""What they make of a route's local preference: the order is documented, the numbers are assumed."""
HIGHEST_METRIC = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDeviceSession:
    """The session as the site's router has it configured. `prefixes` None announces the site's LAN. `metric` chooses among the router's connections when it sends: the lowest that is up.

    `auth_key` None is the one that AWS shows. `bfd` False: only the hold timer notices a silent loss. `tcp_mss` is what the router clamps TCP to over the fibre, both ways (None: nothing): connections
    that begin here and go on over a VPN must fit into its tunnels, for AWS's end drops what does not, and says nothing.
    """

    prefixes: tuple[IPv4Network, ...] | None = None
    communities: tuple[tuple[int, int], ...] = ()
    as_path_prepend: int = 0
    med: int | None = None
    bfd: bool = True
    metric: int = 50
    auth_key: str | None = None
    tcp_mss: int | None = None

    def __post_init__(self) -> None:
        if self.prefixes is not None:
            object.__setattr__(self, "prefixes", tuple(network(block) for block in self.prefixes))

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with the device's configuration of the virtual interface called `name`."""
        for block in self.prefixes or ():
            yield from network_faults(name, "prefixes", block)
        yield from bounds_faults(name, "as_path_prepend", self.as_path_prepend, 0, 10)
        yield from bounds_faults(name, "med", 0 if self.med is None else self.med, 0, 2**32 - 1)
        yield from bounds_faults(name, "metric", self.metric, 1, HIGHEST_METRIC)
        yield from bounds_faults(name, "tcp_mss", LEAST_MSS if self.tcp_mss is None else self.tcp_mss, LEAST_MSS, PRIVATE_JUMBO_MTU_BYTES - TCP_AND_IP_BYTES)
        for half in (half for community in self.communities for half in community):
            yield from bounds_faults(name, "half of a community", half, 0, 2**16 - 1)
        yield from _key_faults(name, self.auth_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualInterface(ABC):
    """What the three kinds have in common. `connection_id` is a connection or a LAG; `asn` the site's. Addresses (with their mask: ``169.254.100.1/30``) and `auth_key` left out are chosen."""

    MTUS: ClassVar[tuple[int, ...]] = (STANDARD_MTU_BYTES,)
    LINK: ClassVar[str] = "virtual interface"

    id: str
    connection_id: str
    vlan: int
    asn: int
    mtu: int = STANDARD_MTU_BYTES
    auth_key: str | None = None
    amazon_address: IPv4Interface | None = None
    customer_address: IPv4Interface | None = None
    customer_device: CustomerDeviceSession = CustomerDeviceSession()

    def __post_init__(self) -> None:
        for field in ("amazon_address", "customer_address"):
            object.__setattr__(self, field, _interface(getattr(self, field)))

    @property
    @abstractmethod
    def gateway_id(self) -> str | None:
        """The gateway at AWS's end."""

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the virtual interface by itself."""
        return (
            *id_faults(self.id),
            *bounds_faults(self.id, "vlan", self.vlan, 1, HIGHEST_VLAN),
            *bounds_faults(self.id, "asn", self.asn, 1, HIGHEST_ASN),
            *_key_faults(self.id, self.auth_key),
            *self.customer_device.faults(self.id),
            *self._own_faults(),
        )

    def _own_faults(self) -> Iterator[Fault]:
        if self.mtu not in self.MTUS:
            yield Fault(resource=self.id, problem=f"mtu {self.mtu} on a {self.LINK}", remedy=f"use {' or '.join(map(str, self.MTUS))}")
        if self.asn in AWS_RESERVED_ASNS:
            yield Fault(resource=self.id, problem=f"asn {self.asn} is reserved by AWS", remedy="use a private ASN from 64512 to 65534, or one of your own")
        ends = (self.amazon_address, self.customer_address)
        if ends == (None, None):
            return
        if not all(isinstance(end, IPv4Interface) for end in ends):
            yield Fault(resource=self.id, problem=f"addresses {ends[0]} and {ends[1]} are not two IPv4 addresses", remedy="write both with their mask, as 169.254.100.1/30 and 169.254.100.2/30, or leave both out")
        elif ends[0] == ends[1] or ends[0].network != ends[1].network or ends[0].network.num_addresses > 8:  # type: ignore[union-attr]
            yield Fault(resource=self.id, problem=f"addresses {ends[0]} and {ends[1]} are not the two ends of one link", remedy="use two addresses of one /30 or /31")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateVirtualInterface(VirtualInterface):
    """To the VPC of a virtual private gateway, or by a Direct Connect gateway to several."""

    MTUS = (STANDARD_MTU_BYTES, PRIVATE_JUMBO_MTU_BYTES)
    LINK = "private virtual interface"
    vpn_gateway_id: str | None = None
    direct_connect_gateway_id: str | None = None

    @property
    def gateway_id(self) -> str | None:
        return self.vpn_gateway_id if self.vpn_gateway_id is not None else self.direct_connect_gateway_id

    def _own_faults(self) -> Iterator[Fault]:
        yield from VirtualInterface._own_faults(self)
        if (self.vpn_gateway_id is None) == (self.direct_connect_gateway_id is None):
            problem = "no gateway at AWS's end" if self.vpn_gateway_id is None else "two gateways at AWS's end"
            yield Fault(resource=self.id, problem=problem, remedy="give one of vpn_gateway_id and direct_connect_gateway_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitVirtualInterface(VirtualInterface):
    """By a Direct Connect gateway to transit gateways."""

    MTUS = (STANDARD_MTU_BYTES, TRANSIT_JUMBO_MTU_BYTES)
    LINK = "transit virtual interface"
    direct_connect_gateway_id: str

    @property
    def gateway_id(self) -> str | None:
        return self.direct_connect_gateway_id


def _interface(value: IPv4Interface | str | None) -> IPv4Interface | str | None:
    """`value` as an address with a mask if it is one, else unchanged."""
    if isinstance(value, str):
        try:
            return IPv4Interface(value)
        except ValueError:
            return value
    return value


def _key_faults(name: str, key: str | None) -> Iterator[Fault]:
    if key is not None and not (SHORTEST_KEY <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and '"' not in key):
        yield Fault(resource=name, problem="auth_key is not a BGP key", remedy=f"use {SHORTEST_KEY} to {LONGEST_KEY} printable characters without quotation marks")
