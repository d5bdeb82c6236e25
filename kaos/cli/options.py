"""The options that several commands share, and what they mean: which stack, which workspace, which run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kaos.cli import state
from kaos.cli.client import Client
from kaos.cli.wire import Run
from shared.errors import NotFound

F = TypeVar("F", bound=Callable[..., Any])

# The gateway's own most.
RUNS_MAX: Final = 1000
_RUN_ID_LENGTH: Final = 26

in_workspace = click.option("-w", "--workspace", default="", help="Workspace; else the one that is set.")
as_author = click.option(
    "--author",
    envvar="KAOS_AUTHOR",
    default=lambda: _author(),  # noqa: PLW0108  # defined below
    help="Who submits it; else $KAOS_AUTHOR, or you on this machine.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")


def of_run(command: F) -> F:
    """Adds -i and -r."""
    command = click.option("-r", "--run", "run", default="", help="Run, by its id or its job's.")(command)
    return click.option("-i", "--ind", "ind", type=click.IntRange(min=0), help="Row of the last `kaos train list`.")(
        command
    )


def client() -> Client:
    """A client of the stack that is set. Raises Unreachable where none is."""
    return Client(state.connection(state.home()))


def workspace_of(given: str) -> str:
    """The workspace named, or set, or `default`."""
    return given or state.read(state.home()).workspace or state.DEFAULT_WORKSPACE


def chosen(gateway: Client, workspace: str, ind: int | None, run: str) -> Run:
    """The run that -i or -r names; the newest without either. Raises NotFound `run.unknown`."""
    if ind is not None and run:
        raise click.UsageError("-i and -r both name a run: give one of them.")
    if len(run) == _RUN_ID_LENGTH:
        return gateway.run(workspace, run)
    if run:
        return gateway.run(workspace, _by_job(gateway.runs(workspace, RUNS_MAX), workspace, run)["id"])
    rows = state.read(state.home()).runs.get(workspace)
    if ind is not None and rows:
        if ind >= len(rows):
            raise NotFound("run.unknown", f"The last list of {workspace} has no row {ind}: see `kaos train list`.")
        return gateway.run(workspace, rows[ind])
    newest = gateway.runs(workspace, (ind or 0) + 1)
    if len(newest) <= (ind or 0):
        raise NotFound("run.unknown", f"Workspace {workspace} has {len(newest)} runs: see `kaos train list`.")
    return gateway.run(workspace, newest[ind or 0]["id"])


def remember_rows(workspace: str, runs: list[str] | None) -> None:
    """What -i addresses from now on; None: the newest runs, whatever they are then."""
    folder: Path = state.home()
    known = state.read(folder)
    if runs is None:
        if known.runs.pop(workspace, None) is None:
            return
    else:
        known.runs[workspace] = runs
    state.write(folder, known)


def _author() -> str:
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _by_job(runs: list[Run], workspace: str, wanted: str) -> Run:
    found = [run for run in runs if wanted in {run["build"]["job"], run["train"]["job"]} or run["id"].endswith(wanted)]
    if len(found) != 1:
        count = "several runs" if found else "no run"
        raise NotFound("run.unknown", f"Workspace {workspace} has {count} {wanted[:40]!r}: see `kaos train list`.")
    return found[0]
