"""One supervisor for each home, and the kernel's word for who it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kaos.stack.home import Home, prepare
from kaos.stack.lock import held, holder

ASK = "import sys; from pathlib import Path; from kaos.stack import lock, home; h = home.Home(Path(sys.argv[1])); "


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return prepare(tmp_path)


def elsewhere(home: Home, program: str) -> str:
    """What another process says: a lock is no obstacle to the one that holds it."""
    command = [sys.executable, "-c", ASK + program, str(home.root)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_it_names_the_process_that_holds_it(home: Home) -> None:
    assert holder(home) is None
    with held(home):
        assert elsewhere(home, "print(lock.holder(h))") == str(os.getpid())
    assert elsewhere(home, "print(lock.holder(h))") == "None"


def test_a_second_one_is_refused_with_the_first_ones_process(home: Home) -> None:
    program = """
try:
    lock.held(h).__enter__()
except Exception as error:
    print(error.code, error)
"""
    with held(home):
        told = elsewhere(home, f"exec({program!r})")

    assert told.startswith("stack.running")
    assert f"process {os.getpid()}" in told
