"""``testbed completion``."""

from __future__ import annotations

import click

PLACES = {"bash": "testbed completion bash > ~/.local/share/bash-completion/completions/testbed", "zsh": 'testbed completion zsh > "${fpath[1]}/_testbed"', "fish": "testbed completion fish > ~/.config/fish/completions/testbed.fish"}


@click.command("completion")
@click.argument("shell", type=click.Choice(tuple(PLACES)))
def command(shell: str) -> None:
    """The completion script of a shell, on stdout.

    \b
    testbed completion bash > ~/.local/share/bash-completion/completions/testbed
    testbed completion zsh > "${fpath[1]}/_testbed"
    testbed completion fish > ~/.config/fish/completions/testbed.fish
    """
    from click.shell_completion import get_completion_class

    from testbed.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(cli, {}, "testbed", "_TESTBED_COMPLETE").source())
