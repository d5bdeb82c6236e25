"""Where `kaos` begins: finds the command, and turns every failure into a sentence and an exit code."""

import os
import sys
from collections.abc import Sequence

import click

from kaos.cli.group import LazyGroup
from kaos.cli.terminal import safe
from shared.errors import KaosError, Unreachable

# 0 done; 1 refused, or the run did not succeed; 2 wrong use (click's own); 3 no stack answers; 130 as shells have it.
FAILED = 1
UNREACHABLE = 3
INTERRUPTED = 130

_COMMANDS = {
    "up": ("kaos.cli.stack:up", "Start the stack on this machine."),
    "down": ("kaos.cli.stack:down", "Stop it."),
    "status": ("kaos.cli.stack:status", "Tell whether all of it is well."),
    "init": ("kaos.cli.connect:init", "Use a stack that runs elsewhere."),
    "workspace": ("kaos.cli.workspace:workspace", "Make, list and choose workspaces."),
    "template": ("kaos.cli.template:template", "Get an example to begin with."),
    "train": ("kaos.cli.train:train", "Deploy bundles, and follow what becomes of them."),
    "events": ("kaos.cli.events:events", "What happened in the workspace."),
}


@click.group(cls=LazyGroup, places=_COMMANDS, context_settings={"help_option_names": ["--help"]})
@click.version_option(package_name="kaos", message="kaos %(version)s")
def kaos() -> None:
    """Source bundle + data bundle (+ hyperparameters) = trained model."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a tick is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(run(kaos, arguments))


def run(command: click.Command, arguments: Sequence[str] | None) -> int:
    """Runs `command`; returns its exit code, having written why it isn't 0."""
    try:
        code = command.main(args=arguments, prog_name="kaos", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        if os.environ.get("KAOS_DEBUG"):
            raise
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    """Writes what went wrong; returns the exit code for it."""
    match error:
        case click.Abort():
            return INTERRUPTED
        case click.ClickException():
            error.show()
            return error.exit_code
        case BrokenPipeError():
            # The reader has left, as `head` does; without this Python would complain once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        case KaosError():
            _tell(f"{safe(error.message)} [{error.code}]")
            return UNREACHABLE if isinstance(error, Unreachable) else FAILED
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            _tell(f"{safe(where)}{error.strerror or error}.")
        case _:
            _tell(f"kaos itself failed ({safe(repr(error))}). KAOS_DEBUG=1 shows where.")
    return FAILED


def _tell(sentence: str) -> None:
    click.echo(f"{click.style('✘', fg='red')} {sentence}", err=True)
