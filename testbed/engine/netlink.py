"""rtnetlink, spoken by hand: links, addresses, routes, rules and neighbours of many namespaces, a batch in one system call.

A `Socket` belongs to the namespace in which it was opened, for ever: a node keeps one, and nobody has to enter the namespace again.
`Batch` gathers requests and sends them together; the kernel carries them out in order and answers with errors only, and with one final
acknowledgement. Costs, per request: building 5 µs, the kernel's own work 20-200 µs.

Layouts: Linux UAPI rtnetlink.h, if_link.h, fib_rules.h, neighbour.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
RTM_NEWRULE, RTM_DELRULE = 32, 33
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR = 2

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 18, 28
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_CARRIER, IFLA_GSO_MAX_SEGS = 33, 40
IFLA_LINK = 5
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER, IFLA_VLAN_ID = 1, 2, 1, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_TABLE = 1, 4, 5, 6, 7, 8, 15
RTAX_MTU = 2
FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK = 2, 6, 10, 15, 16
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
IFF_UP = 1
RTNH_F_ONLINK = 4
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254
RTN_TYPES = {"unicast": 1, "local": 2, "blackhole": 6, "unreachable": 7, "throw": 9}
RTPROT_STATIC = 4
LOOPBACK_INDEX = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")


GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
Request = tuple[int, int, bytes, frozenset[int]]
"""Type, flags, payload, and the errors that do not matter."""


class NetlinkError(OSError):
    """The kernel refused a request; the message says which."""


def _attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _number(kind: int, value: int) -> bytes:
    return _ATTRIBUTE.pack(8, kind) + value.to_bytes(4, "little")


def mac_bytes(mac: str) -> bytes:
    """``02:00:0a:00:00:04`` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


class Socket:
    """A route netlink socket in the namespace where it is opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, batch: Batch) -> None:
        """Carry out a batch. Raises NetlinkError for the first request that the kernel refuses; the later ones have been tried as well."""
        if not batch.requests:
            return
        for first in range(0, len(batch.requests), Batch.AT_ONCE):
            self._send(batch.requests[first : first + Batch.AT_ONCE], batch.meanings[first : first + Batch.AT_ONCE])

    def _send(self, requests: list[Request], meanings: list[str]) -> None:
        last = len(requests) - 1
        message = bytearray()
        for number, (kind, flags, payload, _) in enumerate(requests):
            flags |= NLM_F_REQUEST | (NLM_F_ACK if number == last else 0)
            message += _HEADER.pack(_HEADER.size + len(payload), kind, flags, number, 0) + payload + b"\0" * (-len(payload) % 4)
        self._socket.send(message)
        refused: NetlinkError | None = None
        while True:
            answer = self._socket.recv(65536)
            offset = 0
            while offset < len(answer):
                length, kind, _, number, _ = _HEADER.unpack_from(answer, offset)
                if kind == NLMSG_ERROR:
                    error = -struct.unpack_from("=i", answer, offset + _HEADER.size)[0]
                    if error and error not in requests[number][3] and refused is None:
                        refused = NetlinkError(error, f"{meanings[number]}: {os.strerror(error)}")
                    if number == last:
                        if refused is not None:
                            raise refused
                        return
                offset += (length + 3) & ~3

    def index(self, device: str) -> int:
        """The interface's index in this namespace. Raises NetlinkError if there is none."""
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, device.encode() + b"\0")
        self._socket.send(_HEADER.pack(_HEADER.size + len(payload), 18, NLM_F_REQUEST, 0, 0) + payload)
        answer = self._socket.recv(65536)
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        if kind == NLMSG_ERROR:
            error = -struct.unpack_from("=i", answer, _HEADER.size)[0]
            raise NetlinkError(error, f"interface {device}: {os.strerror(error)}")
        return int(_LINK.unpack_from(answer, _HEADER.size)[2])


class Batch:
    """Requests to one namespace, in order, each with its meaning in words for the error message.

    What is to be deleted may be gone already, since the kernel takes routes away with the address or interface that they need. With `may_exist`, what is
    to be added may be there already.
    """

    AT_ONCE = 256

    def __init__(self, *, may_exist: bool = False) -> None:
        self.tolerated = frozenset({errno.EEXIST}) if may_exist else frozenset[int]()
        self.requests: list[Request] = []
        self.meanings: list[str] = []

    def _add(self, kind: int, flags: int, payload: bytes, meaning: str) -> None:
        deletes = kind in (RTM_DELADDR, RTM_DELROUTE, RTM_DELNEIGH, RTM_DELRULE)
        self.requests.append((kind, flags, payload, GONE if deletes else self.tolerated))
        self.meanings.append(meaning)

    def veth(self, a: VethEnd, b: VethEnd) -> None:
        """Create a veth pair, each end in its own namespace with name, index, MAC and MTU; `a` is up, `b` not yet: the kernel cannot raise it before both exist."""
        peer = _LINK.pack(socket.AF_UNSPEC, 0, b.index, 0, 0) + b.attributes()
        kind = _attribute(IFLA_INFO_KIND, b"veth\0") + _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, peer))
        payload = _LINK.pack(socket.AF_UNSPEC, 0, a.index, IFF_UP, IFF_UP) + a.attributes() + _attribute(IFLA_LINKINFO, kind)
        self._add(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"create link {a.name} - {b.name}")

    def vlan(self, end: VethEnd, parent: int, tag: int) -> None:
        """Create an 802.1Q device on the interface with the index `parent` in this socket's namespace; the device itself may be in another."""
        kind = _attribute(IFLA_INFO_KIND, b"vlan\0") + _attribute(IFLA_INFO_DATA, _attribute(IFLA_VLAN_ID, struct.pack("=H", tag)))
        payload = _LINK.pack(socket.AF_UNSPEC, 0, end.index, 0, 0) + end.attributes() + _number(IFLA_LINK, parent) + _attribute(IFLA_LINKINFO, kind)
        self._add(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"create VLAN {tag} as {end.name}")

    def configure_link(self, device: str, *, mac: str | None = None, mtu_bytes: int | None = None, up: bool = True) -> None:
        """Set an existing interface's MAC and MTU, and bring it up or down."""
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, IFF_UP if up else 0, IFF_UP) + _attribute(IFLA_IFNAME, device.encode() + b"\0")
        if mac is not None:
            payload += _attribute(IFLA_ADDRESS, mac_bytes(mac))
        if mtu_bytes is not None:
            payload += _number(IFLA_MTU, mtu_bytes)
        self._add(RTM_NEWLINK, 0, payload, f"configure link {device}")

    def up(self, index: int, *, up: bool = True) -> None:
        """Bring the interface with this index up, or down."""
        self._add(RTM_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, IFF_UP if up else 0, IFF_UP), f"bring interface {index} {'up' if up else 'down'}")

    def carrier(self, index: int, on: bool) -> None:
        """Give a TAP its carrier, or take it away."""
        self._add(RTM_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + _attribute(IFLA_CARRIER, bytes((on,))), f"carrier of interface {index}")

    def segments(self, index: int, most: int) -> None:
        """How many packets one transmission through the interface may hold: 1 has every one sent, and lost, by itself."""
        self._add(RTM_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + _number(IFLA_GSO_MAX_SEGS, most), f"segments of interface {index}")

    def delete_link(self, device: str) -> None:
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, device.encode() + b"\0")
        self._add(RTM_DELLINK, 0, payload, f"delete link {device}")

    def address(self, index: int, address: IPv4Interface, *, delete: bool = False) -> None:
        """Add an address to, or delete it from, the interface with this index."""
        scope = RT_SCOPE_UNIVERSE
        payload = _ADDRESS.pack(socket.AF_INET, address.network.prefixlen, 0, scope, index)
        payload += _attribute(IFA_LOCAL, address.ip.packed) + _attribute(IFA_ADDRESS, address.ip.packed)
        kind, flags = (RTM_DELADDR, 0) if delete else (RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)
        self._add(kind, flags, payload, f"{'delete' if delete else 'add'} address {address}")

    def route(
        self,
        destination: IPv4Network,
        *,
        kind: str,
        table: int,
        index: int | None = None,
        via: IPv4Address | None = None,
        onlink: bool = False,
        source: IPv4Address | None = None,
        mtu_bytes: int | None = None,
        metric: int = 0,
        delete: bool = False,
    ) -> None:
        """Add or delete a route; `kind` is one of RTN_TYPES."""
        scope = RT_SCOPE_HOST if kind == "local" else RT_SCOPE_LINK if kind == "unicast" and via is None else RT_SCOPE_UNIVERSE
        flags = RTNH_F_ONLINK if onlink else 0
        payload = _ROUTE.pack(socket.AF_INET, destination.prefixlen, 0, 0, min(table, 255) if table < 256 else 0, RTPROT_STATIC, scope, RTN_TYPES[kind], flags)
        payload += _attribute(RTA_DST, destination.network_address.packed) + _number(RTA_TABLE, table)
        if index is not None:
            payload += _number(RTA_OIF, index)
        if via is not None:
            payload += _attribute(RTA_GATEWAY, via.packed)
        if source is not None:
            payload += _attribute(RTA_PREFSRC, source.packed)
        if mtu_bytes is not None:
            payload += _attribute(RTA_METRICS, _number(RTAX_MTU, mtu_bytes))
        if metric:
            payload += _number(RTA_PRIORITY, metric)
        meaning = f"{'delete' if delete else 'add'} route {kind} {destination} via {via} table {table}"
        self._add(RTM_DELROUTE if delete else RTM_NEWROUTE, 0 if delete else NLM_F_CREATE | NLM_F_EXCL, payload, meaning)

    def rule(self, *, priority: int, mark: int, mask: int, table: int, source: IPv4Network | None = None, delete: bool = False) -> None:
        """Add or delete an `ip rule` by firewall mark (a mask of 0: any) and source (None: any)."""
        length = 0 if source is None else source.prefixlen
        payload = _ROUTE.pack(socket.AF_INET, 0, length, 0, table if table < 256 else 0, RTPROT_STATIC, RT_SCOPE_UNIVERSE, 1, 0)
        payload += _number(FRA_PRIORITY, priority) + _number(FRA_TABLE, table)
        if mask:
            payload += _number(FRA_FWMARK, mark) + _number(FRA_FWMASK, mask)
        if source is not None:
            payload += _attribute(FRA_SRC, source.network_address.packed)
        meaning = f"{'delete' if delete else 'add'} rule {priority} mark {mark:#x}/{mask:#x} from {source or 'all'} table {table}"
        self._add(RTM_DELRULE if delete else RTM_NEWRULE, 0 if delete else NLM_F_CREATE | NLM_F_EXCL, payload, meaning)

    def neighbour(self, index: int, address: IPv4Address, mac: str, *, delete: bool = False) -> None:
        """Add or delete a permanent ARP entry."""
        payload = _NEIGHBOUR.pack(socket.AF_INET, index, NUD_PERMANENT, 0, 0) + _attribute(NDA_DST, address.packed) + _attribute(NDA_LLADDR, mac_bytes(mac))
        kind, flags = (RTM_DELNEIGH, 0) if delete else (RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)
        self._add(kind, flags, payload, f"{'delete' if delete else 'add'} neighbour {address}")


class VethEnd:
    """One end of a pair to be made: where it goes and what it is called there. `index` 0 lets the kernel choose."""

    __slots__ = ("descriptor", "index", "mac", "mtu_bytes", "name")

    def __init__(self, name: str, descriptor: int, mac: str, mtu_bytes: int, index: int = 0) -> None:
        self.name, self.descriptor, self.mac, self.mtu_bytes, self.index = name, descriptor, mac, mtu_bytes, index

    def attributes(self) -> bytes:
        return (
            _attribute(IFLA_IFNAME, self.name.encode() + b"\0")
            + _attribute(IFLA_ADDRESS, mac_bytes(self.mac))
            + _number(IFLA_MTU, self.mtu_bytes)
            + _number(IFLA_NET_NS_FD, self.descriptor)
            + _number(IFLA_NUM_TX_QUEUES, 1)
            + _number(IFLA_NUM_RX_QUEUES, 1)
        )


def bring_loopback_up() -> None:
    """Bring lo up in the calling thread's namespace."""
    netlink, batch = Socket(), Batch()
    batch.up(LOOPBACK_INDEX)
    netlink.send(batch)
    netlink.close()
