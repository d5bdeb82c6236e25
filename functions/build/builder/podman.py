"""Builds the same Dockerfile with a container engine, where there is one: real base images, apt-get, and the rest."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from functions.build.builder import context, copy
from functions.build.builder.build import write_report
from functions.build.builder.bundle import Bundle
from functions.build.builder.copy import Placement
from functions.build.builder.output import shown
from shared.errors import Reject

# Measured in a container without systemd: `oci` isolation needs more than such a machine gives.
_OPTIONS = ("--isolation", "chroot", "--layers", "-v", "/etc/ssl/certs:/etc/ssl/certs:ro")
_ID_DIGITS = 12


def build(bundle: Bundle, out: Path, registry: str, say: Callable[[str], None]) -> None:
    """Builds with podman, pushes where a registry is given, and writes `out`/image.json.

    Raises Reject `build.no-engine` without podman, `build.run-failed` where the build fails.
    """
    if shutil.which("podman") is None:
        raise Reject("build.no-engine", "podman is not installed on the machine that builds: apt-get install podman.")
    with tempfile.TemporaryDirectory() as scratch:
        folder, note = Path(scratch, "context"), Path(scratch, "id")
        folder.mkdir()
        # Pachyderm keeps no modes, and podman would copy those that the files came with.
        entries = context.read(bundle.context).values()
        copy.fill(folder, [Placement(entry, "/" + entry.path) for entry in entries], None)
        _podman(["build", *_OPTIONS, "-f", str(bundle.dockerfile), "--iidfile", str(note), str(folder)])
        identity = note.read_text().strip().removeprefix("sha256:")
    ref = f"{registry or 'localhost'}/kaos/{bundle.name}:{identity[:_ID_DIGITS]}"
    _podman(["tag", identity, ref])
    if registry:
        _podman(["push", ref])
    settings = json.loads(_asked(["image", "inspect", "--format", "{{json .Config}}", identity]))
    report: dict[str, object] = {
        "ref": ref,
        "digest": identity,
        "source": bundle.id,
        "workdir": settings.get("WorkingDir") or "/",
        "cmd": [*(settings.get("Entrypoint") or []), *(settings.get("Cmd") or [])],
        "environment": None,
        "layers": [],
    }
    write_report(out, report)
    say(f"built {ref}")


def _podman(arguments: list[str]) -> None:
    status, last = shown(
        subprocess.Popen(
            ["podman", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    )
    if status != 0:
        raise Reject("build.run-failed", f"podman {arguments[0]} ended with exit status {status}: {last}")


def _asked(arguments: list[str]) -> str:
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True, env=os.environ).stdout
