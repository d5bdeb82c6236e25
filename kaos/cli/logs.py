"""`kaos train logs` and `build-logs`: what a stage printed, every line once, gaps shown."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import click

from kaos.cli import runs, terminal
from kaos.cli.client import Client
from kaos.cli.options import as_json, chosen, client, in_workspace, of_run, workspace_of
from kaos.cli.streams import resumed
from kaos.cli.wire import FINAL, Line, Run, Stage

_tail = click.option("--tail", type=click.IntRange(0, 10_000), help="Only the last so many lines.")
_follow = click.option("-f", "--follow", is_flag=True, help="Go on until the end; exit 1 if the run fails.")
_output = click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Save the lines in a file instead."
)


@click.command()
@of_run
@click.option("--stage", type=click.Choice(get_args(Stage)), default="train", show_default=True, help="Of which stage.")
@_follow
@_tail
@_output
@in_workspace
@as_json
@click.pass_context
def logs(
    ctx: click.Context,
    /,
    *,
    ind: int | None,
    run: str,
    stage: Stage,
    follow: bool,
    tail: int | None,
    output: Path | None,
    workspace: str,
    as_json: bool,
) -> None:
    """What a training printed: the newest run's without -i or -r.

    Ctrl-C ends the watching, never the training.
    """
    gateway = client()
    found = chosen(gateway, workspace_of(workspace), ind, run)
    _write(gateway, found, stage, follow=follow, tail=tail, output=output, as_json=as_json)
    ctx.exit(_outcome(gateway.run(found["workspace"], found["id"])) if follow else 0)


@click.command("build-logs")
@of_run
@click.option("-j", "--job", default="", help="Build job, by its id.")
@_follow
@_tail
@_output
@in_workspace
@as_json
@click.pass_context
def build_logs(
    ctx: click.Context,
    /,
    *,
    ind: int | None,
    run: str,
    job: str,
    follow: bool,
    tail: int | None,
    output: Path | None,
    workspace: str,
    as_json: bool,
) -> None:
    """What the build of an image printed: the newest run's without -i, -r or -j."""
    gateway = client()
    found = chosen(gateway, workspace_of(workspace), ind, run or job)
    _write(gateway, found, "build", follow=follow, tail=tail, output=output, as_json=as_json)
    failed = follow and gateway.run(found["workspace"], found["id"])["build"]["state"] != "succeeded"
    ctx.exit(int(failed))


def lines(gateway: Client, run: Run, stage: Stage, *, follow: bool, tail: int | None = None) -> Iterator[Line]:
    """The lines of a stage, each once; with `follow` also over a restart of the stack."""
    if not follow:
        yield from gateway.logs(run, stage, tail=tail)
        return
    last: dict[tuple[str, str], int] = {}
    for line in resumed(lambda got: gateway.logs(run, stage, follow=True, tail=None if got else tail)):
        writer = (line["job"], line["trial"])
        if line["seq"] > last.get(writer, -1):
            last[writer] = line["seq"]
            yield line


def texts(found: Iterator[Line], *, with_trial: bool, whole: bool) -> Iterator[str]:
    """Each line as `[2026-07-29 15:25:46] text`, safe to print. Where lines are missing, a line says how many.

    `whole`: the log should begin with its first line.
    """
    last: dict[tuple[str, str], int] = {}
    for line in found:
        writer, seq = (line["job"], line["trial"]), line["seq"]
        missing = seq - last.get(writer, -1 if whole else seq - 1) - 1
        last[writer] = seq
        trial = f"{line['trial']} " if with_trial else ""
        if missing > 0:
            yield f"[… {trial}{missing} lines are missing …]"
        more = " …" if line.get("partial") else ""
        yield f"[{terminal.clock(line['time'])}] {trial}{terminal.safe(line['text'])}{more}"


def names_trials(run: Run, stage: Stage) -> bool:
    """Whether lines must name their trial, or the shard of a manifest that was fetched, to be told apart."""
    return stage == "fetch" or (stage == "train" and (run["trial_count"] > 1 or "params" in run["expected"]))


def _write(
    gateway: Client, run: Run, stage: Stage, *, follow: bool, tail: int | None, output: Path | None, as_json: bool
) -> None:
    found = lines(gateway, run, stage, follow=follow, tail=tail)
    shown = map(json.dumps, found) if as_json else texts(found, with_trial=names_trials(run, stage), whole=tail is None)
    count = 0
    with output.open("w", encoding="utf-8") if output else nullcontext(sys.stdout) as file:
        for text in shown:
            count += 1
            click.echo(text, file=file)
    if output:
        terminal.done(f"{count} lines saved in {output}")
    elif not count:
        click.echo(_nothing(gateway.run(run["workspace"], run["id"]), stage), err=True)


def _nothing(run: Run, stage: Stage) -> str:
    if stage == "train" and runs.fetch_failed(run):
        return f"The run {run['state']} while its data was fetched: kaos train logs --stage fetch -r {run['id']}"
    if stage == "train" and runs.stage(run) == "building" and run["state"] in FINAL:
        return f"The run {run['state']} while its image was built: kaos train build-logs -r {run['id']}"
    if run["error"]:
        return f"There are no lines. {terminal.safe(run['error']['message'])}"
    return f"There are no lines{'' if run['state'] in FINAL else ' yet'}: the run is {run['state']}."


def _outcome(run: Run) -> int:
    return 0 if runs.succeeded(run) else 1
