"""`kaos train list`: the runs of a workspace, or of all, by stage, newest first, a page at a time."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import click

from kaos.cli import runs, terminal
from kaos.cli.options import RUNS_MAX, as_json, client, in_workspace, remember_rows, workspace_of
from kaos.cli.wire import Run, State

_HEADERS: Final = ("duration", "hyperopt", "job_id", "started", "state")
# What a terminal of 40 lines shows without scrolling, with the headings of three tables.
_PAGE: Final = 20
_AGE: Final = re.compile(r"([0-9]{1,6})([smhdw])\Z")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Since(click.ParamType[str]):
    name = "2h|TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """An age, or a time (of this machine's zone where it names none), as ISO 8601 in UTC."""
        if (age := _AGE.match(value)) is not None:
            return (datetime.now(UTC) - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])).isoformat()
        try:
            return datetime.fromisoformat(value).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no age like 30m, 2h or 7d, and no time like 2026-07-29T15:25.", param, ctx)


@click.command("list")
@click.option("-p", "--page", type=click.IntRange(1, RUNS_MAX // _PAGE), default=1, help="Page, from 1 (the newest).")
@click.option("--all-workspaces", is_flag=True, help="Of all workspaces.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only those in this state.")
@click.option("--since", type=_Since(), help="Only those submitted in the last 30m, 2h, 7d, or since a time.")
@in_workspace
@as_json
def list_runs(
    *, page: int, all_workspaces: bool, state: str | None, since: str | None, workspace: str, as_json: bool
) -> None:
    """What is being ingested, built and trained, newest first.

    A row's `ind` names it to `kaos train info|logs|build-logs|get|kill|retry -i IND`.
    """
    if all_workspaces and workspace:
        raise click.UsageError("-w and --all-workspaces exclude each other.")
    name = "" if all_workspaces else workspace_of(workspace)
    # One more than is shown tells whether there is another page.
    newest = client().runs(name, min(page * _PAGE + 1, RUNS_MAX), state=state or "", since=since or "")
    shown = newest[(page - 1) * _PAGE : page * _PAGE]
    if name:
        remember_rows(name, [run["id"] for run in newest[: page * _PAGE]])
    if as_json:
        click.echo(json.dumps({"workspace": name or None, "runs": shown}))
    elif not newest:
        click.echo(_nothing(name, chosen=bool(state or since)))
    else:
        _tables(shown, (page - 1) * _PAGE, with_workspace=not name)
        if len(newest) > page * _PAGE:
            click.echo(f"\nOlder runs: kaos train list -p {page + 1}")


def _nothing(workspace: str, *, chosen: bool) -> str:
    where = f"Workspace {workspace} has" if workspace else "There are"
    if chosen:
        return f"{where} no such runs."
    return f"{where} no runs yet: kaos train deploy -s SOURCE_DIR -d DATA_DIR makes one."


def _tables(shown: list[Run], first: int, *, with_workspace: bool) -> None:
    """A table a stage. `-i` addresses rows of one workspace, so where there are several their names stand instead."""
    for stage in ("ingesting", "building", "training"):
        rows = [
            (run["workspace"] if with_workspace else str(ind), *_row(run))
            for ind, run in enumerate(shown, first)
            if runs.stage(run) == stage
        ]
        if rows:
            terminal.table(stage.upper(), ("workspace" if with_workspace else "ind", *_HEADERS), rows)


def _row(run: Run) -> tuple[str, ...]:
    return (
        terminal.duration(runs.seconds(run)),
        _hyperopt(run),
        runs.job(run),
        terminal.clock(runs.started(run)),
        run["state"],
    )


def _hyperopt(run: Run) -> str:
    if "params" not in run["expected"]:
        return "no"
    so_far = " so far" if run["trials_live"] else ""
    return f"{run['trial_count']} trials{so_far}" if run["trial_count"] else "yes"
