"""The tunnels of VPN connections as AWS shows them: `VgwTelemetry` of DescribeVpnConnections, read from the events of both ends' daemons.

AWS's end says whether a tunnel is up and since when; whichever end has heard why not says that. A word of AWS's end that came before its tunnel was last up is
no cause any more. Source: EC2 API reference, "VgwTelemetry" (documented); the words of `details` are ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from services.common.events import IPSEC_ATTEMPT, IPSEC_TUNNEL
from testbed.observe.lab_view import LabView
from testbed.plan import NodeKind, Plan, ServiceSpec

KIND = "ipsec"
UP, DOWN = "UP", "DOWN"
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelTelemetry:
    """A tunnel. `status_message` is AWS's, `details` says why it is down where that is known; `last_status_change` in seconds since the epoch."""

    connection: str
    tunnel: int
    gateway: str
    outside_ip_address: str
    tunnel_inside_cidr: str
    status: str
    status_message: str
    details: str
    accepted_route_count: int
    last_status_change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpState:
    """A tunnel's BGP session at AWS's end."""

    is_established: bool
    received: int


NO_SESSIONS: Mapping[str, BgpState] = MappingProxyType({})


class VpnTelemetry:
    """What the daemons of a running lab have said of its tunnels. `sessions` are those that speak BGP, by the name of the tunnel's endpoint, as they are now."""

    def __init__(self, lab: LabView, sessions: Mapping[str, BgpState] = NO_SESSIONS) -> None:
        self._lab = lab
        self._sessions = sessions

    def tunnels(self, connection: str | None = None) -> tuple[TunnelTelemetry, ...]:
        """All tunnels, or one connection's, by connection and number."""
        services = [service for service in self._lab.plan.services if service.kind == KIND]
        ends = [(service, msgspec.json.decode(service.config)) for service in services]
        found = []
        for service, config in ends:
            if self._lab.plan.node(service.node).kind is NodeKind.VPN_ENDPOINT and connection in (None, config["connection"]):
                others = [other for other, its in ends if (its["connection"], its["tunnel"]) == (config["connection"], config["tunnel"]) and other is not service]
                found.append(self._tunnel(service, config, others))
        return tuple(sorted(found, key=lambda tunnel: (tunnel.connection, tunnel.tunnel)))

    def wait_for(self, status: str, connection: str, tunnel: int, timeout_s: float) -> bool:
        """Whether a tunnel gets this status in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if any(each.tunnel == tunnel and each.status == status for each in self.tunnels(connection)):
                return True
            time.sleep(POLL_S)
        return False

    def _tunnel(self, service: ServiceSpec, config: dict[str, Any], others: list[ServiceSpec]) -> TunnelTelemetry:
        said = list(self._events(service))
        states = [event for event in said if event["event"] == IPSEC_TUNNEL]
        status, since = (states[-1]["state"], states[-1]["t"]) if states else (DOWN, 0.0)
        changed = next((before["t"] for before, after in zip(reversed(states[:-1]), reversed(states), strict=False) if before["state"] != after["state"]), 0.0)
        heard = [event for other in (service, *others) for event in self._events(other) if event["event"] == IPSEC_ATTEMPT and event["t"] >= max(changed, 0.0)]
        cause = max(heard, key=lambda event: event["t"])["cause"] if heard and status == DOWN else ""
        gateway, routes = _routes(self._lab.plan, service)
        message = "IPSEC IS UP" if status == UP else f"IKE negotiation failed: {cause}" if cause else "IPSEC IS DOWN"
        session = self._sessions.get(service.node)
        if session is not None:
            routes = session.received
            message = f"{routes} BGP ROUTES" if status == UP and session.is_established else message
            status = UP if status == UP and session.is_established else DOWN  # AWS calls a tunnel UP once BGP is
        return TunnelTelemetry(
            connection=config["connection"],
            tunnel=config["tunnel"],
            gateway=gateway,
            outside_ip_address=config["local_address"],
            tunnel_inside_cidr=config["inside"],
            status=status,
            status_message=message,
            details=f"{config['connection']} tunnel {config['tunnel']}: {cause}" if cause else "",
            accepted_route_count=routes if status == UP else 0,
            last_status_change=since,
        )

    def _events(self, service: ServiceSpec) -> Iterator[dict[str, Any]]:
        path = Path(self._lab.log_directory) / f"{service.name}.jsonl"
        for line in path.read_bytes().splitlines() if path.exists() else ():
            event = msgspec.json.decode(line)
            if event["event"] in (IPSEC_TUNNEL, IPSEC_ATTEMPT):
                yield event


def _routes(plan: Plan, service: ServiceSpec) -> tuple[str, int]:
    """The gateway behind an endpoint, and how many static routes it has by it."""
    for link in plan.links:
        for near, far in ((link.a, link.b), (link.b, link.a)):
            if near.node == service.node and plan.node(far.node).kind in (NodeKind.VPN_GATEWAY, NodeKind.TRANSIT_GATEWAY):
                return far.node, sum(route.device == far.name for route in plan.node(far.node).routes)
    return "", 0
