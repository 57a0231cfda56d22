"""What is seen of members: whether they answer an ARP request, what balancers say of them, and how many requests there were. All of it real.

EC2's instance status check is an ARP request to the network interface, every minute (EC2 user guide, "Status checks for Amazon EC2 instances"; documented): it is sent here from the fabric's end
of the instance's link. Target health and requests are read from what the balancers' daemons write (`services.common.events`), each line once. A balancer's node that has failed says nothing.
A target is healthy if some node says so, unhealthy if all that speak of it do (assumed: AWS shows one state). NOT MODELLED: system status checks, attached EBS checks.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from services.common.events import ALB_REQUEST, TARGET_HEALTH
from testbed.observe.lab_view import LabView
from testbed.plan import Interface, Plan
from testbed.scaling.decide import HEALTHY, INITIAL, UNHEALTHY

BALANCER_KINDS = ("alb", "nlb")
PRIMARY = "eth0"
DRAINING, UNUSED = "draining", "unused"
ARP, ETHERNET, IPV4, REQUEST, REPLY = 0x0806, 1, 0x0800, 1, 2
ARP_PACKET = struct.Struct("!HHBBH6s4s6s4s")
EVERYBODY, NOBODY = b"\xff" * 6, b"\0" * 4
ANSWERS_WITHIN_S = 1.0


class _Event(msgspec.Struct):
    event: str
    target_group: str | None = None
    target: str | None = None
    state: str = ""


_DECODER = msgspec.json.Decoder(_Event)
_INTERESTING = tuple(f'"event":"{event}"'.encode() for event in (ALB_REQUEST, TARGET_HEALTH))


class BalancerEvents:
    """What the balancers have said so far; `read` looks for more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[str, int] = {}
        self._states: dict[tuple[str, str], dict[str, str]] = {}
        self.requests: Counter[str] = Counter()
        """Requests that went to a target of each group, so far."""

    def read(self, plan: Plan) -> None:
        """Take in what was written since."""
        for service in plan.services:
            if service.kind in BALANCER_KINDS:
                self._read(service.name)

    def _read(self, service: str) -> None:
        path = self._directory / f"{service}.jsonl"
        with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:  # its daemon has not begun yet
            stream.seek(self._offsets.get(service, 0))
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._offsets[service] = self._offsets.get(service, 0) + len(line)
                if any(each in line for each in _INTERESTING):
                    self._take(service, _DECODER.decode(line))

    def _take(self, service: str, event: _Event) -> None:
        if event.target_group is None or event.target is None:
            return
        if event.event == TARGET_HEALTH:
            self._states.setdefault((event.target_group, event.target), {})[service] = event.state
        else:
            self.requests[event.target_group] += 1

    def target(self, group: str, name: str, silent: Collection[str]) -> str:
        """A target's health, by the nodes that are not `silent`."""
        said = set(self._said(group, name, silent))
        if HEALTHY in said:
            return HEALTHY
        return UNHEALTHY if said == {UNHEALTHY} else INITIAL

    def has_left(self, group: str, name: str, silent: Collection[str]) -> bool:
        """Whether every node that knew the target has let go of it."""
        return all(state == UNUSED for state in self._said(group, name, silent))

    def _said(self, group: str, name: str, silent: Collection[str]) -> list[str]:
        return [state for service, state in self._states.get((group, name), {}).items() if service not in silent]


def answering(lab: LabView, addresses: Mapping[str, IPv4Address], within_s: float = ANSWERS_WITHIN_S) -> frozenset[str]:
    """The nodes whose primary interface answers an ARP request for its address."""
    ends = {end.node: other for link in lab.plan.links for end, other in ((link.a, link.b), (link.b, link.a)) if end.name == PRIMARY and end.node in addresses}
    with contextlib.ExitStack() as opened:
        asked: dict[socket.socket, str] = {}
        for name, end in ends.items():
            with contextlib.suppress(OSError, KeyError):  # the link is down, or just going: no answer
                asked[opened.enter_context(_ask(lab, end, addresses[name]))] = name
        return frozenset(_answers(asked, addresses, within_s))


def _ask(lab: LabView, end: Interface, address: IPv4Address) -> socket.socket:
    opened = lab.socket(end.node, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP))
    try:
        own = bytes.fromhex(end.mac.replace(":", ""))
        opened.bind((end.name, ARP))
        opened.setblocking(False)
        opened.send(EVERYBODY + own + ARP.to_bytes(2) + ARP_PACKET.pack(ETHERNET, IPV4, 6, 4, REQUEST, own, NOBODY, b"\0" * 6, address.packed))
    except OSError:
        opened.close()
        raise
    return opened


def _answers(asked: Mapping[socket.socket, str], addresses: Mapping[str, IPv4Address], within_s: float) -> set[str]:
    found: set[str] = set()
    by_number = {opened.fileno(): opened for opened in asked}
    poll = select.poll()
    for number in by_number:
        poll.register(number, select.POLLIN)
    until = time.monotonic() + within_s
    while len(found) < len(asked) and (left_s := until - time.monotonic()) > 0:
        for number, _ in poll.poll(left_s * 1000):
            opened = by_number[number]
            try:
                frame = opened.recv(128)
            except OSError:  # the link went down
                poll.unregister(number)
                continue
            if len(frame) >= 42:
                _, _, _, _, kind, _, sender, _, _ = ARP_PACKET.unpack_from(frame, 14)
                if kind == REPLY and sender == addresses[asked[opened]].packed:
                    found.add(asked[opened])
    return found
