"""Follows a bundle's Dockerfile from FROM to the image, and writes image.json."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from functions.build.builder import context, dockerfile, interpreter, layers, words
from functions.build.builder.bundle import Bundle
from functions.build.builder.dockerfile import Instruction, malformed
from functions.build.builder.state import Build, Step
from functions.build.builder.steps import follow
from shared.images import ImageStore


def build(bundle: Bundle, out: Path, store: ImageStore, say: Callable[[str], None]) -> None:
    """Builds the bundle's image into the store and writes `out`/image.json; `say` gets the log's lines.

    Raises Reject `build.…`, with the line of the Dockerfile where there is one.
    """
    started = time.monotonic()
    layers.sweep(store, time.time())
    instructions = dockerfile.read(bundle.dockerfile)
    _check_requirements(bundle.context)
    state = _begin(instructions, bundle, store, say)
    steps: list[Step] = []
    for number, instruction in enumerate(instructions, 1):
        title = f"step {number}/{len(instructions)} {instruction}"
        steps.append(follow(state, instruction, lambda cached, title=title: say(title + " (cached)" * cached)))  # type: ignore[misc]
    image = state.image()
    store.put(image)
    report: dict[str, object] = {
        "ref": f"{bundle.name}@sha256:{image.digest}",
        "digest": image.digest,
        "workdir": image.workdir,
        "cmd": [*image.entrypoint, *image.cmd],
        "environment": image.environment,
        "layers": [asdict(step) for step in steps],
    }
    write_report(out, report)
    say(f"built {report['ref']} in {time.monotonic() - started:.2f} s")


def write_report(out: Path, report: dict[str, object]) -> None:
    """Writes image.json: what the train pipeline reads, and people."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "image.json").write_text(json.dumps(report, indent=2) + "\n")


def _begin(instructions: list[Instruction], bundle: Bundle, store: ImageStore, say: Callable[[str], None]) -> Build:
    """The state after FROM: an interpreter of this machine and its environment. ARGs before it count for it alone."""
    arguments: dict[str, str] = {}
    origin = next(instruction for instruction in instructions if instruction.name == "FROM")
    for instruction in instructions[: instructions.index(origin)]:
        name, _, default = instruction.value.partition("=")
        arguments[name] = words.expand(default, arguments)
    named = words.split(origin.value)
    if len(named) not in (1, 3) or (len(named) > 1 and named[1].lower() != "as"):
        raise malformed(origin.line, f"FROM {origin.value[:80]} is not `FROM image` or `FROM image AS name`.")
    version = interpreter.wanted(words.expand(named[0], arguments), origin.line)
    python = interpreter.find(version, store.root / "interpreters")
    say(f"FROM {named[0]}: Python {python.version} at {python.path}")
    return Build(store, context.read(bundle.context), python, _environment(store, python), say)


def _environment(store: ImageStore, python: interpreter.Interpreter) -> str:
    from functions.build.builder import environments  # noqa: PLC0415

    return environments.base(store, python)


def _check_requirements(folder: Path) -> None:
    from functions.build.builder import requirements  # noqa: PLC0415

    requirements.check_file((folder / "requirements.txt").read_text(errors="replace"), "model/requirements.txt")
