"""When a hybrid network has converged: every BGP session is established, BFD is up where it is configured, every tunnel is up at both ends."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from services.bgp.config import control_socket
from testbed.observe.bgp import Session, speaker
from testbed.observe.vpn_telemetry import UP, VpnTelemetry

BIRDC = shutil.which("birdc", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin")
LOOK_EVERY_S = 0.02
PATIENCE_S = 30.0


def sessions(lab: Any, node: str) -> tuple[Session, ...]:
    """The BGP sessions of a node; none if its speaker does not answer."""
    return speaker(lab, node, BIRDC or "birdc", control_socket(node)).sessions


def session(lab: Any, node: str, name: str) -> Session:
    """One of them."""
    return next(found for found in sessions(lab, node) if found.name == name)


def unconverged(lab: Any) -> list[str]:
    """What is not up yet, in words."""
    return [*_tunnels_down(lab), *(words for service in lab.plan.services if service.kind == "bgp" for words in _sessions_down(lab, service))]


def converge(lab: Any, patience_s: float = PATIENCE_S) -> float:
    """The seconds that it took; fails with what was not up in time."""
    began = time.monotonic()
    while down := unconverged(lab):
        assert time.monotonic() - began < patience_s, down
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began


def _tunnels_down(lab: Any) -> list[str]:
    return [f"{tunnel.connection} tunnel {tunnel.tunnel}: {tunnel.status_message}" for tunnel in VpnTelemetry(lab).tunnels() if tunnel.status != UP]


def _sessions_down(lab: Any, service: Any) -> list[str]:
    found = {each.name: each for each in sessions(lab, service.node)}
    down = []
    for neighbour in json.loads(service.config)["neighbours"]:
        each = found.get(neighbour["name"])
        if each is None or each.state != "Established":
            down.append(f"{service.node} {neighbour['name']}: {'unknown' if each is None else each.state}")
        elif neighbour["bfd"] is not None and not neighbour["bfd"]["passive"] and each.bfd != "Up":
            down.append(f"{service.node} {neighbour['name']}: BFD {each.bfd}")
    return down
