"""Reads a run record for people: which stage it is in, since when, and how long that took."""

from datetime import UTC, datetime

from kaos.cli.terminal import moment
from kaos.cli.wire import FINAL, Job, Run

_INGESTING = frozenset({"received", "ingesting"})


def stage(run: Run) -> str:
    """`ingesting`, `building` or `training`: where the run is, or where it ended."""
    if run["state"] in _INGESTING:
        return "ingesting"
    if run["state"] == "building":
        return "building"
    if run["state"] in {"waiting", "training"} or run["train"]["job"]:
        return "training"
    return "building" if run["build"]["job"] else "ingesting"


def job(run: Run) -> str:
    """The id of the stage's job; of the run itself while it has none."""
    return {"ingesting": run["id"], "building": run["build"]["job"], "training": run["train"]["job"]}[
        stage(run)
    ] or run["id"]


def started(run: Run) -> str:
    """When the stage's job began, else when the run was submitted (ISO 8601)."""
    current = {"building": run["build"], "training": run["train"]}.get(stage(run))
    return (current and current["started"]) or run["created"]


def seconds(run: Run) -> float:
    """How long the whole run took, or has taken until now."""
    return span(run["created"], ended(run))


def ended(run: Run) -> str | None:
    """When the run became final (ISO 8601); None while it is not."""
    return run["times"].get(run["state"]) if run["state"] in FINAL else None


def job_seconds(job: Job) -> float | None:
    """How long a job took, or has taken until now; None where it has not begun."""
    return span(job["started"], job["finished"]) if job["started"] else None


def span(begin: str, end: str | None) -> float:
    """Seconds between two ISO 8601 times; until now where there is no second."""
    return ((moment(end) if end else datetime.now(UTC)) - moment(begin)).total_seconds()


def succeeded(run: Run) -> bool:
    """Whether the run ended well."""
    return run["state"] == "succeeded"
