"""Remote data: a manifest of 10,000 small files on loopback, and the same with one line more."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import workload
from bench.stack import WORKSPACE, Stack
from bench.table import Figure

_FILES: Final = 10_000
_MOST_SECONDS: Final = 20.0


def measure(stack: Stack) -> Iterator[Figure]:
    """From `kaos train deploy -m` to the end of the training on what was fetched."""
    stack.finished(stack.submit({"source": workload.source(), "data": workload.data(time.time_ns())}))
    with _site() as url, tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "many.mf")
        for name, count in ((f"manifest of {_FILES:,} files", _FILES), ("  and one line more", _FILES + 1)):
            manifest.write_text(
                "".join(json.dumps({"url": f"{url}/{n}", "path": f"part{n % 100}/{n}"}) + "\n" for n in range(count))
            )
            began = time.perf_counter()
            stack.kaos("train", "deploy", "-w", WORKSPACE, "-m", str(manifest), "--follow")
            taken = time.perf_counter() - began
            first = count == _FILES
            yield Figure(
                name,
                f"{taken:.2f} s",
                target=f"≤ {_MOST_SECONDS:g} s" if first else "-",
                met=taken <= _MOST_SECONDS if first else None,
            )


@contextmanager
def _site() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-m", "bench.site"], stdout=subprocess.PIPE, text=True) as site:
        try:
            assert site.stdout is not None
            yield f"http://127.0.0.1:{int(site.stdout.readline())}"
        finally:
            site.terminate()
