"""Reads `pip install` and requirement files by kaos's rules: packages of the index, and nothing from elsewhere."""

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import Reject

# Options of pip, by what becomes of them: uv's own name for them, a name with a value, or nothing.
_FLAGS = {
    "-U": "--upgrade",
    "--upgrade": "--upgrade",
    "--no-deps": "--no-deps",
    "--pre": "--prerelease=allow",
    "--force-reinstall": "--reinstall",
    "-I": "--reinstall",
    "--ignore-installed": "--reinstall",
    "--require-hashes": "--require-hashes",
}
_MEANINGLESS = re.compile(
    r"-[qv]+|--(?:no-cache-dir|quiet|verbose|user|disable-pip-version-check|no-input|prefer-binary|isolated|compile"
    r"|no-compile|no-warn-script-location|no-warn-conflicts|break-system-packages|no-python-version-warning|no-color"
    r"|use-pep517|no-build-isolation|no-clean|progress-bar|root-user-action|timeout|default-timeout|retries"
    r"|upgrade-strategy|use-feature|use-deprecated|cache-dir|exists-action|log)"
)
_WITH_VALUE = re.compile(
    r"--(?:progress-bar|root-user-action|timeout|default-timeout|retries|upgrade-strategy|use-feature|use-deprecated"
    r"|cache-dir|exists-action|log)"
)
_ELSEWHERE = {
    "-i": "another package index",
    "--index-url": "another package index",
    "--extra-index-url": "another package index",
    "--pypi-url": "another package index",
    "-f": "another place for packages",
    "--find-links": "another place for packages",
    "--no-index": "another place for packages",
    "--trusted-host": "an unverified host",
    "-e": "a folder or a repository",
    "--editable": "a folder or a repository",
}
_REPOSITORY = re.compile(r"(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*:/|.@\s*\S+:|\S\s+@\s", re.IGNORECASE)
_LOCAL = re.compile(r"\.{0,2}/|\.{1,2}$|[^;]*(?:\.whl|\.zip|\.tar\.gz|\.tgz)(?:\s|\[|$)|[^;\[<>=!~ ]+/")
# Files that name files: as deep as anyone needs, and no circles.
_MAX_DEPTH = 8
_VALUED_SHORT = ("-r", "-c", "-i", "-f", "-e")

Reader = Callable[[str], str]


@dataclass(frozen=True)
class Request:
    """What a `pip install` asks for, read and checked: requirement lines, constraint lines, options of uv.

    `builds`: building from source was asked for (`--no-binary`), so that wheels alone aren't tried first.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    builds: bool = False


def parse(argv: list[str], read: Reader) -> Request:
    """The request of `pip install ARGV`; `read` gives the text of a file that it names.

    Raises Reject `build.policy` with file and line, `build.run-failed` where a file isn't there.
    """
    lines: dict[str, list[str]] = {"-r": [], "-c": []}
    options: list[str] = []
    builds = False
    words = _Words(argv)
    for word, value in words:
        name = word.partition("=")[0]
        if name in ("-r", "--requirement", "-c", "--constraint"):
            lines["-r" if "-r" in name[:4] else "-c"] += _read(value(), read, lines["-c"], 1)
        elif name in ("--only-binary", "--no-binary"):
            options.append(f"{name}={value()}")
            builds = builds or name == "--no-binary"
        elif word in _FLAGS:
            options.append(_FLAGS[word])
        elif _MEANINGLESS.fullmatch(name):
            if _WITH_VALUE.fullmatch(name):
                value()
        elif word.startswith("-"):
            raise _refused_option(name, "")
        else:
            check_requirement(word, "")
            lines["-r"].append(word)
    wanted = tuple(line for line in lines["-r"] if not re.match(r"pip(?![\w.-])", line))
    return Request(wanted, tuple(lines["-c"]), tuple(sorted(set(options))), builds)


def check_file(text: str, where: str) -> None:
    """Raises Reject `build.policy` with `where:line` for the first line that kaos doesn't install."""
    _lines(text, where, lambda _path: "", [], _MAX_DEPTH)


def check_requirement(line: str, where: str) -> None:
    """Raises Reject `build.policy` where a requirement is not a package of the index."""
    reason = None
    if _REPOSITORY.search(line):
        reason = "is fetched from a repository"
    elif _URL.search(line):
        reason = "is fetched from a URL"
    elif _LOCAL.match(line):
        reason = "is a file or a folder"
    if reason:
        raise _refused(where, f"{line[:120]!r} {reason}; name a package and a version of the package index instead")


class _Words:
    """Arguments one by one, each with a way to get its value: after `=`, glued to it, or the next argument."""

    def __init__(self, argv: list[str]) -> None:
        self._rest = list(argv)

    def __iter__(self) -> "_Words":
        return self

    def __next__(self) -> tuple[str, Callable[[], str]]:
        if not self._rest:
            raise StopIteration
        word = self._rest.pop(0)
        if word[:2] in _VALUED_SHORT and len(word) > 2 and word[1] != "-":  # noqa: PLR2004 - `-rfile`
            self._rest.insert(0, word[2:])
            word = word[:2]
        return word, lambda: self._value(word)

    def _value(self, word: str) -> str:
        name, equals, value = word.partition("=")
        if equals:
            return value
        if not self._rest:
            raise Reject("build.run-failed", f"pip install: {name} needs a value.")
        return self._rest.pop(0)


def _read(path: str, read: Reader, constraints: list[str], depth: int) -> list[str]:
    if _URL.search(path):
        raise _refused("", f"the requirement file {path[:120]!r} is fetched from a URL; put it into model/")
    if depth > _MAX_DEPTH:
        raise Reject(
            "build.run-failed", f"{path[:120]}: requirement files name each other more than {_MAX_DEPTH} deep."
        )
    return _lines(read(path), path, read, constraints, depth)


def _lines(text: str, where: str, read: Reader, constraints: list[str], depth: int) -> list[str]:
    found: list[str] = []
    for number, line in _logical(text):
        place = f"{where}:{number}"
        match = re.match(r"(-r|--requirement|-c|--constraint)(?:[=\s]\s*|(?<=-[rc]))(\S+)$", line)
        if match and depth < _MAX_DEPTH:
            path = posixpath.join(posixpath.dirname(where), match[2])
            (found if "r" in match[1][:4] else constraints).extend(_read(path, read, constraints, depth + 1))
        elif match:
            continue
        elif line.startswith("-"):
            name = re.split(r"[=\s]", line)[0]
            if name not in ("--require-hashes", "--pre", "--prefer-binary", "--only-binary", "--no-binary"):
                raise _refused_option(name, place)
        else:
            check_requirement(re.split(r"\s--(?:hash|config-settings)", line)[0], place)
            found.append(line)
    return found


def _logical(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers: continued ones joined, comments and empty ones left out."""
    found = []
    start, held = 0, ""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        start = start if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        whole = re.sub(r"(^|\s)#.*$", "", held + line).strip()
        if whole:
            found.append((start, whole))
        held = ""
    return found


def _refused_option(name: str, where: str) -> Reject:
    if name in _ELSEWHERE:
        return _refused(where, f"{name} takes packages from {_ELSEWHERE[name]}, which is not allowed; remove it")
    return _refused(where, f"the option {name[:60]!r} of pip is not supported; remove it")


def _refused(where: str, what: str) -> Reject:
    return Reject("build.policy", f"{where}: {what}." if where else f"pip install: {what}.")
