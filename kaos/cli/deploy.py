"""`kaos train deploy`: packs bundles, uploads them, and shows what they will be trained with."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from kaos.cli import bundle, state, submission, terminal
from kaos.cli.bundle import Bundle
from kaos.cli.client import Client
from kaos.cli.options import as_author, as_json, client, remember_rows
from kaos.cli.submission import Part
from kaos.cli.wire import Inputs, Run
from shared import grids
from shared.errors import NotFound

_SHOWN_COMBINATIONS: Final = 10
_NOTHING: Final = Inputs(source="", data="", params="", image="")
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Cores(click.FloatRange):
    """A number of cores: unlike click's own range, without NaN and infinity, which JSON can't carry."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        cores = super().convert(value, param, ctx)
        if not math.isfinite(cores):
            self.fail(f"{value!r} is no number of cores.", param, ctx)
        return cores


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option(
    "-s", "--source", type=_DIRECTORY, help="Source bundle: the folder with Dockerfile and model/, or above it."
)
@click.option("-d", "--data", type=_DIRECTORY, help="Data bundle: any folder.")
@click.option("-m", "--manifest", type=_FILE, help='Manifest of remote data: {"url", "path"} a line.')
@click.option(
    "-h",
    "--hyperparams",
    type=_FILE,
    help='Hyperparams: JSON like {"degree": [3, 4]}, or a list of such; a trial each.',
)
@click.option("--search", type=click.Choice(["grid", "random"]), default="grid", help="All combinations, or some.")
@click.option("--trials", type=click.IntRange(1, grids.TRIALS_MAX), help="How many --search random tries.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed chooses the same combinations.")
@click.option("-p", "--parallelism", type=click.IntRange(min=1), help="Trials at once.")
@click.option("--cpu", type=_Cores(min=0, min_open=True), help="Cores for each trial, like 0.5; it gets no more.")
@click.option("--memory", help="Memory for each trial, like 512Mi or 2G; more ends it.")
@click.option("--gpu", type=click.IntRange(min=1), help="GPUs for each trial.")
@click.option("-w", "--workspace", default="", help="Workspace; else the one that is set. Made where there is none.")
@click.option("--name", default="", help="Name of the source bundle (of the data, without -s); else its own.")
@click.option("--force", is_flag=True, help="Train again what has been trained before.")
@as_author
@click.option("--dry-run", is_flag=True, help="Only tell what would be uploaded, built and trained.")
@click.option("-f", "--follow", is_flag=True, help="Show what happens until the end; exit 1 if the run fails.")
@as_json
@click.pass_context
def deploy(
    ctx: click.Context,
    /,
    *,
    workspace: str,
    force: bool,
    author: str,
    dry_run: bool,
    follow: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Submit source, data (here, or remote by a manifest) and hyperparams; what you leave out is the newest.

    Bundles are compressed and versioned by kaos: the same content is never stored, built or trained twice. Left out of
    them: .git, __pycache__ and their like.
    """
    bundles = _bundles(**{name: asked.pop(name) for name in _BUNDLE_OPTIONS})
    options = {name: value for name, value in asked.items() if value is not None}
    gateway = client()
    with TemporaryDirectory(prefix="kaos-") as folder:
        if dry_run:
            from kaos.cli import preview

            parts = [submission.prepare(part, Path(folder)) for part in bundles]
            preview.show(gateway, _workspace(workspace, remember=False), parts, options, force=force, as_json=as_json)
            return
        place = _workspace(workspace, quiet=as_json)
        inherited = _inherited(gateway, place)
        parts = [submission.prepare(part, Path(folder)) for part in bundles]
        more = {"options": options, "author": author, "force": force}
        run = submission.submit(gateway, place, parts, more)
    remember_rows(place, None)
    if not as_json:
        _report(parts, bundles, inherited)
        click.echo(f"\nRun {run['id']} in workspace {place}")
    ctx.exit(shown(gateway, run, follow=follow, as_json=as_json))


def shown(gateway: Client, run: Run, *, follow: bool, as_json: bool) -> int:
    """Shows a run that has just been submitted, to its end where `follow`; returns the exit code."""
    if follow:
        run = _follow(gateway, run, as_json=as_json)
    elif not as_json:
        click.echo(f"Watch it with: kaos train logs -f -r {run['id']}")
    if as_json:
        click.echo(json.dumps({"run": run}))
    return int(follow and run["state"] != "succeeded")


_BUNDLE_OPTIONS: Final = ("source", "data", "manifest", "hyperparams", "name", "search", "trials", "seed")


def _bundles(
    *,
    source: Path | None,
    data: Path | None,
    manifest: Path | None,
    hyperparams: Path | None,
    name: str,
    search: str,
    trials: int | None,
    seed: int,
) -> list[Bundle]:
    """What the options name, checked. Raises UsageError, or Reject `bundle.…` or `params.…`."""
    _check(source, data, manifest, hyperparams)
    if (search == "random") != (trials is not None) or (trials and not hyperparams):
        raise click.UsageError("A random search takes all three: -h PARAMS.json --search random --trials N.")
    found = []
    if source is not None:
        found.append(bundle.source(source, name))
    if data is not None:
        found.append(bundle.data(data, "" if source else name))
    if manifest is not None:
        found.append(bundle.manifest(manifest, "" if source else name))
    if hyperparams is not None:
        found.append(bundle.params(hyperparams, draw=trials, seed=seed))
    return found


def _check(source: Path | None, data: Path | None, manifest: Path | None, hyperparams: Path | None) -> None:
    if data and manifest:
        raise click.UsageError("-d and -m exclude each other: data is either here or elsewhere.")
    if not (source or data or manifest or hyperparams):
        raise click.UsageError("Nothing to deploy: give at least one of -s, -d, -m and -h.")


def _workspace(given: str, *, quiet: bool = True, remember: bool = True) -> str:
    """The workspace named or set; without either, `default`, which is then set."""
    folder = state.home()
    known = state.read(folder)
    if given or known.workspace or not remember:
        return given or known.workspace or state.DEFAULT_WORKSPACE
    known.workspace = state.DEFAULT_WORKSPACE
    state.write(folder, known)
    if not quiet:
        terminal.done(f"No workspace was set: using {known.workspace} (another: kaos workspace create -n NAME)")
    return known.workspace


def _inherited(gateway: Client, workspace: str) -> Inputs:
    try:
        return gateway.workspace(workspace).get("inputs", _NOTHING)
    except NotFound:
        return _NOTHING


def _report(parts: list[Part], bundles: list[Bundle], inherited: Inputs) -> None:
    for part in parts:
        terminal.done(f"Setting {part.kind} bundle: /{part.identity}")
    spaces = [bundle.space for bundle in bundles if bundle.space is not None]
    for space in spaces:
        _combinations(space)
    found = {part.kind: part.identity for part in parts}
    image = "⨂ <building>" if "source" in found else _or_missing(inherited["source"], "-s SOURCE_DIR")
    data = _or_missing(found.get("data") or found.get("manifest") or inherited["data"], "-d DATA_DIR")
    grid = f"/{found['params']} ({spaces[0].count})" if spaces else "-"
    terminal.table("CURRENT TRAINING INPUTS", ("Image", "Data", "Hyperparams"), [(image, data, grid)])


def _combinations(space: grids.Space) -> None:
    shown = [space.at(number) for number in range(min(space.count, _SHOWN_COMBINATIONS))]
    names = sorted({name for combination in shown for name in combination})
    if not names:
        return
    rows = [[_shown(combination[name]) if name in combination else "-" for name in names] for combination in shown]
    terminal.table(f"HYPERPARAMS ({space.count} combinations)", names, rows)
    if space.count > len(rows):
        click.echo(f"… and {space.count - len(rows):,} more")


def _or_missing(identity: str, option: str) -> str:
    return f"/{identity}" if identity else f"✗ <missing: {option}>"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _follow(gateway: Client, run: Run, *, as_json: bool) -> Run:
    from kaos.cli import follow

    try:
        run = follow.follow(gateway, run, as_json=as_json)
    except KeyboardInterrupt:
        click.echo(f"\nThe run goes on: kaos train logs -f -r {run['id']}", err=True)
        raise
    if not as_json:
        for text in follow.outcome(run):
            click.echo(text)
    return run
