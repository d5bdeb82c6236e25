"""Why a job failed, in a sentence the user can act on."""

import json
import re
from collections import deque
from collections.abc import Iterable

from shared.events import JobFinished
from shared.runs import Failure

# The builder's last line where it fails on purpose (functions/build/builder).
_BUILDER = "kaos-error: "
# What Pachyderm says before the reason itself; the datum's id means nothing to the user.
_DATUM = re.compile(r"^datum [0-9a-f]+ failed:?\s*")


def failure(job: JobFinished, last_lines: Iterable[str]) -> Failure:
    """The code and the sentence for a failed job, from Pachyderm's reason and the last lines of its log."""
    tail = deque((line for line in last_lines if line.strip()), maxlen=1)
    last = tail[-1] if tail else ""
    if job.stage == "build":
        return _build_failure(job, last)
    reason = _DATUM.sub("", job.reason) or "no reason was given"
    if "out of memory" in reason:
        return Failure(code="train.out-of-memory", message=f"The training ran {reason}.")
    if "signal" in reason:
        return Failure(code="train.killed", message=f"The training was {reason} from outside.")
    said = f" Its last words: {last.strip()[:300]}" if last else " It printed nothing."
    return Failure(code="train.failed", message=f"train ended with {reason}.{said}")


def _build_failure(job: JobFinished, last: str) -> Failure:
    if last.startswith(_BUILDER):
        try:
            told = json.loads(last.removeprefix(_BUILDER))
            return Failure(code=str(told["code"]), message=str(told["message"]))
        except (ValueError, KeyError, TypeError):
            pass  # user code printed something that looks like it
    reason = _DATUM.sub("", job.reason) or "no reason was given"
    return Failure(
        code="build.failed", message=f"The image could not be built: {reason}. `kaos train build-logs` shows the log."
    )
