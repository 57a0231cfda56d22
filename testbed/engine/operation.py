"""What a lab's own process does for whoever launched it, beyond what the engine knows of: requests that need what the process holds already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.engine.lab import Lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Requests by their `op`, each answered by a function of the lab and the request; one at a time, and none while the lab changes. `prepare` is called once, beside, when the lab is up."""

    answers: Mapping[str, Callable[[Lab, dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    prepare: Callable[[Lab], None] = lambda _: None


NO_OPERATIONS = Operations()
