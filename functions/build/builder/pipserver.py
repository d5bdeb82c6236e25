"""The `pip` that a sandboxed RUN finds: programs that ask this server, outside the sandbox, to do it."""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any, TextIO

from functions.build.builder.pip import PACKAGE_MANAGERS, PROGRAMS, Pip, refuse_package_manager
from functions.build.builder.toolchain import Toolchain
from shared.errors import KaosError, Reject
from shared.sandbox import Bind
from shared.skeleton import ENVIRONMENTS, PYTHON, SHIM

# A message of the sandbox: a requirement file is far smaller.
_MAX_MESSAGE = 8 * 2**20
# What apt-get itself ends with when it fails.
_REFUSED_STATUS = 100


class PipServer:
    """Answers the programs of one RUN. `error` is the last refusal."""

    def __init__(self, tools: Toolchain, environment: str, directory: Path) -> None:
        self.error: KaosError | None = None
        self._pip = Pip(tools, environment)
        self._store = tools.store
        self._links = directory / "python"
        self._shim = directory / "shim"
        self._one_at_a_time = threading.Lock()
        _write_programs(self._shim, tools.python.name.removeprefix("python"))
        self._links.mkdir()
        self._point()
        self._listener = _listen(self._shim)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def environment(self) -> str:
        """Where installs have led."""
        return self._pip.environment

    def binds(self) -> tuple[Bind, ...]:
        """What the sandbox shows, read-only."""
        return (
            Bind(self._shim, SHIM),
            Bind(self._links, str(Path(PYTHON).parent)),
            Bind(self._store.root / "environments", ENVIRONMENTS),
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
                raise refuse_package_manager(program)
            status = self._pip.answer(argv, say, lambda path: _file(stream, str(Path(cwd, path)), path))
            self._point()
        except KaosError as error:
            self.error = error
            say(f"ERROR: {error}\n")
            return _REFUSED_STATUS if program in PACKAGE_MANAGERS else 1
        return status

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
    for name in (*PROGRAMS, f"pip{version}", *PACKAGE_MANAGERS):
        program = folder / "bin" / name
        asked = name if name in PACKAGE_MANAGERS else "pip"
        program.write_text(
            f"#!{PYTHON}/bin/python -IS\nimport sys\nsys.path.insert(0, {f'{SHIM}/lib'!r})\n"
            f"from pip.ask import main\nsys.exit(main({asked!r}, sys.argv[1:]))\n"
        )
        program.chmod(0o755)


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
