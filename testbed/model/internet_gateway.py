"""Internet gateways: the 1:1 address swap between a VPC and the internet.

Source: VPC user guide, "Internet gateways" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetGateway:
    """An internet gateway attached to one VPC."""

    id: str
    vpc_id: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return tuple(id_faults(self.id))
