"""``testbed capture``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, lab_option, node_of


@click.command("capture")
@lab_option
@click.argument("nodes", metavar="NODE[,NODE…]|all")
@click.argument("filter_words", metavar="[FILTER…]", nargs=-1)
@click.option("-w", "--write", "target", metavar="FILE|-", help="Write pcapng to a file, or to stdout.")
@click.option("-c", "--count", type=int, help="End after so many packets.")
@click.option("-t", "--seconds", type=float, help="End after so many seconds.")
def command(lab_name: str | None, nodes: str, filter_words: tuple[str, ...], target: str | None, count: int | None, seconds: float | None) -> None:
    """Capture packets in nodes, with the kernel's timestamps and each interface by name. Ends with Ctrl-C.

    NODE may name one interface (igw-shop/eth0). FILTER is tcpdump's language.

    \b
    testbed capture igw-shop -w - | wireshark -k -i -
    testbed capture web-a,shop-db tcp port 5432 -w db.pcapng
    testbed capture client udp port 53
    """
    from testbed.observe.bpf import FilterError
    from testbed.observe.capture import Capture, written_to
    from testbed.observe.packets import Frame, header_of
    from testbed.observe.pcapng import PcapngWriter

    if target == "-" and sys.stdout.isatty():
        raise BadSource("pcapng on a terminal is unreadable", "pipe it: testbed capture NODE -w - | wireshark -k -i -")
    lab = attached(lab_name)
    places = tuple(node.name for node in lab.plan.nodes) if nodes == "all" else tuple(nodes.split(","))
    for place in places:
        node_of(lab.plan, place.partition("/")[0])
    stream: BinaryIO | None = None if target is None else sys.stdout.buffer if target == "-" else Path(target).open("wb")  # noqa: SIM115 - closed below
    seen = 0
    write = written_to(PcapngWriter(stream)) if stream is not None else None

    def take(frames: object) -> None:
        nonlocal seen
        batch: list[Frame] = list(frames)  # type: ignore[call-overload]
        if count is not None:
            batch = batch[: count - seen]
        seen += len(batch)
        if write is not None:
            write(batch)
        else:
            for frame in batch:
                click.echo(f"{_clock(frame.time_ns)} {frame.where} {'>' if frame.outgoing else '<'} {header_of(frame) or 'not IPv4'} {frame.length_bytes} bytes")

    try:
        capture = Capture(lab, places, filter=" ".join(filter_words), sink=take, keep=False)
    except FilterError as error:
        raise BadSource(str(error), "testbed capture NODE tcp port 80") from error
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while capture.is_running and (count is None or seen < count) and (deadline is None or time.monotonic() < deadline):
            time.sleep(0.02)
    except KeyboardInterrupt:
        pass  # how a capture ends
    dropped = capture.stop()
    if stream is not None and target != "-":
        stream.close()
    click.echo(f"{seen} packets, {dropped} dropped by the kernel", err=True)


def _clock(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{nanoseconds // 1000:06d}"
