"""What a build works with on this machine."""

from dataclasses import dataclass
from pathlib import Path

from functions.build.builder.interpreter import Interpreter
from shared.errors import Reject
from shared.images import ImageStore
from shared.sandbox import available


@dataclass(frozen=True)
class Toolchain:
    """Where images are kept, the interpreter that FROM chose, and whether foreign programs run in a sandbox.

    Without a sandbox (`sandboxed` is false) a RUN does only what `plain` can do itself.
    """

    store: ImageStore
    interpreter: Interpreter
    sandboxed: bool = True

    @property
    def python(self) -> Path:
        """The interpreter's program."""
        return self.interpreter.path

    def check_sandbox(self) -> None:
        """For when something failed: raises Reject `build.no-sandbox` where it failed for want of a sandbox."""
        reason = available(self.store.root / "scratch") if self.sandboxed else None
        if reason:
            raise Reject(
                "build.no-sandbox",
                f"What a Dockerfile runs needs a sandbox. {reason} Or do without isolation: kaos up --runtime plain.",
            )
