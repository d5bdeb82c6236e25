"""`python -m kaos.pachd`: serves until SIGTERM or Ctrl-C. Prints one line of JSON when it is ready.

`{"address": "127.0.0.1:PORT", "runtime": "bubblewrap", "how": "Jobs run in …"}`
"""

import asyncio
import json
import signal
import sys
from dataclasses import asdict

import structlog
from pydantic import ValidationError

from kaos.pachd.home import Home, HomeError, open_home
from kaos.pachd.memory import return_large_blocks
from kaos.pachd.runtimes.choose import RuntimeMissing
from kaos.pachd.server import AddressError, serving
from kaos.pachd.settings import Settings


def main() -> int:
    """The exit status: 0 after a signal, 1 where it can't serve and said why."""
    return_large_blocks()
    # Standard output is for the address alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        settings = Settings()
        with open_home(settings.home.absolute()) as home:
            asyncio.run(_serve(settings, home))
            return 0
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("PACHD", *map(str, problem["loc"]))).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
    except (AddressError, HomeError, RuntimeMissing) as error:
        sys.stderr.write(f"{error}\n")
    return 1


async def _serve(settings: Settings, home: Home) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(settings, home) as ready:
        sys.stdout.write(json.dumps(asdict(ready)) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
