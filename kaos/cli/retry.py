"""`kaos train retry`: does again what failed of a run."""

import click

from kaos.cli import terminal
from kaos.cli.deploy import shown
from kaos.cli.options import as_author, as_json, chosen, client, in_workspace, of_run, workspace_of


@click.command()
@of_run
@click.option("-j", "--job", default="", help="The run of this job: a build's, a training's.")
@as_author
@click.option("-f", "--follow", is_flag=True, help="Show what happens until the end; exit 1 if the run fails.")
@in_workspace
@as_json
@click.pass_context
def retry(
    ctx: click.Context,
    /,
    *,
    ind: int | None,
    run: str,
    job: str,
    author: str,
    follow: bool,
    workspace: str,
    as_json: bool,
) -> None:
    """Do again what failed of a run that is over, on the same bundles: the trials without success, or the build.

    It is a new run; nothing is uploaded. Trials that were done are taken over.
    """
    if (ind is not None) + bool(run) + bool(job) != 1:
        raise click.UsageError("Name the run: give one of -i IND, -r RUN and -j JOB.")
    gateway = client()
    failed = chosen(gateway, workspace_of(workspace), ind, run or job)
    made = gateway.retry(failed, author)
    if not as_json:
        terminal.done(f"Run {made['id']} does again what failed of run {failed['id']}.")
    ctx.exit(shown(gateway, made, follow=follow, as_json=as_json))
