"""Global Accelerator: two static addresses that every edge location announces, and the listeners behind them.

    user ─▶ nearest edge location ─▶ listener: protocol, ports, affinity ─▶ endpoint groups, one per Region (`endpoint_group`) ─▶ endpoints

Source: Global Accelerator developer guide, "AWS Global Accelerator components", "How AWS Global Accelerator works", "Client affinity", "Quotas for AWS Global Accelerator" (documented).
NOT MODELLED: custom routing accelerators, dual-stack (the lab has no IPv6), bring your own addresses, flow logs of an accelerator, cross-account attachments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, PortRange, choice_faults, id_faults

TCP, UDP = "TCP", "UDP"
NONE, SOURCE_IP = "NONE", "SOURCE_IP"
STATIC_ADDRESSES = 2
MOST_PORT_RANGES = 10
FIRST_PORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A standard accelerator. It keeps its two addresses, one of each network zone, until it is deleted; while it is not `enabled` it accepts no traffic."""

    id: str
    enabled: bool = True

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the accelerator by itself."""
        return tuple(id_faults(self.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorListener:
    """A listener of an accelerator. `client_affinity` NONE spreads flows by their five-tuple; SOURCE_IP sends all of a client's flows to one endpoint."""

    id: str
    accelerator_arn: str
    port_ranges: tuple[PortRange, ...]
    protocol: str = TCP
    client_affinity: str = NONE

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the listener by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "protocol", self.protocol, (TCP, UDP)),
            *choice_faults(self.id, "client_affinity", self.client_affinity, (NONE, SOURCE_IP)),
            *self._port_faults(),
        )

    def _port_faults(self) -> Iterator[Fault]:
        if not 1 <= len(self.port_ranges) <= MOST_PORT_RANGES:
            yield Fault(resource=self.id, problem=f"{len(self.port_ranges)} port ranges", remedy=f"give 1 to {MOST_PORT_RANGES}")
        for ports in self.port_ranges:
            if not ports.is_valid or ports.first < FIRST_PORT:
                yield Fault(resource=self.id, problem=f"port range {ports.first}-{ports.last}", remedy=f"use ports from {FIRST_PORT} to 65535, the first one first")
