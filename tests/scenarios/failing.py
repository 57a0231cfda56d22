"""Ways in which the hybrid network fails, one after the other, and what they do to traffic that is under way between the office's pc and the VPC's app."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.bgp.config import control_socket
from testbed.observe.continuity import Continuity, Outage
from tests.scenarios.converging import BIRDC, converge

FIBRE, CABLE, ROUTER = "dxcon-hq", "dxcon-hq--router-hq", "dxgw-london"
TUNNELS = ("vpn-hq-tunnel-1", "vpn-hq-tunnel-2")
OFFICE, APP = "192.168.0.0/24", "10.1.0.10"
STEADY = 20
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """What fails and how; `already` has failed before, and traffic has got used to it."""

    name: str
    what: str
    mode: str
    already: tuple[tuple[str, str], ...] = ()


FAILURES = (
    Failing(name="Direct Connect blackholed, carrier up", what=FIBRE, mode="blackhole"),
    Failing(name="the fibre cut", what=CABLE, mode="cut"),
    Failing(name="AWS's router at the location killed", what=ROUTER, mode="cut"),
    Failing(name="one tunnel dead, on the backup", what=TUNNELS[0], mode="blackhole", already=((FIBRE, "cut"),)),
)


def on_primary(lab: Any) -> bool:
    """Whether both ends send over the fibre."""
    from_site = lab["router-hq"].run("ip", "route", "get", APP).out
    from_aws = lab["tgw-ireland"].run("ip", "route", "show", OFFICE, "table", "10001").out
    return "dxcon-hq" in from_site and "dxga-ireland" in from_aws


def soon(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether it becomes true in time."""
    give_up_at = time.monotonic() + patience_s
    while not (found := true()) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return found


def fails(lab: Any, traffic: Continuity, failing: Failing) -> Outage:
    """Make it fail, wait until the traffic goes on, and measure how long it was out."""
    for what, mode in failing.already:
        lab.fail(what, mode)
    assert traffic.wait_for_answers(STEADY, PATIENCE_S)
    time.sleep(0.3)
    since = traffic.now()
    lab.fail(failing.what, failing.mode)
    time.sleep(0.5)  # what is under way when something fails is not what shows that the traffic goes on
    assert traffic.wait_for_answers(STEADY, PATIENCE_S), f"{failing.name}: the traffic does not go on"
    return traffic.outage(since)


def returns(lab: Any, traffic: Continuity) -> Outage:
    """Heal everything, wait until the primary carries the traffic again and all is as it was, and measure what was lost on the way."""
    since = traffic.now()
    lab.heal()
    assert soon(lambda: on_primary(lab)), "not back on the fibre"
    assert traffic.wait_for_answers(STEADY, PATIENCE_S)
    found = traffic.outage(since)
    converge(lab)
    return found


def reset(lab: Any, node: str, session: str) -> None:
    """Have a router's administrator reset a BGP session."""
    done = lab[node].run(BIRDC or "birdc", "-s", control_socket(node), "restart", f"'{session}'")
    assert done.ok, done


def flap(lab: Any, times: int = 3) -> None:
    """The fibre loses everything for a moment, again and again; sometimes too shortly for BFD."""
    for _ in range(times):
        lab.fail(FIBRE, "blackhole")
        time.sleep(0.4)
        lab.heal()
        time.sleep(0.3)
