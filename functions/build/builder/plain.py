"""RUN on a machine without a sandbox: what kaos can do itself, and nothing that would run on the machine unconfined.

A RUN is written for a container that is thrown away: `rm -rf /root/.cache` must not happen here. So no shell reads it;
it may consist of `pip install`, `chmod`, `mkdir -p`, `echo` and `true`, joined by `&&` or `;`, and of
`if [ -f FILE ]; then …; fi` around them.
"""

import posixpath
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from functions.build.builder.dockerfile import Instruction
from functions.build.builder.filesystem import look_up, seen
from functions.build.builder.layers import Draft
from functions.build.builder.pip import PACKAGE_MANAGERS, Pip, refuse_package_manager
from functions.build.builder.state import Build
from functions.build.builder.words import expand
from shared.errors import KaosError, Reject

# A separator, or a word with its quotes; whatever else a shell knows (pipes, substitutions, globs, …) is neither.
_TOKEN = re.compile(r"""\s*(&&|;|(?:[^\s;&|<>()`"'\\]|\\.|"(?:[^"\\`]|\\.)*"|'[^']*')+)""")
_PIP = re.compile(r"(?:\S*/)?(?:pip3?|pip3\.\d+)$")
_PYTHON = re.compile(r"(?:\S*/)?python(?:3(?:\.\d+)?)?$")
_MODE = re.compile(r"0?[0-7]{3}|[ugoa]*\+x")
_TESTS = {"-f": ("other",), "-d": ("directory",), "-e": ("other", "directory")}
_WAY_OUT = (
    "This machine has no sandbox, and without one only pip install, chmod, mkdir -p, echo and `if [ -f … ]` are "
    "followed: install bubblewrap (Debian: apt-get install bubblewrap), or use a container engine."
)


def run(build: Build, instruction: Instruction, argv: Sequence[str], made: Draft) -> str:
    """Does what a RUN says; the key of the environment that its pip installs led to.

    Raises Reject `build.no-sandbox` for what needs one, `build.run-failed`, or what stopped pip; each with the line.
    """
    try:
        tokens = _tokens(build, argv)
        steps = _Steps(build, made)
        steps.follow(tokens)
    except KaosError as error:
        where = f"Dockerfile line {instruction.line}: {str(instruction)[:120]}"
        raise type(error)(error.code, f"{where}: {error}") from None
    return steps.pip.environment


def _tokens(build: Build, argv: Sequence[str]) -> list[str]:
    """The words of the command, expanded; a separator starts with a NUL, which no word can."""
    if tuple(argv[:-1]) != build.shell:
        return [*argv]
    text, found, position = argv[-1].replace("\\\n", " ").strip(), [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or "$(" in match[1] or match[1][0] in "~{":
            raise _unknown(text[position : position + 40].strip())
        found.append(f"\0{match[1]}" if match[1] in ("&&", ";") else expand(match[1], build.variables))
        position = match.end()
    return found


class _Steps:
    """Follows the commands of one RUN; `pip` knows where its installs have led."""

    def __init__(self, build: Build, made: Draft) -> None:
        self.pip = Pip(build.tools, build.environment)
        self._build = build
        self._made = made

    def follow(self, tokens: list[str]) -> None:
        """Commands one after the other; each must succeed."""
        while tokens:
            if tokens[0] == "if":
                tokens = self._branch(tokens[1:])
                continue
            end = next((index for index, token in enumerate(tokens) if token[:1] == "\0"), len(tokens))
            self._command(tokens[:end])
            tokens = tokens[end + 1 :]

    def _branch(self, tokens: list[str]) -> list[str]:
        """An `if` without its first word; returns what follows its `fi`."""
        try:
            then, end = tokens.index("then"), tokens.index("fi")
        except ValueError:
            raise _unknown("if") from None
        condition, body, rest = tokens[:then], tokens[then + 1 : end], tokens[end + 1 :]
        if "if" in body or "else" in body or "elif" in body or (rest and rest[0][:1] != "\0"):
            raise _unknown("if " + " ".join(condition))
        if self._holds([word for word in condition if word != "\0;"]):
            self.follow(body)
        return rest[1:]

    def _holds(self, words: list[str]) -> bool:
        match words:
            case ["[", kind, path, "]"] | ["test", kind, path] if kind in _TESTS:
                return look_up(self._roots(), self._absolute(path))[1] in _TESTS[kind]
        raise _unknown("if " + " ".join(words))

    def _command(self, words: list[str]) -> None:
        match words:
            case [pip, *arguments] if _PIP.match(pip):
                self._pip(arguments)
            case [python, "-m", "pip", *arguments] if _PYTHON.match(python):
                self._pip(arguments)
            case [program, *_] if program in PACKAGE_MANAGERS:
                raise refuse_package_manager(program)
            case ["chmod", mode, *paths] if paths and _MODE.fullmatch(mode):
                for path in paths:
                    self._chmod(mode, path)
            case ["mkdir", "-p", *paths] if paths:
                for path in paths:
                    self._mkdir(path)
            case ["echo", *said]:
                self._build.say(" ".join(said))
            case ["true" | ":"] | []:
                pass
            case _:
                raise _unknown(" ".join(words))

    def _pip(self, arguments: list[str]) -> None:
        if self.pip.answer(arguments, lambda text: self._build.say(text.rstrip("\n")), self._read):
            raise Reject("build.run-failed", f"pip {' '.join(arguments)[:80]} found nothing.")

    def _read(self, path: str) -> str:
        file = seen(self._roots(), self._absolute(path))
        if file is None or not file.is_file():
            raise Reject("build.run-failed", f"Could not open requirements file {path[:200]!r}: there is none.")
        return file.read_text(errors="replace")

    def _chmod(self, mode: str, path: str) -> None:
        real, kind = look_up(self._roots(), self._absolute(path))
        file = seen(self._roots(), real)
        if kind != "other" or file is None or file.is_relative_to(self._build.base):
            raise Reject("build.run-failed", f"chmod: the image has no file {path[:120]!r}.")
        own = self._own(real)
        if own != file:
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, own)
        own.chmod(int(mode, 8) if mode.isdigit() else own.stat().st_mode | 0o111)

    def _mkdir(self, path: str) -> None:
        real, kind = look_up(self._roots(), self._absolute(path))
        if kind == "other" or self._build.is_reserved(real):
            raise Reject("build.run-failed", f"mkdir: {path[:120]!r} can't be made.")
        if kind == "nothing":
            self._own(real).mkdir(parents=True, exist_ok=True)

    def _roots(self) -> list[Path]:
        return [self._made.root, *self._build.roots()]

    def _own(self, path: str) -> Path:
        return self._made.root / path.lstrip("/")

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._build.workdir, path)


def _unknown(what: str) -> Reject:
    return Reject("build.no-sandbox", f"{what[:80]!r} can't be followed. {_WAY_OUT}")
