"""What each instruction of a Dockerfile does to a build."""

import posixpath
import time
from collections.abc import Callable

from functions.build.builder import copy, layers, words
from functions.build.builder.dockerfile import Instruction, json_form, malformed, refused
from functions.build.builder.filesystem import look_up
from functions.build.builder.layers import Draft, Layer
from functions.build.builder.state import Build, Step
from shared.images import digest_of
from shared.sandbox import MAX_LAYERS

# Names by which an image would make pip look elsewhere than the machine's package index.
_INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def follow(build: Build, instruction: Instruction, announce: Callable[[bool], None]) -> Step:
    """Follows one instruction; `announce` hears whether its layer was there already, before anything runs.

    Raises Reject `build.…`.
    """
    started = time.monotonic()
    cached: list[bool] = []

    def heard(known: bool) -> None:
        cached.append(known)
        announce(known)

    step = _STEPS.get(instruction.name, _nothing)
    layer = step(build, instruction, heard)
    if not cached:
        announce(False)
    return Step(str(instruction), layer, any(cached), round(time.monotonic() - started, 3))


def _layer(
    build: Build, key: object, announce: Callable[[bool], None], make: Callable[[Draft], str | None], line: int
) -> str:
    """The layer of this key, made by `make` (which returns the environment it led to) where there is none."""
    build.key = digest_of([build.key, key])
    name = build.key[: layers.ID_DIGITS]
    layer = layers.known(build.tools.store, name)
    announce(layer is not None)
    if layer is None:
        if len(build.layers) >= MAX_LAYERS:
            raise refused(line, f"an image can have {MAX_LAYERS} layers: join some RUNs by &&.")
        started = time.monotonic()
        made = layers.draft(build.tools.store)
        try:
            environment = make(made) or build.environment
            layer = Layer(name, environment, empty=False, seconds=round(time.monotonic() - started, 3))
            layer = layers.commit(build.tools.store, made, layer, build.tools.python)
        finally:
            layers.discard(made)
    build.environment = layer.environment
    if not layer.empty:
        build.layers.append(layer.id)
    return layer.id


def _run(build: Build, instruction: Instruction, announce: Callable[[bool], None]) -> str:
    argv = _argv(build, instruction)
    key = ["RUN", argv, build.environment, sorted(build.env.items()), sorted(build.args.items()), build.workdir]

    def make(made: Draft) -> str:
        if not build.tools.sandboxed:
            from functions.build.builder import plain  # noqa: PLC0415

            return plain.run(build, instruction, argv, made)
        from functions.build.builder.run import run  # noqa: PLC0415 - an unchanged build runs nothing

        return run(build, instruction, argv, made)

    return _layer(build, key, announce, make, instruction.line)


def _argv(build: Build, instruction: Instruction) -> tuple[str, ...]:
    """The command line of a RUN. Raises Reject `build.policy` for mounts of other builders."""
    for name, value in instruction.flags:
        # A cache mount makes a step faster, never different.
        if not (name == "mount" and "type=cache" in value) and (name, value) != ("network", "default"):
            raise refused(instruction.line, f"RUN --{name}={value} is not followed.")
    words = json_form(instruction.value)
    if words == []:
        raise malformed(instruction.line, "RUN needs a command.")
    return tuple(words) if words is not None else (*build.shell, instruction.value)


def _copy(build: Build, instruction: Instruction, announce: Callable[[bool], None]) -> str:
    placements, mode = copy.plan(build, instruction)
    key = ["COPY", copy.content_key(placements, mode)]
    return _layer(build, key, announce, lambda made: copy.fill(made.root, placements, mode), instruction.line)


def _workdir(build: Build, instruction: Instruction, announce: Callable[[bool], None]) -> str:
    path = posixpath.join(build.workdir, words.expand(instruction.value, build.variables))
    real, kind = look_up(build.roots(), path)
    build.workdir = posixpath.normpath(path)
    if kind == "directory":
        return ""
    if kind == "other":
        raise malformed(instruction.line, f"WORKDIR {path} is a file.")
    if build.is_reserved(real):
        raise refused(instruction.line, f"WORKDIR {path} lies in this machine's system; use /opt, /srv, /app, ….")
    return _layer(build, ["WORKDIR", real], announce, lambda made: _make_folder(made, real), instruction.line)


def _make_folder(made: Draft, path: str) -> None:
    (made.root / path.lstrip("/")).mkdir(parents=True)


def _env(build: Build, instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    found = words.pairs(instruction.value, build.variables, instruction.line)
    for name in _INDEX_SETTINGS:
        if name in found:
            raise refused(instruction.line, f"{name} makes pip use another package index.", way_out=False)
    build.env.update(found)
    return ""


def _arg(build: Build, instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    for word in words.split(instruction.value):
        name, equals, default = word.partition("=")
        build.args[name] = words.expand(default, build.variables) if equals else build.defaults.get(name, "")
    return ""


def _shell(build: Build, instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    argv = json_form(instruction.value)
    if not argv:
        raise malformed(instruction.line, 'SHELL needs the form ["program", "argument"].')
    build.shell = tuple(argv)
    return ""


def _command(build: Build, instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    argv = json_form(instruction.value)
    chosen = tuple(argv) if argv is not None else (*build.shell, instruction.value)
    if instruction.name == "CMD":
        build.cmd = chosen
    else:
        build.entrypoint, build.cmd = chosen, ()
    return ""


def _user(build: Build, instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    build.user = words.expand(instruction.value, build.variables)
    return ""


def _nothing(_build: Build, _instruction: Instruction, _announce: Callable[[bool], None]) -> str:
    """LABEL, EXPOSE, VOLUME, HEALTHCHECK, STOPSIGNAL, MAINTAINER: true of a service, without meaning for a job."""
    return ""


_STEPS: dict[str, Callable[[Build, Instruction, Callable[[bool], None]], str]] = {
    "RUN": _run,
    "COPY": _copy,
    "ADD": _copy,
    "WORKDIR": _workdir,
    "ENV": _env,
    "ARG": _arg,
    "SHELL": _shell,
    "CMD": _command,
    "ENTRYPOINT": _command,
    "USER": _user,
}
