"""`kaos workspace`: make, list, choose and look at workspaces."""

import json
import sys

import click

from kaos.cli import state, terminal
from kaos.cli.options import as_json, client, workspace_of
from kaos.cli.state import State
from kaos.cli.wire import Contents
from shared.errors import NotFound
from shared.names import workspace_name

_name = click.option("-n", "--name", default="", help="Its name.")


@click.group()
def workspace() -> None:
    """Make, list and choose workspaces: each keeps its own source, data, models and runs."""


@workspace.command()
@click.option("-n", "--name", required=True, help="1 to 40 lower-case letters, digits and hyphens.")
@as_json
def create(name: str, as_json: bool) -> None:
    """Make a workspace, and use it from now on."""
    made = client().make_workspace(workspace_name(name))
    _use(name)
    if as_json:
        click.echo(json.dumps(made))
    else:
        terminal.done(f"Workspace {name} is made and set.")


@workspace.command("list")
@as_json
def list_workspaces(as_json: bool) -> None:
    """All workspaces; a row's `ind` names it to `kaos workspace set -i IND`."""
    found = client().workspaces()
    known = state.read(state.home())
    known.workspaces = [each["name"] for each in found]
    state.write(state.home(), known)
    if as_json:
        click.echo(json.dumps({"workspaces": found, "current": known.workspace}))
    elif found:
        rows = [
            (str(ind), each["name"], terminal.clock(each["created"]), "✔" if each["name"] == known.workspace else "")
            for ind, each in enumerate(found)
        ]
        terminal.table("WORKSPACES", ("ind", "name", "created", "set"), rows)
    else:
        click.echo("There are no workspaces yet: kaos workspace create -n NAME makes one.")


@workspace.command("set")
@_name
@click.option("-i", "--ind", type=click.IntRange(min=0), help="Row of the last `kaos workspace list`.")
@as_json
def set_workspace(name: str, ind: int | None, as_json: bool) -> None:
    """Use a workspace from now on."""
    if bool(name) == (ind is not None):
        raise click.UsageError("Give either -n NAME or -i IND.")
    if ind is not None:
        name = _row(state.read(state.home()), ind)
    found = client().workspace(workspace_name(name))
    _use(name)
    if as_json:
        click.echo(json.dumps(found))
    else:
        terminal.done(f"Workspace {name} is set.")


@workspace.command()
@_name
@as_json
def info(name: str, as_json: bool) -> None:
    """A workspace, and what its next training uses unless you deploy something else."""
    found = client().workspace(workspace_of(name))
    if as_json:
        click.echo(json.dumps(found))
        return
    inputs = found["inputs"]
    terminal.facts(
        {
            "Workspace": found["name"],
            "Created": terminal.clock(found["created"]),
            "Runs": str(found["runs"]),
            "Source": inputs["source"],
            "Data": inputs["data"],
            "Hyperparams": inputs["params"],
        }
    )


@workspace.command()
@_name
@click.option("--yes", is_flag=True, help="Don't ask.")
@as_json
def kill(name: str, yes: bool, as_json: bool) -> None:
    """Delete a workspace and all that is in it: runs, bundles, models, logs. It can't be undone.

    Runs that are not over are killed. A workspace of the same name can be made anew afterwards.
    """
    gateway, name = client(), workspace_of(name)
    if not yes:
        _confirm(gateway.contents(name))
    removed = gateway.kill_workspace(name)
    _forget(name)
    if as_json:
        click.echo(json.dumps(removed))
    else:
        killed = f", {removed['killed']} of them killed" if removed["killed"] else ""
        terminal.done(f"Workspace {name} is gone, with its {removed['runs']} runs{killed}.")


def _confirm(found: Contents) -> None:
    """Asks at a terminal; elsewhere nobody can answer. Raises Abort, or UsageError."""
    size = terminal.amount(found["pachyderm_bytes"] + found["inbox_bytes"] + found["log_bytes"])
    running = f" ({found['unfinished']} not over)" if found["unfinished"] else ""
    what = f"{found['runs']} runs{running}, {found['models']} models, {size}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"Workspace {found['name']} holds {what}: say --yes to delete all of it.")
    click.confirm(f"Delete workspace {found['name']} with {what}?", abort=True)


def _forget(name: str) -> None:
    known = state.read(state.home())
    known.runs.pop(name, None)
    known.workspace = "" if known.workspace == name else known.workspace
    state.write(state.home(), known)


def _use(name: str) -> None:
    known = state.read(state.home())
    known.workspace = name
    state.write(state.home(), known)


def _row(known: State, ind: int) -> str:
    if ind >= len(known.workspaces):
        raise NotFound("workspace.unknown", f"The last list of workspaces has no row {ind}: see `kaos workspace list`.")
    return known.workspaces[ind]
