"""A running lab as its observers see it, whether it lives in this process (`testbed.lab.Lab`) or in another (`engine.remote.RemoteLab`)."""

from __future__ import annotations

import socket as sockets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from testbed.plan import Plan


class LabView(Protocol):
    """What observing needs: sockets and programs in any node, the plan in force, and where logs and captures are.

    `log_directory` holds ``<service name>.jsonl``, the events of `services.common.events`; `capture_directory` is where captures may be left.
    """

    @property
    def name(self) -> str: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def log_directory(self) -> Path: ...

    @property
    def capture_directory(self) -> Path: ...

    def socket(self, node: str, family: int, kind: int, protocol: int = 0, /) -> sockets.socket:
        """A socket opened in the network namespace of `node`; the caller closes it."""
        ...

    def popen(self, node: str, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        """Any host program, run in `node`; `kwargs` are `subprocess.Popen`'s."""
        ...
