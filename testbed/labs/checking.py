"""What a teacher writes checks with.

    from testbed.labs.checking import CheckedLab, check

    @check(step=1, points=2)
    def test_pages(lab: CheckedLab) -> None:
        "A client gets pages from web, on port 443."
        assert lab["client"].tcp(lab.public_address("web"), 443).passed

    @check(step=1, negative=True)
    def test_no_ssh(lab: CheckedLab) -> None:
        "SSH on web stays shut."
        assert not lab["client"].tcp(lab.public_address("web"), 22).passed

The docstring is what the student reads. A check measures with packets, in the running lab, from outside; `.passed` is true as well where the far host
refuses, so nothing needs to listen. Every probe is remembered: if the check fails, the last one is sent again and explained (`CheckedLab.evidence`).
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from typing import Protocol as Structure

import pytest

from testbed.engine.status import Failure
from testbed.observe.explain import REQUEST, Explanation, explain
from testbed.observe.lab_view import LabView
from testbed.observe.nodes import LabNode, Observed
from testbed.observe.probe import Protocol, Sent
from testbed.oracle import Oracle
from testbed.plan import Plan
from testbed.resolve.resolved import Resolved

PATIENCE_S = 0.7
SILENCE_S = 0.4
"""How long a negative check listens: several times the longest way in a lab's Europe."""

SETTLE_S = 8.0
"""How long tunnels and BGP sessions may take after a change or a failure, in a lab whose timers run ten times as fast as AWS's."""
POLL_S = 0.05

RULE = re.compile(r"[^ #]+#(?:(?:in|e)gress\[\d+\]|\d+|\*)")
"""A rule's id as explanations begin with it: ``sg-db#ingress[0]``, ``acl-data#100``, ``acl-data#*``."""


def check(*, step: int, points: int = 1, negative: bool = False) -> pytest.MarkDecorator:
    """Mark a function of ``checks.py``. A `negative` check says what must not pass; it earns its points only with all other checks of its step, since what is switched off is not yet safe."""
    return pytest.mark.check(step=step, points=points, negative=negative)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A probe that a check made: it can be made again."""

    source: str
    destination: IPv4Address
    protocol: Protocol
    port: int


class Breakable(LabView, Structure):
    """A running lab in which things can be made to fail."""

    def fail(self, what: str, mode: str = ..., /) -> object: ...

    def heal(self, what: str | None = None, /) -> object: ...

    @property
    def failures(self) -> tuple[Failure, ...]: ...


class CheckedLab(Observed):
    """A running lab for checks: ``lab["web"].tcp(…)``, ``lab.capture(…)``, and what is below. `present` is the topology as it runs just now. `patience_s` bounds every probe, in a negative check `silence_s`."""

    def __init__(self, lab: Breakable, present: Callable[[], Resolved], *, silence_s: float = SILENCE_S, settle_s: float = SETTLE_S) -> None:
        self._lab: Breakable = lab
        self._present = present
        self.silence_s = silence_s
        self.settle_s = settle_s
        self.patience_s = PATIENCE_S
        self.probes: list[Probed] = []
        self._told: dict[Probed, str] = {}
        self._disturbed_at = time.monotonic()

    @property
    def name(self) -> str:
        return self._lab.name

    @property
    def plan(self) -> Plan:
        return self._lab.plan

    @property
    def log_directory(self) -> Path:
        return self._lab.log_directory

    @property
    def capture_directory(self) -> Path:
        return self._lab.capture_directory

    def socket(self, node: str, family: int, kind: int, protocol: int = 0, /) -> socket.socket:
        """As `LabView.socket`."""
        return self._lab.socket(node, family, kind, protocol)

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """As `LabView.popen`."""
        return self._lab.popen(node, argv, **options)

    def __getitem__(self, name: str) -> LabNode:
        """The node called `name`, whose probes are remembered. Raises LookupError."""
        if all(node.name != name for node in self.plan.nodes):
            raise LookupError(f"there is no {name} in your lab any more")
        return _Remembering(self, name)

    def public_address(self, node: str) -> IPv4Address | None:
        """The public address that an internet gateway maps to the node, None if there is none."""
        return next((each.public_address for each in self._present().interfaces if each.node == node and each.public_address is not None), None)

    def elastic_address(self, allocation: str) -> IPv4Address | None:
        """The public address of an Elastic IP, None while it is associated with nothing."""
        return next((each.public_address for each in self._present().interfaces if each.public_origin == allocation), None)

    def reaches(self, source: str, node: str, port: int) -> bool:
        """Whether somebody on the internet gets through to the node by its public address; never without one."""
        address = self.public_address(node)
        return self[source].tcp(node if address is None else address, port).passed

    def seen_as(self, source: str, at: str, port: int = 8080, *, by: IPv4Address | None = None) -> IPv4Address | None:
        """The address under which `at` sees a TCP connection that `source` opens to it (or to the address `by`); None if none comes."""
        with self[at].socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", port))
            listener.listen()
            listener.settimeout(self.patience_s)
            if not self[source].tcp(at if by is None else by, port).passed:
                return None
            connection, (address, _port) = listener.accept()
            connection.close()
            return IPv4Address(address)

    def soon(self, true: Callable[[], object]) -> bool:
        """Whether it becomes true while tunnels and BGP sessions settle: for what a routing protocol or a key exchange must bring about first.

        They have settled `settle_s` after the checks began, or something failed or was healed; from then on it is asked once.
        """
        while not (found := bool(true())) and time.monotonic() < self._disturbed_at + self.settle_s:
            time.sleep(POLL_S)
        return found

    @contextmanager
    def failing(self, what: str, mode: str = "cut") -> Iterator[None]:
        """While something fails, as `testbed fail` makes it; it is healed in any case."""
        self._lab.fail(what, mode)
        self._disturbed_at = time.monotonic()
        try:
            yield
        finally:
            if any(failure.what == what for failure in self._lab.failures):  # it may have been replaced meanwhile, and its failure with it
                self._lab.heal(what)
            self._disturbed_at = time.monotonic()

    def explain(self, source: str, destination: str | IPv4Address, port: int, protocol: str = "tcp") -> Explanation:
        """Send a real probe and follow it. Raises LookupError."""
        return explain(self, source, self[source].resolved(destination), Protocol(protocol), port, oracle=Oracle(self._present()))

    def rules(self, source: str, destination: str, port: int, kind: str, leg: str = REQUEST) -> tuple[str, ...]:
        """The ids of the rules that judged a TCP request (or its reply) on its way and have `kind` in their name: ``#ingress`` gives ``sg-web#ingress[0]``. Raises LookupError if there are none."""
        found = rules_of(self.explain(source, destination, port), leg)
        if not (named := tuple(rule for rule in found if kind in rule)):
            raise LookupError(f"no rule of that kind judges a packet from {source} to {destination}")
        return named

    def evidence(self) -> str:
        """What happens to the last probe, made once more, in a sentence: which rule dropped it or, if it passes, which rules let it. Empty without a probe.

        A probe that was followed before is not followed again: the lab does not change while it is checked.
        """
        if not self.probes:
            return ""
        last = self.probes[-1]
        if last not in self._told:
            self._told[last] = self._followed(last)
        return self._told[last]

    def _followed(self, last: Probed) -> str:
        try:
            told = explain(self, last.source, last.destination, last.protocol, last.port, oracle=Oracle(self._present()))
        except (LookupError, OSError) as error:
            return f"{last.source} to {last.destination} could not be followed: {error}."
        port = f" port {last.port}" if last.port else ""
        probe = f"{told.source} to {told.destination} ({last.protocol.value}{port})"
        if not told.passed:
            return f"{probe}: {told.cause}"
        rules = rules_of(told)
        return f"{probe}: it passes, admitted by {', '.join(rules)}." if rules else f"{probe}: {told.cause}"


def rules_of(told: Explanation, leg: str = REQUEST) -> tuple[str, ...]:
    """The ids of the rules of groups and ACLs that judged one leg of a probe, in order."""
    return tuple(dict.fromkeys(found.group() for hop in told.hops if hop.leg == leg for words in hop.said if (found := RULE.match(words)) is not None))


class _Remembering(LabNode):
    """A node that remembers its probes in the lab, and is no more patient than the lab."""

    def __init__(self, lab: CheckedLab, name: str) -> None:
        super().__init__(lab, name)
        self._checked = lab

    def _probe(self, destination: str | IPv4Address, protocol: Protocol, port: int, timeout_s: float) -> Sent:
        address = self.resolved(destination)
        self._checked.probes.append(Probed(source=self.name, destination=address, protocol=protocol, port=port))
        return super()._probe(address, protocol, port, min(timeout_s, self._checked.patience_s))
