"""The `testbed` command: its verbs, loaded when they are used, and the one place where errors become exit codes.

    0  as it should be            3  this machine will not (RealiseError)
    1  something differs, failed  4  no such lab, or one of that name is there already
    2  usage, or topology faults  130  Ctrl-C

Every error names its cause and a remedy on stderr, without a traceback; ``TESTBED_DEBUG=1`` shows that, too.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from testbed import __version__
from testbed.cli.exits import FAILED, INTERRUPTED, MACHINE, NO_SUCH_LAB, USAGE

VERBS = {
    "list": "Topologies that there are.",
    "up": "Start a lab from a topology.",
    "demo": "Start the web application, use it, and check every step.",
    "ps": "Running labs, and the services of one.",
    "exec": "Run a program in a node.",
    "shell": "A shell in a node, or Mininet's over the whole lab.",
    "request": "Send a real HTTP request and draw what happened.",
    "explain": "Send a real probe and tell which AWS rule decided.",
    "reach": "Who reaches whom: all pairs, from the model; --live checks it with packets.",
    "flow-logs": "Flow log records of an interface, a subnet or a VPC.",
    "traffic": "Keep traffic running between two nodes, and tell what it loses.",
    "attack": "Attack a target inside the lab, within bounds: who survives, with Shield and without.",
    "capture": "Capture packets in nodes, to a file or into a pipe.",
    "open": "Browse into a lab with your own browser.",
    "logs": "What the lab's services have told.",
    "metrics": "CloudWatch's metrics of a NAT gateway.",
    "graph": "Draw a topology.",
    "routes": "Which routes are in force for a subnet, and why.",
    "bgp": "BGP sessions and routes of a node, with why the best won.",
    "vpn": "Tunnels of Site-to-Site VPN connections, as AWS shows them.",
    "scaling": "Auto Scaling groups and ECS services: members and activities.",
    "plan": "What a topology becomes: namespaces, links, routes, rules, services.",
    "apply": "Change a running lab to what its topology says now.",
    "fail": "Break a link, a node, a service or a zone: cut, blackhole, loss, delay.",
    "heal": "Heal what was broken on purpose.",
    "down": "End labs.",
    "lab": "Classroom labs: start one, work in it, have it checked.",
    "bench": "Measure against peers, in ratios.",
    "doctor": "What this machine has and lacks.",
    "completion": "Shell completion: bash, zsh or fish.",
}


class Verbs(click.Group):
    """A group that imports a verb's module only to run it: ``testbed --help`` reads the table above."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"testbed.cli.{name.replace('-', '_')}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            raise click.UsageError(f"no command {args[0]!r}{f'; did you mean {near[0]!r}?' if near else ''}", context)
        return super().resolve_command(context, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="testbed")
def cli() -> None:
    """A packet-level testbed for AWS networking: describe a cloud in AWS's words, use it as real packets.

    \b
    testbed demo                                          everything once, checked
    testbed up web_app                                    start a lab
    testbed request https://shop.example.com/products     one request, layer by layer
    testbed exec client -- curl -v https://shop.example.com/
    testbed capture igw-shop -w - | wireshark -k -i -
    testbed down
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and leave with its exit code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        code = cli.main(arguments, prog_name="testbed", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:  # the edge of the command line
        if os.environ.get("TESTBED_DEBUG"):
            raise
        return _told(error)


def _told(error: Exception) -> int:
    from testbed.engine.errors import RealiseError
    from testbed.model.errors import ModelError

    if isinstance(error, ModelError):
        click.echo(f"The topology has {len(error.faults)} fault{'s' * (len(error.faults) != 1)}; nothing was started:", err=True)
        for fault in error.faults:
            click.echo(f"  {fault}", err=True)
        return USAGE
    if isinstance(error, RealiseError):
        from testbed.engine.remote import LabExists, NoSuchLab

        if isinstance(error, (LabExists, NoSuchLab)):
            click.echo(f"Error: {error}", err=True)
            return NO_SUCH_LAB
        click.echo(f"This machine: {error}", err=True)
        return MACHINE
    click.echo(f"Failed: {type(error).__name__}: {error}\n(remedy: if this looks like a fault of the testbed, run again with TESTBED_DEBUG=1 and report the traceback)", err=True)
    return FAILED


if __name__ == "__main__":
    main()
