"""The embedded engine as its own process, which a test may kill and start again."""

import json
import os
import subprocess
import sys
from pathlib import Path


class Engine:
    """`python -m kaos.pachd` with its state in a directory; started again it has the same address and state."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        self._directory = directory
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        """Returns when it serves."""
        environment = os.environ | {
            "PACHD_ADDRESS": self.address,
            "PACHD_HOME": str(self._directory / "home"),
            "PACHD_IMAGES": str(self._directory / "images"),
            "PACHD_RUNTIME": "plain",
            **self._settings,
        }
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kaos.pachd"], env=environment, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self._directory / "log").read_text()
        self.address = json.loads(line)["address"]

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def stop(self, *, kill: bool = False) -> None:
        """Ends it in order, or as a power cut would."""
        assert self._process is not None
        assert self._process.stdout is not None
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(timeout=20)
        self._process.stdout.close()
