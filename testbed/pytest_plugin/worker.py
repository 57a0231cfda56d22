"""``python -m testbed.pytest_plugin.worker ARGUMENTS``: Python with these arguments, inside a sandbox of its own. How pytest-xdist's workers start.

A worker cannot enter later: it has threads by then. If the machine refuses, the worker runs outside and its tests with `lab` are skipped with the reason.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from testbed.engine import sandbox
from testbed.engine.errors import RealiseError
from testbed.pytest_plugin.plugin import REFUSED

if __name__ == "__main__":
    try:
        sandbox.enter(keep=(Path.cwd(), Path(tempfile.gettempdir())))  # pytest has made the workers' temporary folders outside
    except RealiseError as error:
        os.environ[REFUSED] = str(error)
    os.execv(sys.executable, (sys.executable, *sys.argv[1:]))
