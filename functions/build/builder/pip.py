"""What `pip` means in a RUN: an install makes another environment beside the one before, and leads to it."""

from collections.abc import Callable
from pathlib import Path

from functions.build.builder import environments, requirements
from functions.build.builder.dockerfile import WAY_OUT
from functions.build.builder.toolchain import Toolchain
from shared.errors import Reject
from shared.skeleton import PYTHON

# What would change the system that an image stands on: here that is this machine's own.
PACKAGE_MANAGERS = ("apt-get", "apt", "aptitude", "dpkg", "apk", "yum", "dnf", "microdnf", "conda", "mamba")
PROGRAMS = ("pip", "pip3")


class Pip:
    """Answers the `pip` commands of one RUN. `environment` is where installs have led."""

    def __init__(self, tools: Toolchain, environment: str) -> None:
        self.environment = environment
        self._tools = tools

    def answer(self, argv: list[str], say: Callable[[str], None], read: requirements.Reader) -> int:
        """The exit status of `pip ARGV`; `read` gives the text of a file that it names.

        Raises Reject `build.…` or Unreachable `build.network`.
        """
        command = next((word for word in argv if not word.startswith("-")), "")
        rest = [word for word in argv if word != command]
        if command == "install":
            self._install(requirements.parse(rest, read), say)
        elif command in ("list", "freeze"):
            say("".join(f"{name}=={version}\n" for name, version in self._distributions()))
        elif command == "show":
            wanted = [word.lower() for word in rest]
            found = [(name, version) for name, version in self._distributions() if name.lower() in wanted]
            say("---\n".join(f"Name: {name}\nVersion: {version}\n" for name, version in found))
            return 0 if found else 1
        elif not command and ("--version" in argv or "-V" in argv):
            say(f"pip, served by uv, from {PYTHON} (python {self._tools.interpreter.version})\n")
        elif command not in ("cache", "check"):
            raise Reject(
                "build.policy", f"pip {command} can't be used in a build: there are install, list, freeze, show."
            )
        return 0

    def _install(self, request: requirements.Request, say: Callable[[str], None]) -> None:
        if request.requirements:
            self.environment = environments.install(self._tools, self.environment, request, say)
        else:
            say("Nothing to install\n")

    def _distributions(self) -> list[tuple[str, str]]:
        environment: Path = self._tools.store.environment(self.environment)
        names = [
            path.name.removesuffix(".dist-info") for path in environment.glob("lib/python3*/site-packages/*.dist-info")
        ]
        return sorted((name.partition("-")[0], name.partition("-")[2]) for name in names)


def refuse_package_manager(program: str) -> Reject:
    """The error of a RUN that would change the system."""
    return Reject("build.policy", f"{program} changes the system, which here is this machine's. {WAY_OUT}")
