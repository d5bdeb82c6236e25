"""Reads a Dockerfile into instructions with their line numbers, and refuses early what can't be followed here."""

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from shared.errors import Reject

WAY_OUT = "Build it with a container engine instead: kaos up --runtime podman."
_MAX_BYTES = 2**20
_HEREDOC = re.compile(r"(?<!<)<<-?\s*['\"]?[A-Za-z_]\w*")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_WITH_FLAGS = ("FROM", "COPY", "ADD", "RUN", "HEALTHCHECK")
_FOLLOWED = (
    *("FROM", "ARG", "ENV", "RUN", "COPY", "ADD", "WORKDIR", "ENTRYPOINT", "CMD", "USER", "LABEL", "EXPOSE"),
    *("VOLUME", "SHELL", "HEALTHCHECK", "STOPSIGNAL", "MAINTAINER"),
)


@dataclass(frozen=True)
class Instruction:
    """One instruction; `flags` are its leading `--name=value`s, `value` is the rest, `line` counts from 1."""

    line: int
    name: str
    value: str
    flags: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        flags = "".join(f" --{name}={value}" if value else f" --{name}" for name, value in self.flags)
        return f"{self.name}{flags} {' '.join(self.value.split())}"


def malformed(line: int, what: str) -> Reject:
    """The error of a Dockerfile that no builder could follow."""
    return Reject("build.dockerfile", f"Dockerfile line {line}: {what}")


def refused(line: int, what: str, *, way_out: bool = True) -> Reject:
    """The error of something that is not done here: the line, the reason, and the way out."""
    return Reject("build.policy", f"Dockerfile line {line}: {what}" + (f" {WAY_OUT}" if way_out else ""))


def read(path: Path) -> list[Instruction]:
    """The instructions in order. Raises Reject `build.dockerfile` or `build.policy` with the line."""
    content = path.read_bytes()
    if len(content) > _MAX_BYTES:
        raise malformed(1, f"it is larger than {_MAX_BYTES} bytes.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(content[: error.start].count(b"\n") + 1, "it is not UTF-8 text.") from None
    if "\0" in text:
        raise malformed(text[: text.index("\0")].count("\n") + 1, "it holds a NUL character.")
    instructions = _parsed(text.replace("\r\n", "\n"))
    _check_stages(instructions)
    return instructions


def json_form(value: str) -> list[str] | None:
    """The words of an exec form `["a", "b"]`; None where the value is a shell form."""
    if not value.lstrip().startswith("["):
        return None
    try:
        words = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _parsed(text: str) -> list[Instruction]:
    from dockerfile_parse import DockerfileParser  # noqa: PLC0415 - not needed to say that a bundle is malformed

    lines = _joined(text.split("\n"))
    parser = DockerfileParser(fileobj=io.BytesIO("\n".join(lines).encode()), env_replace=False)
    found = []
    expected = 0  # the parser skips lines that it can't read: find them between those that it could
    for entry in parser.structure:
        if entry["instruction"] != "COMMENT":
            _check_skipped(lines, expected, entry["startline"])
            found.append(_instruction(entry["startline"] + 1, entry["instruction"], entry["value"].strip()))
            expected = entry["endline"] + 1
    _check_skipped(lines, expected, len(lines))
    return found


def _instruction(line: int, name: str, value: str) -> Instruction:
    if name not in _FOLLOWED:
        raise malformed(line, f"there is no instruction {name[:40]!r}." if name != "ONBUILD" else "ONBUILD has no use.")
    if name in ("RUN", "COPY", "ADD") and _HEREDOC.search(value):
        raise refused(line, f"{name} with a here-document is not followed; put the text into a file of model/.")
    flags = []
    while name in _WITH_FLAGS and (match := _FLAG.match(value)):
        flags.append((match[1], match[2] or ""))
        value = value[match.end() :]
    if not value:
        raise malformed(line, f"{name} needs an argument.")
    return Instruction(line, name, value, tuple(flags))


def _joined(lines: list[str]) -> list[str]:
    """Keeps an instruction together over empty lines within it, which Docker allows."""
    joined, continued = [], False
    for line in lines:
        if continued and not line.strip():
            joined.append("\\")
            continue
        if not line.lstrip().startswith("#"):
            continued = line.rstrip().endswith("\\")
        joined.append(line)
    return joined


def _check_skipped(lines: list[str], start: int, end: int) -> None:
    for number in range(start, end):
        line = lines[number].strip()
        if line and line != "\\" and not line.startswith("#"):
            raise malformed(number + 1, f"{line[:60]!r} is not an instruction with its argument.")


def _check_stages(instructions: list[Instruction]) -> None:
    stages = [instruction for instruction in instructions if instruction.name == "FROM"]
    if not stages:
        raise malformed(1, "there is no FROM: begin with, for example, FROM python:3.11-slim.")
    first = next(instruction for instruction in instructions if instruction.name != "ARG")
    if first.name != "FROM":
        raise malformed(first.line, f"{first.name} stands before FROM.")
    if len(stages) > 1:
        raise refused(stages[1].line, "a second FROM makes this a multi-stage build, which needs a container engine.")
