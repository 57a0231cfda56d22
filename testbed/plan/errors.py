"""The family of errors that are ours: a plan that contradicts itself."""

from __future__ import annotations


class PlanError(Exception):
    """Two lowerings disagree, or a plan names what it does not hold. Always a bug of the testbed, never of a topology."""
