"""The fibre and its backup: what running traffic suffers when a part fails, and when it is back (facts: sections 7 and 8; see topologies/hybrid.py and `failing`).

How long traffic is out is printed (``pytest -s``) and measured by ``testbed bench failover``; here it is only held against the timers: BFD's, or BGP's hold time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from testbed.model import CustomerDeviceSession, Topology, TransitVirtualInterface
from testbed.observe.continuity import Continuity
from tests.scenarios.converging import BIRDC, converge, session
from tests.scenarios.failing import FAILURES, FIBRE, PATIENCE_S, STEADY, TUNNELS, Failing, fails, flap, on_primary, reset, returns, soon
from topologies.hybrid import hybrid

HOLD_S = 90 / hybrid().time_scale
TUNNEL_HOLD_S = 30 / hybrid().time_scale
BLACKHOLED, _, ROUTER_KILLED, TUNNEL_DEAD = FAILURES
"""A cut fibre is `test_direct_connect`'s."""
SLACK_S = 2.0
"""For a machine that has other things to do."""

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(hybrid), pytest.mark.skipif(BIRDC is None, reason="needs the program bird")]


@pytest.fixture(autouse=True)
def converged(lab: Any) -> Iterator[None]:
    converge(lab)
    assert soon(lambda: on_primary(lab))
    yield
    lab.heal()


@pytest.fixture
def traffic(lab: Any) -> Iterator[Continuity]:
    with Continuity(lab, "pc", "app") as running:
        assert running.wait_for_answers(STEADY, PATIENCE_S)
        yield running


@pytest.mark.parametrize("failing", [BLACKHOLED, ROUTER_KILLED], ids=lambda failing: failing.what)
def test_bfd_moves_running_traffic_to_the_tunnels_and_back(lab: Any, traffic: Continuity, failing: Failing) -> None:
    out = fails(lab, traffic, failing)
    assert out.tcp_alive and 0 < out.duration_s < HOLD_S / 2, out
    assert not on_primary(lab)
    back = returns(lab, traffic)
    assert back.tcp_alive and back.duration_s < SLACK_S, back
    print(f"{failing.name}: {out}; back: {back}")


def test_of_two_tunnels_one_is_enough_and_without_any_nothing_passes_until_one_is_back(lab: Any, traffic: Continuity) -> None:
    out = fails(lab, traffic, TUNNEL_DEAD)
    assert out.tcp_alive and out.duration_s < TUNNEL_HOLD_S + SLACK_S, out
    print(f"{TUNNEL_DEAD.name}: {out}")
    lab.fail(TUNNELS[1], "blackhole")
    assert soon(lambda: all(session(lab, "router-hq", name).state != "Established" for name in TUNNELS))
    since = traffic.now()
    time.sleep(0.3)
    found = traffic.outage(since, until=traffic.now())
    assert found.lost == found.sent, "private addresses do not leave by the internet instead"
    back = returns(lab, traffic)
    assert back.tcp_alive, back
    print(f"both dead: back: {back}")


def test_an_administrator_resets_the_session_and_traffic_goes_by_the_tunnels_meanwhile(lab: Any, traffic: Continuity) -> None:
    since = traffic.now()
    reset(lab, "router-hq", "dxvif-hq")
    assert soon(lambda: session(lab, "dxgw-london", "dxvif-hq").cause != "")
    back = returns(lab, traffic)
    out = traffic.outage(since)
    assert out.tcp_alive and back.tcp_alive and out.duration_s < HOLD_S / 2, out
    print(f"session reset: {out}")


def test_a_fibre_that_flaps_ends_where_it_should(lab: Any, traffic: Continuity) -> None:
    since = traffic.now()
    flap(lab)
    returns(lab, traffic)
    out = traffic.outage(since)
    assert out.tcp_alive and out.duration_s < HOLD_S, out
    print(f"flapping: {out}")


@pytest.mark.parametrize("service", ["router-hq.bgp", "tgw-ireland.bgp"])
def test_a_killed_bird_comes_back_with_its_sessions_and_leaves_nothing(lab: Any, traffic: Continuity, service: str) -> None:
    """A killed charon is `test_vpn_connection`'s."""
    node, before = service.partition(".")[0], next(status for status in lab.ps() if status.name == service)
    os.kill(_child(lab, node, before.pid), signal.SIGKILL)
    assert soon(lambda: next(status for status in lab.ps() if status.name == service).restarts > before.restarts)
    converge(lab)
    assert soon(lambda: on_primary(lab)) and traffic.wait_for_answers(STEADY, PATIENCE_S)
    after = next(status for status in lab.ps() if status.name == service)
    assert len(lab[node].run("pgrep", "-x", "bird", "-P", str(after.pid)).out.split()) == 1
    assert lab[node].run("pgrep", "-x", "bird", "-P", "1").out == "", "none that has lost its parent"


def _child(lab: Any, node: str, pid: int) -> int:
    return int(lab[node].run("pgrep", "-P", str(pid)).out.split()[0])


def without_bfd() -> Topology:
    """Nobody told the router to use BFD, nor to clamp TCP's segments on the fibre."""
    fibre = CustomerDeviceSession(bfd=False)
    return replace(
        hybrid(), name="without_bfd", time_scale=30,
        resources=tuple(replace(each, customer_device=fibre) if isinstance(each, TransitVirtualInterface) else each for each in hybrid().resources),
    )  # fmt: skip


@pytest.mark.topology.with_args(without_bfd)
def test_without_bfd_the_hold_timer_decides(lab: Any, traffic: Continuity) -> None:
    lab.fail(FIBRE, "blackhole")
    since = traffic.now()
    hold_s = 90 / 30
    assert soon(lambda: session(lab, "router-hq", "dxvif-hq").state != "Established")
    assert "Hold timer expired" in session(lab, "router-hq", "dxvif-hq").cause or "Hold timer expired" in session(lab, "dxgw-london", "dxvif-hq").cause
    assert soon(lambda: traffic.outage(since).duration_s > 0 and _answers(lab))
    out = traffic.outage(since)
    assert out.duration_s > hold_s / 2, out
    print(f"no BFD: {out}")


def _answers(lab: Any) -> bool:
    return lab["pc"].ping("10.1.0.10", timeout_s=0.4).passed
