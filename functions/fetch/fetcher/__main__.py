"""`python -m functions.fetch.fetcher SHARD OUT_DIR`: the program of a fetch job.

The log goes to stdout; what stops it goes to stderr, its last line `kaos-error: {"code": …, "message": …}`.
"""

import argparse
import errno
import os
import sys
from pathlib import Path

from shared.errors import KaosError, Reject
from shared.last_words import end_by_exception, report, say


def main(argv: list[str]) -> int:
    """The exit status: 0, or 1 with the error as the last line of stderr."""
    parser = argparse.ArgumentParser(prog="python -m functions.fetch.fetcher", description="Fetches remote data.")
    parser.add_argument("shard", type=Path, help="lines of a manifest: a file, or a directory of *.mf")
    parser.add_argument("out", type=Path, help="where the files go")
    arguments = parser.parse_args(argv)
    try:
        _fetch(arguments.shard, arguments.out)
    except KaosError as error:
        return report(error)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return report(Reject("fetch.disk", "The disk is full: free some space on the machine that fetches."))
    return 0


def _fetch(shard: Path, out: Path) -> None:
    from functions.fetch.fetcher.crew import fetch  # noqa: PLC0415 - --help needs none of it
    from functions.fetch.fetcher.settings import read  # noqa: PLC0415

    fetch(shard, out, read(os.environ), say)


if __name__ == "__main__":
    end_by_exception()
    sys.exit(main(sys.argv[1:]))
