"""Results that are asked for again and again while one topology is compiled: computed once for each argument, and kept until another topology is compiled.

The topology is known by identity, since to compare two of thousands of rules costs more than most of what is computed from them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from testbed.resolve.resolved import Resolved

T = TypeVar("T")


def per_topology(function: Callable[..., T]) -> Callable[..., T]:
    """`function(resolved, *arguments)`, remembered for the topology that it was last asked about; the arguments are hashable."""
    known: tuple[Resolved | None, dict[Hashable, T]] = (None, {})

    @functools.wraps(function)
    def remembered(resolved: Resolved, *arguments: Any) -> T:
        nonlocal known
        of, results = known
        if of is not resolved:
            results = {}
            known = (resolved, results)
        if arguments not in results:
            results[arguments] = function(resolved, *arguments)
        return results[arguments]

    return remembered
