"""`kaos train deploy --dry-run`: what a deploy would upload, build and train."""

import json
from dataclasses import asdict
from typing import Any, Final

import click

from kaos.cli import terminal
from kaos.cli.client import Client
from kaos.cli.submission import Part, Remote
from kaos.cli.wire import Preview

_IMAGE: Final = {
    "build": "would be built",
    "built": "is built already",
    "newest": "the workspace's newest, {source}",
    "missing": "missing: the run would wait for -s SOURCE_DIR",
}


def show(
    gateway: Client, workspace: str, parts: list[Part], options: dict[str, Any], *, force: bool, as_json: bool
) -> None:
    """Asks the gateway and tells; uploads and changes nothing."""
    wanted = [
        {
            "kind": part.kind,
            "filename": part.filename,
            "size": part.content.size,
            "tree": part.tree,
            "trials": sorted(set(part.trials)),
        }
        for part in parts
    ]
    found = gateway.dry_run(workspace, {"parts": wanted, "options": options, "force": force})
    remote = next((part.remote for part in parts if part.remote is not None), None)
    if as_json:
        told = {"workspace": workspace, **found, "upload_bytes": sum(part.content.size for part in parts)}
        click.echo(json.dumps(told | {"download": asdict(remote) if remote else None}))
    else:
        _tell(workspace, found, remote)


def _tell(workspace: str, found: Preview, remote: Remote | None) -> None:
    if not found["workspace_exists"]:
        terminal.done(f"Workspace {workspace} would be made")
    rows = [
        (part["kind"], f"/{part['bundle']}", terminal.amount(part["size"]), "yes" if part["cached"] else "no")
        for part in found["parts"]
    ]
    terminal.table("DRY RUN", ("bundle", "id", "upload", "in the workspace already"), rows)
    inputs = found["inputs"]
    click.echo()
    download = {"Download": _download(found, remote)} if remote else {}
    terminal.facts(
        {
            "Upload": terminal.amount(sum(part["size"] for part in found["parts"])),
            **download,
            "Image": _IMAGE[found["image"]].format(source=f"/{inputs['source']}"),
            "Data": f"/{inputs['data']}" if inputs["data"] else "missing: the run would wait for -d DATA_DIR",
            "Trials": _trials(found),
        }
    )


def _download(found: Preview, remote: Remote) -> str:
    """What kaos would fetch; what it has of an earlier version of the manifest, it leaves out."""
    if any(part["kind"] == "manifest" and part["cached"] for part in found["parts"]):
        return "none: the workspace has this manifest already"
    unsized = f" and {remote.unsized} of unknown size" if remote.unsized else ""
    return f"{remote.files} files at most, {terminal.amount(remote.size)}{unsized}"


def _trials(found: Preview) -> str:
    count, done = found["trials"], found["done"]
    if found["same_as"]:
        return f"none to train: run {found['same_as']} has trained the same (--force trains again)"
    return f"{count - done} to train" + (f", {done} done already" if done else "")
