"""Service quotas of an account, where they bound a topology. Raise one here as one would ask AWS to.

Source: VPC user guide, "Amazon VPC quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults

RULES_TIMES_GROUPS = 1000
"""Rules per group times groups per interface never exceed this, whatever is asked for."""
HIGHEST_ENTRIES_PER_NETWORK_ACL = 40
HIGHEST_GROUPS_PER_INTERFACE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """AWS's defaults. Rules and entries are counted for each direction by itself."""

    rules_per_security_group: int = 60
    security_groups_per_interface: int = 5
    entries_per_network_acl: int = 20

    def faults(self) -> Iterator[Fault]:
        """Quotas that AWS does not grant."""
        yield from bounds_faults("quotas", "security_groups_per_interface", self.security_groups_per_interface, 1, HIGHEST_GROUPS_PER_INTERFACE)
        yield from bounds_faults("quotas", "entries_per_network_acl", self.entries_per_network_acl, 1, HIGHEST_ENTRIES_PER_NETWORK_ACL)
        product = self.rules_per_security_group * self.security_groups_per_interface
        if product > RULES_TIMES_GROUPS:
            problem = f"rules per security group times security groups per interface is {product}"
            yield Fault(resource="quotas", problem=problem, remedy=f"keep the product at {RULES_TIMES_GROUPS} or less")


DEFAULT_QUOTAS = Quotas()
