"""The builder's side of the `pip` that a RUN finds: installs by making an environment and moving a link to it."""

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from functions.build.builder import environments, requirements
from functions.build.builder.dockerfile import WAY_OUT
from functions.build.builder.state import Build
from shared.errors import KaosError, Reject
from shared.skeleton import ENVIRONMENTS, PYTHON, SHIM

# What would change the system that an image stands on: here that is this machine's own.
PACKAGE_MANAGERS = ("apt-get", "apt", "aptitude", "dpkg", "apk", "yum", "dnf", "microdnf", "conda", "mamba")
_PIPS = ("pip", "pip3")
# A message of the sandbox: a requirement file is far smaller.
_MAX_MESSAGE = 8 * 2**20


class PipServer:
    """Answers the programs of one RUN. `environment` is where installs have led; `error` is the last refusal."""

    def __init__(self, build: Build, directory: Path) -> None:
        self.environment = build.environment
        self.error: KaosError | None = None
        self._build = build
        self._links = directory / "python"
        self._shim = directory / "shim"
        self._one_at_a_time = threading.Lock()
        _write_programs(self._shim, build.interpreter.path.name.removeprefix("python"))
        self._links.mkdir()
        self._point()
        self._listener = _listen(self._shim)
        threading.Thread(target=self._serve, daemon=True).start()

    def binds(self) -> tuple[tuple[Path, str], ...]:
        """What the sandbox shows, read-only: (source, target)."""
        return (
            (self._shim, SHIM),
            (self._links, str(Path(PYTHON).parent)),
            (self._build.store.root / "environments", ENVIRONMENTS),
        )

    def close(self) -> None:
        """Stops listening."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw", encoding="utf-8") as stream, self._one_at_a_time:
            try:
                asked = _receive(stream)
                status = self._run(
                    stream, str(asked["program"]), [str(word) for word in asked["argv"]], str(asked["cwd"])
                )
                _send(stream, {"exit": status})
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                return  # what runs in the sandbox may say anything, or be gone

    def _run(self, stream: TextIO, program: str, argv: list[str], cwd: str) -> int:
        def say(text: str) -> None:
            _send(stream, {"write": text})

        try:
            if program in PACKAGE_MANAGERS:
                raise Reject("build.policy", f"{program} changes the system, which here is this machine's. {WAY_OUT}")
            return self._pip(argv, say, lambda path: _file(stream, str(Path(cwd, path)), path))
        except KaosError as error:
            self.error = error
            say(f"ERROR: {error}\n")
            return 100 if program in PACKAGE_MANAGERS else 1

    def _pip(self, argv: list[str], say: Callable[[str], None], read: requirements.Reader) -> int:
        command = next((word for word in argv if not word.startswith("-")), "")
        rest = [word for word in argv if word != command] if command == "install" else argv
        installed = self._build.store.environment(self.environment)
        if command == "install":
            self._install(requirements.parse(rest, read), say)
        elif command in ("list", "freeze"):
            say("".join(f"{name}=={version}\n" for name, version in _distributions(installed)))
        elif command == "show":
            wanted = [word.lower() for word in argv if word != command]
            found = [(name, version) for name, version in _distributions(installed) if name.lower() in wanted]
            say("---\n".join(f"Name: {name}\nVersion: {version}\n" for name, version in found))
            return 0 if found else 1
        elif not command and ("--version" in argv or "-V" in argv):
            say(f"pip, served by uv, from {PYTHON} (python {self._build.interpreter.version})\n")
        elif command in ("cache", "check"):
            return 0
        else:
            raise Reject(
                "build.policy", f"pip {command} can't be used in a build: there are install, list, freeze, show."
            )
        return 0

    def _install(self, request: requirements.Request, say: Callable[[str], None]) -> None:
        if not request.requirements:
            say("Nothing to install\n")
            return
        build = self._build
        self.environment = environments.install(build.store, build.interpreter, self.environment, request, say)
        self._point()

    def _point(self) -> None:
        """Moves the link at once: a running program sees the old environment or the new one, never neither."""
        draft = self._links / "next"
        draft.symlink_to(f"{ENVIRONMENTS}/{self.environment}")
        draft.replace(self._links / Path(PYTHON).name)


def _listen(folder: Path) -> socket.socket:
    """A socket in `folder`, whose path may be longer than a socket's address can be."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
    finally:
        os.close(descriptor)
    listener.listen()
    return listener


def _write_programs(folder: Path, version: str) -> None:
    package = folder / "lib" / "pip"
    package.mkdir(parents=True)
    (package / "ask.py").write_bytes((Path(__file__).parent / "shim" / "ask.py").read_bytes())
    (package / "__init__.py").write_text('"""pip, as the builder serves it."""\n')
    (package / "__main__.py").write_text("import sys\nfrom pip.ask import main\nsys.exit(main('pip', sys.argv[1:]))\n")
    (folder / "bin").mkdir()
    for name in (*_PIPS, f"pip{version}", *PACKAGE_MANAGERS):
        program = folder / "bin" / name
        asked = name if name in PACKAGE_MANAGERS else "pip"
        program.write_text(
            f"#!{PYTHON}/bin/python -IS\nimport sys\nsys.path.insert(0, {f'{SHIM}/lib'!r})\n"
            f"from pip.ask import main\nsys.exit(main({asked!r}, sys.argv[1:]))\n"
        )
        program.chmod(0o755)


def _distributions(environment: Path) -> list[tuple[str, str]]:
    names = [
        path.name.removesuffix(".dist-info") for path in environment.glob("lib/python3*/site-packages/*.dist-info")
    ]
    return sorted((name.partition("-")[0], name.partition("-")[2]) for name in names)


def _file(stream: TextIO, path: str, named: str) -> str:
    _send(stream, {"read": path})
    answer = _receive(stream)
    if "text" not in answer:
        raise Reject("build.run-failed", f"Could not open requirements file {named[:200]!r}: {answer.get('error')}.")
    return str(answer["text"])


def _receive(stream: TextIO) -> dict[str, Any]:
    line = stream.readline(_MAX_MESSAGE)
    message = json.loads(line)
    if not isinstance(message, dict):
        raise TypeError(type(message))
    return message


def _send(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()
