"""Reads a run record for people: which stage it is in, since when, and how long that took."""

from datetime import UTC, datetime
from typing import Final

from kaos.cli.terminal import moment
from kaos.cli.wire import FINAL, Job, Run, Stage

STAGES: Final[tuple[Stage, ...]] = ("fetch", "build", "train")
_INGESTING: Final = frozenset({"received", "ingesting"})
# The state that a run enters when the stage's job is launched.
_ENTERED: Final[dict[Stage, str]] = {"fetch": "ingesting", "build": "building", "train": "training"}


def stage(run: Run) -> str:
    """`ingesting`, `building` or `training`: where the run is, or where it ended."""
    if run["state"] in _INGESTING:
        return "ingesting"
    if run["state"] == "building":
        return "building"
    if fetch_failed(run):
        return "ingesting"
    if run["state"] in {"waiting", "training"} or run["train"]["job"]:
        return "training"
    return "building" if run["build"]["job"] else "ingesting"


def job(run: Run) -> str:
    """The id of the stage's job; of the run itself while it has none."""
    return _jobs(run)[stage(run)]["job"] or run["id"]


def started(run: Run) -> str:
    """When the stage's job began, else when the run was submitted (ISO 8601)."""
    return _jobs(run)[stage(run)]["started"] or run["created"]


def fetch_failed(run: Run) -> bool:
    """Whether the run ended while its data was fetched."""
    return run["state"] in FINAL and run["fetch"]["state"] not in {"", "succeeded"}


def seconds(run: Run) -> float:
    """How long the whole run took, or has taken until now."""
    return span(run["created"], ended(run))


def ended(run: Run) -> str | None:
    """When the run became final (ISO 8601); None while it is not."""
    return run["times"].get(run["state"]) if run["state"] in FINAL else None


def begun(run: Run, name: Stage) -> str | None:
    """When a stage's job began (ISO 8601); None where it has not.

    The record tells exactly once the job is over: until then, when the run came to it.
    """
    job = run[name]
    if job["started"] or not job["job"] or job["state"]:
        return job["started"]
    return run["times"].get(_ENTERED[name])


def job_seconds(run: Run, name: Stage) -> float | None:
    """How long a stage's job took, or has taken until now; None where it has not begun."""
    start = begun(run, name)
    return span(start, run[name]["finished"]) if start else None


def working_seconds(run: Run) -> float:
    """How long at least one of the run's jobs was at work: an image may be built while data is fetched."""
    total, now, until = 0.0, datetime.now(UTC), moment(run["created"])
    spans = ((begun(run, name), run[name]["finished"]) for name in STAGES)
    for start, end in sorted((moment(start), moment(end) if end else now) for start, end in spans if start):
        total += max((end - max(start, until)).total_seconds(), 0.0)
        until = max(until, end)
    return total


def span(begin: str, end: str | None) -> float:
    """Seconds between two ISO 8601 times; until now where there is no second."""
    return ((moment(end) if end else datetime.now(UTC)) - moment(begin)).total_seconds()


def succeeded(run: Run) -> bool:
    """Whether the run ended well."""
    return run["state"] == "succeeded"


def _jobs(run: Run) -> dict[str, Job]:
    """The job of each stage of the list."""
    return {"ingesting": run["fetch"], "building": run["build"], "training": run["train"]}
