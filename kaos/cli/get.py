"""`kaos train get`: brings code, data and models of a run to this disk."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import click

from kaos.cli import extract, terminal
from kaos.cli.client import Client
from kaos.cli.options import as_json, chosen, client, in_workspace, of_run, workspace_of
from kaos.cli.wire import Run


@click.command()
@of_run
@click.option("-c", "--code", is_flag=True, help="The code.")
@click.option("-d", "--data", is_flag=True, help="The data.")
@click.option("-m", "--model", is_flag=True, help="The models.")
@click.option("--model_id", "--model-id", "model_id", default="", help="Only the model of this id.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where; else here."
)
@in_workspace
@as_json
def get(
    *,
    ind: int | None,
    run: str,
    code: bool,
    data: bool,
    model: bool,
    model_id: str,
    output: Path,
    workspace: str,
    as_json: bool,
) -> None:
    """Download a run's models and code, into <workspace>/<job id>/{code,data,models/<model id>}.

    The newest run's without -i or -r. What is there already is left as it is. `kaos train deploy` takes what came.
    """
    gateway = client()
    found = chosen(gateway, workspace_of(workspace), ind, run)
    place = output / found["workspace"] / (found["train"]["job"] or found["id"])
    wanted = [("code", "code", code), ("data", "data", data), ("model", "models", model or bool(model_id))]
    if not (code or data or model or model_id):
        wanted = [("code", "code", True), ("model", "models", True)]
    brought: dict[str, list[str]] = {}
    for what, folder, asked in wanted:
        if asked:
            brought[what] = _bring(gateway, found, what, place / folder, model_id if what == "model" else "")
            if not as_json:
                for path in brought[what]:
                    terminal.done(f"{what}: {terminal.safe(path)}")
    if as_json:
        click.echo(json.dumps({"run": found["id"], "files": brought}))


def _bring(gateway: Client, run: Run, what: str, into: Path, trial: str) -> list[str]:
    """Downloads beside the target and moves into place what is whole. Returns the paths of what there is now."""
    with gateway.files(run, what, trial) as response, _beside(into) as draft:
        extract.extract(response, draft, lambda _: None)
        found = []
        for entry in sorted(draft.iterdir()):
            target = into / entry.name
            if not target.exists():
                entry.rename(target)
            found.append(str(target))
    return found


@contextmanager
def _beside(into: Path) -> Iterator[Path]:
    into.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=".kaos-", dir=into))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
