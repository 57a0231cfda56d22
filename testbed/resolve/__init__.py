"""References, addresses, effective routes and memberships, and all faults: `resolve` makes a `Resolved` of a `Topology`."""

from testbed.resolve.assemble import resolve
from testbed.resolve.resolved import Resolved

__all__ = ["Resolved", "resolve"]
