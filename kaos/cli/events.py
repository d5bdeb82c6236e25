"""`kaos events`: what happened in a workspace, a line each, and what happens."""

import json
from typing import Any

import click

from kaos.cli import terminal
from kaos.cli.info import measured, score
from kaos.cli.options import as_json, chosen, client, in_workspace, workspace_of
from kaos.cli.streams import resumed
from kaos.cli.terminal import safe
from kaos.cli.wire import Event


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C (or the end of -r's run).")
@click.option("-r", "--run", default="", help="Only this run's, by its id or its job's.")
@click.option("--after", default="", help="Go on after the event of this `sequence` (see --json).")
@in_workspace
@as_json
def events(*, follow: bool, run: str, after: str, workspace: str, as_json: bool) -> None:
    """What happened in the workspace, oldest first; with --json as CloudEvents, one a line."""
    gateway, place = client(), workspace_of(workspace)
    found = chosen(gateway, place, None, run)["id"] if run else ""
    if not follow:
        for event in gateway.events(place, found, after=after):
            _show(event, as_json=as_json)
        return
    for event in resumed(
        lambda last: gateway.events(place, found, follow=True, after=last["sequence"] if last else after)
    ):
        _show(event, as_json=as_json)


def _show(event: Event, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(event))
    else:
        click.echo(f"[{terminal.clock(event['time'])}] {event['type'].removeprefix('kaos.'):<16} {_told(event)}")


def _told(event: Event) -> str:
    """What an event tells, in a few words; of a type that this version doesn't know, its data."""
    data: dict[str, Any] = event["data"]
    match event["type"]:
        case "kaos.object.created":
            words = [data["key"], f"{data['size']} bytes"]
        case "kaos.commit.finished":
            words = [data["repo"], data["bundle"], data["run"], data.get("error", "")]
        case "kaos.job.started":
            words = [data["stage"], data["job"]]
        case "kaos.job.finished":
            words = [data["stage"], data["job"], data["outcome"], data.get("reason", "")]
        case "kaos.metrics.reported":
            step = data.get("step")
            words = [data["trial"], "" if step is None else f"step {score(step)}", measured(data["metrics"])]
        case "kaos.run.changed":
            words = [data["run"], data["state"], *data.get("models", ())[:3], data.get("message", "")]
        case _:
            words = [json.dumps(data)]
    return safe("  ".join(word for word in words if word))
