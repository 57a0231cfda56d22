"""The independent truth: what AWS does with one packet and with its reply, computed from the model's raw references and tables."""

from testbed.oracle.memory import Memory
from testbed.oracle.oracle import Oracle
from testbed.oracle.reach import Fate, Reach
from testbed.oracle.remedy import Advice
from testbed.oracle.walk import Hop, Leg, Outcome, Path, Probe, Stage, Walk

__all__ = ["Advice", "Fate", "Hop", "Leg", "Memory", "Oracle", "Outcome", "Path", "Probe", "Reach", "Stage", "Walk"]
