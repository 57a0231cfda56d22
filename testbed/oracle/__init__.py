"""The independent truth: what AWS does with one packet and with its reply, computed from the model's raw references and tables."""

from testbed.oracle.oracle import Oracle
from testbed.oracle.walk import Hop, Leg, Outcome, Path, Probe, Stage, Walk

__all__ = ["Hop", "Leg", "Oracle", "Outcome", "Path", "Probe", "Stage", "Walk"]
