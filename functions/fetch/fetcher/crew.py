"""Fetches all files of a shard, several at a time, until all are there or one can't be."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from functions.fetch.fetcher.download import Stopped, Tools, download
from functions.fetch.fetcher.progress import Progress
from functions.fetch.fetcher.settings import Settings
from functions.fetch.fetcher.web import Web
from shared.errors import Reject
from shared.manifests import Line, read

# How often stalled connections are looked for, and progress is.
_TICK_SECONDS: Final = 0.25


def fetch(shard: Path, out: Path, settings: Settings, say: Callable[[str], None]) -> None:
    """Brings every file that `shard` (a file, or a directory of them) names below `out`.

    `say` gets the lines of the log. Raises KaosError `fetch.…` or `manifest.…`; OSError where the disk fails.
    """
    lines = [line for path in _shards(shard) for _, line in read(path)]
    if not lines:
        raise Reject("manifest.empty", f"There is nothing to fetch in {shard}.")
    out.mkdir(parents=True, exist_ok=True)
    drafts = Path(tempfile.mkdtemp(prefix=".kaos-fetch-", dir=out))
    tools = Tools(Web(settings.allow, settings.patience), settings, Progress(len(lines), say), threading.Event())
    try:
        _work(lines, drafts, out, tools)
        tools.progress.end()
    finally:
        tools.web.close()
        shutil.rmtree(drafts, ignore_errors=True)


def _shards(given: Path) -> list[Path]:
    return sorted(given.glob("*.mf")) if given.is_dir() else [given]


def _work(lines: list[Line], drafts: Path, out: Path, tools: Tools) -> None:
    """Each thread takes the next line as it gets free; the first failure stops them all, and is raised."""
    left, lock = iter(enumerate(lines)), threading.Lock()

    def take() -> Iterator[tuple[int, Line]]:
        while not tools.stop.is_set():
            with lock:
                taken = next(left, None)
            if taken is None:
                return
            yield taken

    def work() -> None:
        for number, line in take():
            download(line, drafts / str(number), out / line.path, tools)

    count = min(tools.settings.connections, len(lines))
    with ThreadPoolExecutor(count, thread_name_prefix="fetch") as pool:
        try:
            _watch([pool.submit(work) for _ in range(count)], tools)
        finally:
            tools.stop.set()
            tools.web.cut_all()


def _watch(workers: list[Future[None]], tools: Tools) -> None:
    pending = set(workers)
    while pending:
        done, pending = wait(pending, timeout=_TICK_SECONDS, return_when=FIRST_EXCEPTION)
        failures = [error for worker in done if (error := worker.exception()) is not None]
        for failure in failures:
            if not isinstance(failure, Stopped):
                raise failure
        tools.web.cut_stalled()
        tools.progress.tick()
