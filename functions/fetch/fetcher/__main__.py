"""`python -m functions.fetch.fetcher SHARD OUT_DIR`: the program of a fetch job.

The log goes to stdout; what stops it goes to stderr, its last line `kaos-error: {"code": …, "message": …}`.
"""

import argparse
import errno
import json
import os
import signal
import sys
from pathlib import Path

from shared.errors import KaosError, Reject


def main(argv: list[str]) -> int:
    """The exit status: 0, or 1 with the error as the last line of stderr."""
    parser = argparse.ArgumentParser(prog="python -m functions.fetch.fetcher", description="Fetches remote data.")
    parser.add_argument("shard", type=Path, help="lines of a manifest: a file, or a directory of *.mf")
    parser.add_argument("out", type=Path, help="where the files go")
    arguments = parser.parse_args(argv)
    try:
        _fetch(arguments.shard, arguments.out)
    except KaosError as error:
        return _report(error)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return _report(Reject("fetch.disk", "The disk is full: free some space on the machine that fetches."))
    return 0


def _fetch(shard: Path, out: Path) -> None:
    from functions.fetch.fetcher.crew import fetch  # noqa: PLC0415 - --help needs none of it
    from functions.fetch.fetcher.settings import read  # noqa: PLC0415

    fetch(shard, out, read(os.environ), _say)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the log of the job is its output


def _report(error: KaosError) -> int:
    sys.stdout.flush()
    print(f"kaos-error: {json.dumps({'code': error.code, 'message': error.message})}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    # A killed fetch leaves by exceptions, so that its drafts are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
