"""`python -m kaos.stack REPORT OPTIONS`: the stack in the background, as `kaos up --detach` starts it.

REPORT is the descriptor of a pipe that gets one JSON object, `{}` or `{"error": {"code", "message"}}`, as soon as the
stack is up or will never be. OPTIONS is JSON as well.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from kaos.stack.servers import Engine
from kaos.stack.supervisor import Watched
from kaos.stack.up import Options, up
from shared.errors import KaosError


def main(argv: list[str]) -> int:
    """Runs until it is told to stop; returns the exit code."""
    pipe, given = int(argv[0]), json.loads(argv[1])
    options = Options(Path(given["home"]), given["ports"], Engine(**given["engine"]))
    try:
        asyncio.run(up(options, ready=lambda _: _report(pipe, {}), tell=_log))
    except KaosError as error:
        _report(pipe, {"error": {"code": error.code, "message": error.message}})
        return 1
    return 0


def _report(pipe: int, content: object) -> None:
    with os.fdopen(pipe, "w") as file:
        json.dump(content, file)


def _log(watched: Watched, what: str) -> None:
    line = {"timestamp": datetime.now(UTC).isoformat(), "event": "server", "server": watched.server.name, "what": what}
    print(json.dumps(line), flush=True)  # noqa: T201  # its output is the log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
