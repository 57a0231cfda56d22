"""The lab that a module's tests share: `testbed.lab.Lab` with what an experiment wants of it."""

from __future__ import annotations

from testbed.lab import Lab
from testbed.observe.nodes import Observed


class ModuleLab(Observed, Lab):
    """A running topology, in this very process: ``lab["client"].curl(…)``, ``lab.capture(…)``, and the live Mininet network as ``lab.net``."""
