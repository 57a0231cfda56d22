"""Connection tracking, which a distribution's kernel has as a module, loaded before the first lab of a machine needs its sysctls."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed.engine.errors import RealiseError
from testbed.engine.preflight import COMMAND_TIMEOUT_S, FEATURES, SET_UP, SYSTEM_PATH


def load_connection_tracking(seen_at: Path = Path("/proc/sys/net/netfilter/nf_conntrack_generic_timeout")) -> None:
    """Have the kernel load it, if nobody on this machine has used it yet: its sysctls, which nodes set before their rulesets come, are there only then. Needs to be in a sandbox, or root.

    Raises RealiseError where it cannot be had.
    """
    if seen_at.exists():
        return
    rules = next(feature for feature in FEATURES if feature.name == "nft: stateful filtering").commands
    try:
        done = subprocess.run(["unshare", "--net", "nft", "-f", "-"], env={"PATH": SYSTEM_PATH, "LC_ALL": "C"}, input=rules, text=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)
    except FileNotFoundError as error:
        raise RealiseError(f"there is no {error.filename}", SET_UP) from error
    if done.returncode != 0:
        raise RealiseError(f"nft cannot load connection tracking: {done.stderr.strip()}", "`sudo modprobe nf_conntrack`; `testbed doctor` tries what the machine can do")
