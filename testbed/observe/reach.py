"""The reach matrix held against packets: one real probe for each pair, many at a time, and the pairs where model and kernel differ.

TCP and ICMP only: an answer, or a refusal by the far host itself, proves both ways. UDP owes no answer, so its silence would prove nothing.
A pair that differs is asked again with more patience: a busy machine loses time, a wrong rule does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.observe.lab_view import LabView
from testbed.observe.probe import Protocol, Ready
from testbed.oracle import Reach

AT_ONCE = 48
PATIENCE_S = (0.3, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A pair about which model and kernel disagree."""

    source: str
    destination: str
    model_passes: bool
    kernel_passes: bool
    origin: str


def differences(lab: LabView, matrix: Reach, addresses: dict[tuple[str, str], IPv4Address]) -> tuple[Difference, ...]:
    """Probe every pair of `matrix` whose source begins connections, for real; `addresses` say what each source would call each destination. Raises ValueError for UDP."""
    protocol = Protocol(matrix.protocol)
    if protocol is Protocol.UDP:
        raise ValueError("UDP owes no answer: only tcp and icmp can be checked with packets")
    pairs = [(source, destination) for source in matrix.sources for destination in matrix.names if source != destination]
    passed: dict[tuple[str, str], bool] = {}
    for patience_s in PATIENCE_S:
        passed |= _probed(lab, pairs, addresses, protocol, matrix.port or 0, patience_s)
        pairs = [pair for pair in pairs if passed[pair] != matrix.fate(*pair).passes]
    return tuple(
        Difference(source=source, destination=destination, model_passes=not passed[source, destination], kernel_passes=passed[source, destination], origin=matrix.fate(source, destination).origin)
        for source, destination in pairs
    )


def _probed(
    lab: LabView, pairs: Iterable[tuple[str, str]], addresses: dict[tuple[str, str], IPv4Address], protocol: Protocol, port: int, patience_s: float
) -> dict[tuple[str, str], bool]:
    def ask(pair: tuple[str, str]) -> tuple[tuple[str, str], bool]:
        return pair, Ready(lab, pair[0], addresses[pair], protocol, port).send(patience_s).passed

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return dict(pool.map(ask, pairs))
