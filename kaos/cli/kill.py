"""`kaos train kill`: ends a run, whatever it is doing."""

import json

import click

from kaos.cli import terminal
from kaos.cli.options import as_json, chosen, client, in_workspace, of_run, workspace_of


@click.command()
@of_run
@click.option("-j", "--job", default="", help="The run of this job: a build's, a training's.")
@click.option("--trial", default="", help="Only this trial of it, by its id; the others go on.")
@in_workspace
@as_json
def kill(*, ind: int | None, run: str, job: str, trial: str, workspace: str, as_json: bool) -> None:
    """End a run that is being ingested, built or trained, or that waits.

    Its processes end within two seconds. What it printed until then stays; there will be no models of it.
    """
    if (ind is not None) + bool(run) + bool(job) != 1:
        raise click.UsageError("Name the run: give one of -i IND, -r RUN and -j JOB.")
    gateway = client()
    found = chosen(gateway, workspace_of(workspace), ind, run or job)
    if trial:
        told = gateway.kill_trial(found, trial)
        if as_json:
            click.echo(json.dumps(told))
        else:
            terminal.done(f"Trial {terminal.safe(told['trial'])} of run {found['id']} is killed; the others go on.")
        return
    ended = gateway.kill(found)
    if as_json:
        click.echo(json.dumps(ended))
    else:
        reason = ended["error"]["message"] if ended["error"] else "It was killed."
        terminal.done(f"Run {ended['id']} is killed. {terminal.safe(reason)}")
