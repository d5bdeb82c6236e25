"""`kaos train list`: the runs of a workspace by stage, newest first, a page at a time."""

import json
from typing import Final

import click

from kaos.cli import runs, terminal
from kaos.cli.options import RUNS_MAX, as_json, client, in_workspace, remember_rows, workspace_of
from kaos.cli.wire import Run

_HEADERS: Final = ("ind", "duration", "hyperopt", "job_id", "started", "state")
# What a terminal of 40 lines shows without scrolling, with the headings of three tables.
_PAGE: Final = 20


@click.command("list")
@click.option("-p", "--page", type=click.IntRange(1, RUNS_MAX // _PAGE), default=1, help="Page, from 1 (the newest).")
@in_workspace
@as_json
def list_runs(page: int, workspace: str, as_json: bool) -> None:
    """What is being ingested, built and trained, newest first.

    A row's `ind` names it to `kaos train info|logs|build-logs|get -i IND`.
    """
    name = workspace_of(workspace)
    # One more than is shown tells whether there is another page.
    newest = client().runs(name, min(page * _PAGE + 1, RUNS_MAX))
    shown = newest[(page - 1) * _PAGE : page * _PAGE]
    remember_rows(name, [run["id"] for run in newest[: page * _PAGE]])
    if as_json:
        click.echo(json.dumps({"workspace": name, "runs": shown}))
        return
    if not newest:
        click.echo(f"Workspace {name} has no runs yet: kaos train deploy -s SOURCE_DIR -d DATA_DIR makes one.")
        return
    rows = list(enumerate(shown, (page - 1) * _PAGE))
    for stage in ("ingesting", "building", "training"):
        chosen = [_row(ind, run) for ind, run in rows if runs.stage(run) == stage]
        if chosen:
            terminal.table(stage.upper(), _HEADERS, chosen)
    if len(newest) > page * _PAGE:
        click.echo(f"\nOlder runs: kaos train list -p {page + 1}")


def _row(ind: int, run: Run) -> tuple[str, ...]:
    return (
        str(ind),
        terminal.duration(runs.seconds(run)),
        _hyperopt(run),
        runs.job(run),
        terminal.clock(runs.started(run)),
        run["state"],
    )


def _hyperopt(run: Run) -> str:
    if "params" not in run["expected"]:
        return "no"
    return f"{len(run['trials'])} trials" if run["trials"] else "yes"
