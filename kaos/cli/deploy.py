"""`kaos train deploy`: packs bundles, uploads them, and shows what they will be trained with."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from kaos.cli import bundle, pack, state, terminal, upload
from kaos.cli.bundle import Bundle
from kaos.cli.client import Client
from kaos.cli.options import as_json, client, remember_rows
from kaos.cli.wire import Inputs, Run, Submitted
from shared.bundles import bundle_id
from shared.errors import NotFound, Reject

_SHOWN_COMBINATIONS: Final = 10
# Ingest refuses what unpacks to more than 200 times its size, which is how a bomb looks. Honest data that is mostly
# zeros looks the same, and travels as it is.
_MOST_RATIO: Final = 100
_NOTHING: Final = Inputs(source="", data="", params="", image="")
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option(
    "-s", "--source", type=_DIRECTORY, help="Source bundle: the folder with Dockerfile and model/, or above it."
)
@click.option("-d", "--data", type=_DIRECTORY, help="Data bundle: any folder.")
@click.option("-m", "--manifest", type=_FILE, help="Manifest of remote data (not in this version).")
@click.option("-h", "--hyperparams", type=_FILE, help='Hyperparams: JSON like {"degree": [3, 4]}; a trial each.')
@click.option("-p", "--parallelism", type=click.IntRange(min=1), help="Trials at once.")
@click.option("--cpu", type=click.FloatRange(min=0, min_open=True), help="Cores for each trial.")
@click.option("--memory", help="Memory for each trial, like 512Mi or 2G.")
@click.option("--gpu", type=click.IntRange(min=0), help="GPUs for each trial.")
@click.option("-w", "--workspace", default="", help="Workspace; else the one that is set. Made where there is none.")
@click.option("--name", default="", help="Name of the source bundle (of the data, without -s); else its folder's.")
@click.option("-f", "--follow", is_flag=True, help="Show what happens until the end; exit 1 if the run fails.")
@as_json
@click.pass_context
def deploy(
    ctx: click.Context,
    /,
    *,
    source: Path | None,
    data: Path | None,
    manifest: Path | None,
    hyperparams: Path | None,
    workspace: str,
    name: str,
    follow: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Submit source, data and hyperparams; what you leave out is the workspace's newest.

    Bundles are compressed and versioned by kaos: the same content is never stored, built or trained twice. Left out of
    them: .git, __pycache__ and their like.
    """
    _check(source, data, manifest, hyperparams)
    bundles = _bundles(source, data, name)
    axes: dict[str, list[Any]] = {}
    if hyperparams is not None:
        params, axes = bundle.params(hyperparams)
        bundles.append(params)
    gateway = client()
    place = _workspace(workspace, quiet=as_json)
    inherited = _inherited(gateway, place)
    run, identities = _submit(gateway, place, bundles, {k: v for k, v in options.items() if v is not None})
    remember_rows(place, None)
    if not as_json:
        _report(bundles, identities, axes, inherited)
        click.echo(f"\nRun {run['id']} in workspace {place}")
    if follow:
        run = _follow(gateway, run, as_json=as_json)
    elif not as_json:
        click.echo(f"Watch it with: kaos train logs -f -r {run['id']}")
    if as_json:
        click.echo(json.dumps({"run": run}))
    ctx.exit(int(follow and run["state"] != "succeeded"))


def _check(source: Path | None, data: Path | None, manifest: Path | None, hyperparams: Path | None) -> None:
    if data and manifest:
        raise click.UsageError("-d and -m exclude each other: data is either here or elsewhere.")
    if manifest:
        raise Reject(
            "manifest.unsupported",
            "Remote data manifests (-m) are not in this version: download the files and deploy their folder with -d.",
        )
    if not (source or data or hyperparams):
        raise click.UsageError("Nothing to deploy: give at least one of -s, -d and -h.")


def _bundles(source: Path | None, data: Path | None, name: str) -> list[Bundle]:
    found = []
    if source is not None:
        found.append(bundle.source(source, name))
    if data is not None:
        found.append(bundle.data(data, "" if source else name))
    return found


def _workspace(given: str, *, quiet: bool) -> str:
    """The workspace named or set; without either, `default`, which is then set."""
    folder = state.home()
    known = state.read(folder)
    if given or known.workspace:
        return given or known.workspace
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


def _submit(
    gateway: Client, workspace: str, bundles: list[Bundle], options: dict[str, object]
) -> tuple[Run, dict[str, str]]:
    """Packs, announces and uploads; returns the run and the id of each bundle by kind."""
    with TemporaryDirectory(prefix="kaos-") as folder:
        packed = [_pack(part, Path(folder)) for part in bundles]
        parts: list[dict[str, object]] = [
            {"kind": part.kind, "filename": path.name, "size": path.stat().st_size}
            for part, (path, _) in zip(bundles, packed, strict=True)
        ]
        submitted = gateway.submit(workspace, parts, options)
        paths = {part.kind: path for part, (path, _) in zip(bundles, packed, strict=True)}
        _upload(gateway, submitted, paths)
    return submitted["run"], {part.kind: identity for part, (_, identity) in zip(bundles, packed, strict=True)}


def _pack(part: Bundle, folder: Path) -> tuple[Path, str]:
    """The file to upload, and the bundle's id (empty for hyperparameters, whose id ingest makes)."""
    if part.kind == "params":
        path = folder / f"{part.name}.json"
        path.write_bytes(part.path.read_bytes())
        return path, ""
    found = pack.files(part.path)
    total = sum(path.stat().st_size for _, path in found)
    kind = folder / part.kind
    kind.mkdir()
    with _bar(f"Compressing {part.kind} bundle", total) as advance:
        packed = pack.pack(found, kind / f"{part.name}.tar.zst", advance, compress=True)
    if packed.unpacked > _MOST_RATIO * packed.path.stat().st_size:
        packed = pack.pack(found, kind / f"{part.name}.tar", lambda _: None, compress=False)
    return packed.path, bundle_id(part.name, packed.tree)


def _upload(gateway: Client, submitted: Submitted, paths: dict[Any, Path]) -> None:
    run = submitted["run"]
    for target in submitted["uploads"]:
        path = paths[target["kind"]]
        with _bar(f"Uploading {target['kind']} bundle", path.stat().st_size) as advance:
            etags = upload.put(target, path, advance)
        if target["multipart"] is not None:
            gateway.complete(run, target["key"], target["multipart"]["upload_id"], etags)


@contextmanager
def _bar(label: str, total: int) -> Iterator[upload.Advance]:
    """A progress bar, on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=f"{label:<26}", file=sys.stderr) as bar:
        yield bar.update


def _report(bundles: list[Bundle], identities: dict[str, str], axes: dict[str, list[Any]], inherited: Inputs) -> None:
    for part in bundles:
        terminal.done(f"Setting {part.kind} bundle: /{identities[part.kind] or part.name}")
    count = bundle.trials(axes)
    if axes:
        rows = [[_shown(value) for value in values] for values in bundle.combinations(axes, _SHOWN_COMBINATIONS)]
        terminal.table(f"HYPERPARAMS ({count} combinations)", [*axes], rows)
        if count > len(rows):
            click.echo(f"… and {count - len(rows):,} more")
    image = "⨂ <building>" if "source" in identities else _or_missing(inherited["source"], "-s SOURCE_DIR")
    data = _or_missing(identities.get("data") or inherited["data"], "-d DATA_DIR")
    grid = f"{next(part.name for part in bundles if part.kind == 'params')} ({count})" if axes else "-"
    terminal.table("CURRENT TRAINING INPUTS", ("Image", "Data", "Hyperparams"), [(image, data, grid)])


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
