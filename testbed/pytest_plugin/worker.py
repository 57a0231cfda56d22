"""``python -m testbed.pytest_plugin.worker [--keep PATH]... ARGUMENTS``: Python with these arguments, inside a sandbox of its own. How pytest-xdist's workers start.

A worker cannot enter later: it has threads by then. Of the host's /tmp it sees the paths to keep alone. If the machine refuses, the worker runs outside and its tests with `lab` are skipped with the reason.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed.engine import sandbox
from testbed.engine.errors import RealiseError
from testbed.pytest_plugin.plugin import KEEP, REFUSED

if __name__ == "__main__":
    arguments = sys.argv[1:]
    kept = []
    while arguments[:1] == [KEEP]:
        kept.append(Path(arguments[1]))
        arguments = arguments[2:]
    try:
        sandbox.enter(keep=kept)
    except RealiseError as error:
        os.environ[REFUSED] = str(error)
    os.execv(sys.executable, (sys.executable, *arguments))
