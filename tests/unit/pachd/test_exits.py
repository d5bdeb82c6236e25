"""How an end is told."""

import pytest

from kaos.pachd.runtimes.cgroups import Usage
from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.exits import LastLine, exit_of
from kaos.pachd.runtimes.process import Ended
from shared.quantities import readable

GIB = 2**30


@pytest.mark.parametrize(
    ("status", "killed", "timed_out", "code", "reason"),
    [
        (0, 0, False, 0, ""),
        # A process that was killed for memory is the program's own business where it copes.
        (0, 1, False, 0, ""),
        (1, 0, False, 1, "exit code 1"),
        (1, 1, False, 1, "out of memory: used more than 1 GiB"),
        (137, 1, False, 137, "out of memory: used more than 1 GiB"),
        (-9, 0, False, 137, "killed by signal 9 (SIGKILL)"),
        (143, 0, False, 143, "killed by signal 15 (SIGTERM)"),
        (128, 0, False, 128, "exit code 128"),
        (200, 0, False, 200, "exit code 200"),
        (-9, 1, True, 137, "timed out after 60 s"),
    ],
)
def test_reasons(status: int, killed: int, timed_out: bool, code: int, reason: str) -> None:
    ended = Ended(status, timed_out=timed_out, cpu_seconds=None)
    told = exit_of(ended, Usage(None, None, killed), Limits(memory=GIB, seconds=60))
    assert (told.code, told.reason) == (code, reason)


def test_without_a_limit_the_machine_ran_out_and_not_the_training() -> None:
    told = exit_of(Ended(137, timed_out=False, cpu_seconds=None), Usage(None, None, 1), Limits())
    assert told.reason == "killed by signal 9 (SIGKILL)"


def test_the_cost_is_the_cgroups_where_there_is_one() -> None:
    ended = Ended(0, timed_out=False, cpu_seconds=1.0)
    assert exit_of(ended, Usage(2.0, 3, 0), Limits()).cpu_seconds == 2.0
    assert exit_of(ended, Usage(None, None, 0), Limits()).cpu_seconds == 1.0


@pytest.mark.parametrize(
    ("count", "text"),
    [(512 * 2**20, "512 MiB"), (10**9, "953.7 MiB"), (3 * GIB // 2, "1.5 GiB"), (2**40, "1 TiB"), (100, "100 B")],
)
def test_sizes(count: int, text: str) -> None:
    assert readable(count) == text


def test_the_last_line_is_found_in_pieces_of_any_size() -> None:
    heard = bytearray()
    last = LastLine(heard.extend)
    for piece in (b"x" * 10_000, b"\nbwrap: no such", b" file\n", b"\n"):
        last(piece)
    assert str(last) == "bwrap: no such file"
    assert len(heard) == 10_022
    assert str(LastLine(heard.extend)) == "no reason was given"
