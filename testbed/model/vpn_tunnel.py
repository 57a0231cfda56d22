"""The tunnels of a Site-to-Site VPN connection: what AWS's end is told, what the customer's device is told, and what the two agree on.

    AWS's end    VpnTunnelOptions      key, inside /30, allowed ciphers, dead peer detection, lifetimes
    the device   CustomerDeviceTunnel  what its administrator has typed; by default what AWS's sample configuration says

    negotiate():  keys equal? ─▶ a common cipher, integrity, group, phase by phase: the lowest that AWS has configured ─▶ ciphers and MTU, else the cause

Source: Site-to-Site VPN user guide, "Tunnel options for your Site-to-Site VPN connection", "Your customer gateway device" (MTU table; documented);
that AWS goes from its lowest configured value upward, whatever the device prefers (documented). What sample configurations say: secondary.
NOT MODELLED: IKEv1, certificates, large tunnels, logging options. NAT-T is always in use (userspace ESP has no other transport), so the MTUs are those with NAT-T.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.values import Fault, bounds_faults, choice_faults, network, network_faults

ENCRYPTION = ("AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16")
INTEGRITY = ("SHA1", "SHA2-256", "SHA2-384", "SHA2-512")
PHASE1_GROUPS = (2, *range(14, 25))
PHASE2_GROUPS = (2, 5, *range(14, 25))
INSIDE = IPv4Network("169.254.0.0/16")
RESERVED = tuple(IPv4Network(block) for block in ("169.254.0.0/30", "169.254.1.0/30", "169.254.2.0/30", "169.254.3.0/30", "169.254.4.0/30", "169.254.5.0/30", "169.254.169.252/30"))
INSIDE_PREFIX = 30
PRE_SHARED_KEY = re.compile(r"[1-9A-Za-z._][0-9A-Za-z._]{7,63}")
LEAST_DPD_TIMEOUT_S = 30
PHASE1_LIFETIME_S, PHASE2_LIFETIME_S = 28800, 3600
LEAST_LIFETIME_S = 900
DEFAULT_MSS = 1360
"""AWS's sample configurations say 1379, which suits their MTUs."""
USERSPACE_MTU_BYTES = 1400
MTU_BYTES = {"GCM": 1438, "SHA1": 1422, "SHA2-256": 1422, "SHA2-384": 1422, "SHA2-512": 1406}
"""With NAT-T, by integrity algorithm; AES-GCM has none of its own. NOT MODELLED: what is longer than `USERSPACE_MTU_BYTES`, which is all that strongSwan's userspace ESP takes from
its device in one piece; it bounds tunnels in the kernel too, so that every machine gives the same answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnTunnelOptions:
    """AWS's end of a tunnel. A key or inside block that is left out is chosen for you. Times are in AWS's seconds."""

    pre_shared_key: str | None = None
    tunnel_inside_cidr: IPv4Network | None = None
    dpd_timeout_seconds: int = 40
    dpd_timeout_action: str = "clear"
    phase1_encryption_algorithms: tuple[str, ...] = ENCRYPTION
    phase1_integrity_algorithms: tuple[str, ...] = INTEGRITY
    phase1_dh_group_numbers: tuple[int, ...] = PHASE1_GROUPS
    phase1_lifetime_seconds: int = PHASE1_LIFETIME_S
    phase2_encryption_algorithms: tuple[str, ...] = ENCRYPTION
    phase2_integrity_algorithms: tuple[str, ...] = INTEGRITY
    phase2_dh_group_numbers: tuple[int, ...] = PHASE2_GROUPS
    phase2_lifetime_seconds: int = PHASE2_LIFETIME_S
    rekey_margin_time_seconds: int = 270
    rekey_fuzz_percentage: int = 100
    replay_window_size: int = 1024
    startup_action: str = "add"

    def __post_init__(self) -> None:
        if self.tunnel_inside_cidr is not None:
            object.__setattr__(self, "tunnel_inside_cidr", network(self.tunnel_inside_cidr))

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with the options of the tunnel called `name`."""
        yield from _key_faults(name, self.pre_shared_key)
        yield from self._inside_faults(name)
        yield from choice_faults(name, "dpd_timeout_action", self.dpd_timeout_action, ("clear", "none", "restart"))
        yield from choice_faults(name, "startup_action", self.startup_action, ("add", "start"))
        if self.dpd_timeout_seconds < LEAST_DPD_TIMEOUT_S:
            yield Fault(resource=name, problem=f"dpd_timeout_seconds {self.dpd_timeout_seconds} is too short", remedy=f"use {LEAST_DPD_TIMEOUT_S} or more; Topology.time_scale makes it pass sooner")
        yield from bounds_faults(name, "phase1_lifetime_seconds", self.phase1_lifetime_seconds, LEAST_LIFETIME_S, PHASE1_LIFETIME_S)
        yield from bounds_faults(name, "phase2_lifetime_seconds", self.phase2_lifetime_seconds, LEAST_LIFETIME_S, min(PHASE2_LIFETIME_S, self.phase1_lifetime_seconds - 1))
        yield from bounds_faults(name, "rekey_margin_time_seconds", self.rekey_margin_time_seconds, 60, self.phase2_lifetime_seconds // 2)
        yield from bounds_faults(name, "rekey_fuzz_percentage", self.rekey_fuzz_percentage, 0, 100)
        yield from bounds_faults(name, "replay_window_size", self.replay_window_size, 64, 2048)
        for field, values, allowed in (
            ("phase1_encryption_algorithms", self.phase1_encryption_algorithms, ENCRYPTION),
            ("phase2_encryption_algorithms", self.phase2_encryption_algorithms, ENCRYPTION),
            ("phase1_integrity_algorithms", self.phase1_integrity_algorithms, INTEGRITY),
            ("phase2_integrity_algorithms", self.phase2_integrity_algorithms, INTEGRITY),
        ):
            yield from _list_faults(name, field, values, allowed)
        yield from _list_faults(name, "phase1_dh_group_numbers", tuple(map(str, self.phase1_dh_group_numbers)), tuple(map(str, PHASE1_GROUPS)))
        yield from _list_faults(name, "phase2_dh_group_numbers", tuple(map(str, self.phase2_dh_group_numbers)), tuple(map(str, PHASE2_GROUPS)))

    def _inside_faults(self, name: str) -> Iterator[Fault]:
        block = self.tunnel_inside_cidr
        if block is None:
            return
        yield from network_faults(name, "tunnel_inside_cidr", block)
        if not isinstance(block, IPv4Network):
            return
        if block.prefixlen != INSIDE_PREFIX or not block.subnet_of(INSIDE):
            yield Fault(resource=name, problem=f"tunnel_inside_cidr {block} is not a /{INSIDE_PREFIX} of {INSIDE}", remedy="use a block such as 169.254.10.0/30, or leave it out")
        elif block in RESERVED:
            yield Fault(resource=name, problem=f"tunnel_inside_cidr {block} is reserved by AWS", remedy="use a block such as 169.254.10.0/30, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDeviceTunnel:
    """One tunnel as the customer's device has it configured. `pre_shared_key` None is the one that AWS shows.

    `metric` chooses among the tunnels when the device sends: the lowest that is up. `tcp_mss` is what it clamps TCP to, both ways; None clamps nothing.
    """

    pre_shared_key: str | None = None
    phase1_encryption_algorithm: str = "AES128-GCM-16"
    phase1_integrity_algorithm: str = "SHA2-256"
    phase1_dh_group_number: int = 19
    phase2_encryption_algorithm: str = "AES128-GCM-16"
    phase2_integrity_algorithm: str = "SHA2-256"
    phase2_dh_group_number: int = 19
    metric: int = 100
    tcp_mss: int | None = DEFAULT_MSS

    def faults(self, name: str) -> Iterator[Fault]:
        """What is wrong with the device's configuration of the tunnel called `name`."""
        yield from choice_faults(name, "device phase1_encryption_algorithm", self.phase1_encryption_algorithm, ENCRYPTION)
        yield from choice_faults(name, "device phase2_encryption_algorithm", self.phase2_encryption_algorithm, ENCRYPTION)
        yield from choice_faults(name, "device phase1_integrity_algorithm", self.phase1_integrity_algorithm, INTEGRITY)
        yield from choice_faults(name, "device phase2_integrity_algorithm", self.phase2_integrity_algorithm, INTEGRITY)
        yield from _list_faults(name, "device phase1_dh_group_number", (str(self.phase1_dh_group_number),), tuple(map(str, PHASE1_GROUPS)))
        yield from _list_faults(name, "device phase2_dh_group_number", (str(self.phase2_dh_group_number),), tuple(map(str, PHASE2_GROUPS)))
        yield from bounds_faults(name, "device metric", self.metric, 1, 9999)
        yield from bounds_faults(name, "device tcp_mss", DEFAULT_MSS if self.tcp_mss is None else self.tcp_mss, 536, 1460)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What becomes of a negotiation: `cause` None is a tunnel that is up, with payloads of up to `mtu_bytes`."""

    cause: str | None
    mtu_bytes: int = 0


def negotiate(aws: VpnTunnelOptions, device: CustomerDeviceTunnel, aws_key: str) -> Agreement:
    """Whether the two ends find a tunnel, and its MTU, or why they find none."""
    phases = (
        ("IKE (phase 1)", aws.phase1_encryption_algorithms, aws.phase1_integrity_algorithms, aws.phase1_dh_group_numbers, device.phase1_encryption_algorithm, device.phase1_integrity_algorithm, device.phase1_dh_group_number),
        ("IPsec (phase 2)", aws.phase2_encryption_algorithms, aws.phase2_integrity_algorithms, aws.phase2_dh_group_numbers, device.phase2_encryption_algorithm, device.phase2_integrity_algorithm, device.phase2_dh_group_number),
    )
    for number, (phase, ciphers, hashes, groups, cipher, integrity, group) in enumerate(phases, start=1):
        uses_hash = number == 1 or not is_gcm(cipher)  # phase 1 derives keys with it, whatever the cipher
        if cipher not in ciphers or (uses_hash and integrity not in hashes) or group not in groups:
            return Agreement(cause=f"{phase}: no proposal in common")
        if number == 1 and device.pre_shared_key not in (None, aws_key):
            return Agreement(cause="the pre-shared keys differ")
    return Agreement(cause=None, mtu_bytes=min(USERSPACE_MTU_BYTES, MTU_BYTES["GCM" if is_gcm(device.phase2_encryption_algorithm) else device.phase2_integrity_algorithm]))


def is_gcm(cipher: str) -> bool:
    """Whether a cipher brings its own integrity."""
    return cipher.endswith("GCM-16")


def amazon_address(inside: IPv4Network) -> IPv4Address:
    """AWS's end of an inside block: the first of its two."""
    return inside[1]


def device_address(inside: IPv4Network) -> IPv4Address:
    """The customer device's end of an inside block."""
    return inside[2]


def _key_faults(name: str, key: str | None) -> Iterator[Fault]:
    if key is not None and not PRE_SHARED_KEY.fullmatch(key):
        yield Fault(resource=name, problem="the pre_shared_key is not one that AWS takes", remedy="use 8 to 64 letters, digits, dots and underscores, not beginning with 0, or leave it out")


def _list_faults(name: str, field: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[Fault]:
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        yield Fault(resource=name, problem=f"{field} {', '.join(unknown) or 'is empty'}{' is not allowed' if unknown else ''}", remedy=f"use some of {', '.join(allowed)}")
