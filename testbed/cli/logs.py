"""``testbed logs``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, lab_option

POLL_S = 0.05


@click.command("logs")
@lab_option
@click.argument("name", metavar="[NODE|SERVICE]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option("-n", "--lines", "last", type=int, default=50, show_default=True, help="At most so many of the last lines of each service.")
@click.option("--aws", "as_aws", is_flag=True, help="Access log and flow log lines alone, as AWS writes them.")
@click.option("--json", "as_json", is_flag=True, help="The lines as they were written.")
def command(lab_name: str | None, name: str | None, follow: bool, last: int, as_aws: bool, as_json: bool) -> None:
    """What a service, the services of a node, or all of them have told, by time.

    \b
    testbed logs alb-shop-a
    testbed logs client-resolver -f
    testbed logs alb-shop-a --aws        an ALB's access log (access_logs_s3_enabled=True)
    testbed logs web-a --json | jq .sql
    """
    lab = attached(lab_name)
    names = [service.name for service in lab.plan.services if name is None or name in (service.name, service.node)]
    if not names:
        raise BadSource(f"no service or node {name!r} with services", f"services: {', '.join(service.name for service in lab.plan.services)}")
    followed = [_Followed(lab.log_directory / f"{service}.jsonl") for service in names]
    tell = _print_aws if as_aws else _print_json if as_json else _print
    tell([line for log in followed for line in log.last(last)])
    while follow:
        time.sleep(POLL_S)
        tell([line for log in followed for line in log.more()])


class _Followed:
    """A log that is being written: whole lines only, and from the start again if it was cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def last(self, count: int) -> list[bytes]:
        return list(self.more())[-count:] if count > 0 else list(self.more())[:0]

    def more(self) -> Iterator[bytes]:
        if not self._path.exists():
            return
        if self._path.stat().st_size < self._offset:
            self._offset = 0
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield line


def _print(lines: Sequence[bytes]) -> None:
    for event, _ in _by_time(lines):
        click.echo(_readable(event))


def _print_json(lines: Sequence[bytes]) -> None:
    for _, line in _by_time(lines):
        click.echo(line.decode(errors="replace").rstrip())


def _print_aws(lines: Sequence[bytes]) -> None:
    for event, _ in _by_time(lines):
        if "line" in event:
            click.echo(str(event["line"]))


def _by_time(lines: Sequence[bytes]) -> list[tuple[dict[str, object], bytes]]:
    import msgspec

    events = []
    for line in lines:
        try:
            events.append((msgspec.json.decode(line, type=dict[str, object]), line))
        except msgspec.DecodeError:
            events.append(({"t": 0.0, "event": line.decode(errors="replace").rstrip()}, line))
    return sorted(events, key=lambda pair: float(str(pair[0].get("t", 0))))


def _readable(event: dict[str, object]) -> str:
    moment = float(str(event.pop("t", 0)))
    clock = f"{time.strftime('%H:%M:%S', time.localtime(moment))}.{int(moment % 1 * 1000):03d}"
    head = f"{clock} {event.pop('service', '')} {event.pop('event', '')}"
    return f"{head} {' '.join(f'{key}={value}' for key, value in event.items() if value not in (None, '', []))}".rstrip()
