"""Whether a balancer's zone takes part in DNS: one small file per node, written by the balancer, looked at by Route 53.

A file is replaced whole, so that a reader sees the old text or the new one. Without a file a zone takes part: nobody has said otherwise yet.
Source: ELB user guide, "Target group health" (DNS failover; documented); the file is this testbed's own (`testbed/decisions/0012-zone-health-by-file.md`).
"""

from __future__ import annotations

import os
from pathlib import Path

HEALTHY, UNHEALTHY = b"healthy\n", b"unhealthy\n"


def tell(file: str, healthy: bool) -> None:
    """Say how a node's zone is. Raises OSError."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(HEALTHY if healthy else UNHEALTHY)
    fresh.replace(path)


def is_healthy(file: str) -> bool:
    """What was said last. Raises OSError where a file cannot be read."""
    try:
        return Path(file).read_bytes() != UNHEALTHY
    except FileNotFoundError:
        return True
