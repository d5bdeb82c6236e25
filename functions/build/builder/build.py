"""Follows a bundle's Dockerfile from FROM to the image, and writes image.json."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from functions.build.builder import context, dockerfile, interpreter, layers, words
from functions.build.builder.bundle import Bundle
from functions.build.builder.dockerfile import Instruction, malformed
from functions.build.builder.state import Build, Step
from functions.build.builder.steps import follow
from functions.build.builder.toolchain import Toolchain
from shared.errors import KaosError
from shared.images import ImageStore

# What a Python other than the one asked for may be the reason of.
_OF_THE_PYTHON = ("build.run-failed", "build.requirement-unknown")


def build(
    bundle: Bundle,
    out: Path,
    store: ImageStore,
    say: Callable[[str], None],
    *,
    strict_python: bool = False,
    sandboxed: bool = True,
) -> None:
    """Builds the bundle's image into the store and writes `out`/image.json; `say` gets the log's lines.

    `strict_python` takes no newer Python where the one of FROM is missing. Raises Reject `build.…`, with the line of
    the Dockerfile where there is one.
    """
    started = time.monotonic()
    layers.sweep(store, time.time())
    instructions = dockerfile.read(bundle.dockerfile)
    _check_requirements(bundle.context)
    asked = _asked(instructions)
    python = interpreter.find(asked.version, interpreter.installed(), store.root / "interpreters", strict=strict_python)
    warning = _warning(asked.version, python)
    if warning:
        say(f"WARNING: {warning}")
    else:
        say(f"{asked.image}: Python {python.version} at {python.path}")
    tools = Toolchain(store, python, sandboxed)
    state = Build(tools, context.read(bundle.context), _environment(tools), say, defaults=asked.arguments)
    try:
        steps = _follow_all(state, instructions)
    except KaosError as error:
        if warning and error.code in _OF_THE_PYTHON:
            raise type(error)(error.code, f"{error} (Note: {warning}.)") from None
        raise
    image = state.image()
    store.put(image)
    report: dict[str, object] = {
        "ref": f"{bundle.name}@sha256:{image.digest}",
        "digest": image.digest,
        "source": bundle.id,
        "workdir": image.workdir,
        "cmd": [*image.entrypoint, *image.cmd],
        "environment": image.environment,
        "python": {"asked": asked.version, "used": python.version},
        "layers": [asdict(step) for step in steps],
    }
    write_report(out, report)
    made = [step for step in steps if step.id]
    cached = sum(step.cached for step in made)
    took = time.monotonic() - started
    say(f"built {report['ref']} in {took:.2f} s: {cached} of {len(made)} steps cached")


def write_report(out: Path, report: dict[str, object]) -> None:
    """Writes image.json: what the train pipeline reads, and people."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "image.json").write_text(json.dumps(report, indent=2) + "\n")


@dataclass(frozen=True)
class _Asked:
    """What FROM asks for, and the ARGs before it."""

    image: str
    version: str
    arguments: dict[str, str]


def _asked(instructions: list[Instruction]) -> _Asked:
    arguments: dict[str, str] = {}
    origin = next(instruction for instruction in instructions if instruction.name == "FROM")
    for instruction in instructions[: instructions.index(origin)]:
        name, _, default = instruction.value.partition("=")
        arguments[name] = words.expand(default, arguments)
    named = words.split(origin.value)
    if len(named) not in (1, 3) or (len(named) > 1 and named[1].lower() != "as"):
        raise malformed(origin.line, f"FROM {origin.value[:80]} is not `FROM image` or `FROM image AS name`.")
    image = words.expand(named[0], arguments)
    return _Asked(image, interpreter.wanted(image, origin.line), arguments)


def _warning(version: str, python: interpreter.Interpreter) -> str:
    """The sentence about a Python that stands in for another; empty where it is the one asked for."""
    if interpreter.is_exactly(python, version):
        return ""
    return f"python:{version} is not on this machine: building with Python {python.version}"


def _follow_all(state: Build, instructions: list[Instruction]) -> list[Step]:
    steps: list[Step] = []
    for number, instruction in enumerate(instructions, 1):
        title = f"step {number}/{len(instructions)} {instruction}"
        step = follow(state, instruction, lambda cached, title=title: state.say(title + " (cached)" * cached))  # type: ignore[misc]
        if step.id and not step.cached:
            state.say(f"built in {step.seconds:.2f} s")
        steps.append(step)
    return steps


def _environment(tools: Toolchain) -> str:
    from functions.build.builder import environments  # noqa: PLC0415 - after the Dockerfile's own mistakes

    return environments.base(tools)


def _check_requirements(folder: Path) -> None:
    from functions.build.builder import requirements  # noqa: PLC0415 - after the Dockerfile's own mistakes

    requirements.check_file((folder / "requirements.txt").read_text(errors="replace"), "model/requirements.txt")
