"""Moves a run forward and tells it: first the record, then the event, both harmless to repeat."""

from collections.abc import Callable

from shared.bus import Bus
from shared.errors import Reject
from shared.events import RunChanged, RunState
from shared.runs import FINAL, Failure, Run, Runs


async def advance(  # noqa: PLR0917  # they read in the order of the sentence: who, where, what
    bus: Bus,
    runs: Runs,
    workspace: str,
    run: str,
    state: RunState,
    change: Callable[[Run], object] | None = None,
) -> Run:
    """Applies `change` and moves the run to `state`, unless it is final already; publishes the state it is in.

    A run that is further already stays there: the change is still made. Raises NotFound `run.unknown`.
    """

    def step(record: Run) -> None:
        if record.state in FINAL:
            return
        if change is not None:
            change(record)
        record.advance(state)

    record = await runs.update(workspace, run, step)
    # Published even where nothing moved: an earlier attempt may have died between the record and the event.
    await bus.publish(
        RunChanged(
            workspace=workspace,
            run=run,
            state=record.state,
            code=record.error.code if record.error else "",
            message=record.error.message if record.error else "",
            models=await _models(bus, record),
        )
    )
    return record


async def _models(bus: Bus, run: Run) -> tuple[str, ...]:
    """The models of a run that has its final trials."""
    if not run.trial_count or run.trials_live:
        return ()
    return tuple(trial.model for trial in await (await bus.trials()).of(run) if trial.model)


async def reject(bus: Bus, runs: Runs, workspace: str, run: str, reason: Reject) -> Run:
    """Ends a run whose input can never become a model."""

    def explain(record: Run) -> None:
        record.error = Failure(code=reason.code, message=reason.message)

    return await advance(bus, runs, workspace, run, "rejected", explain)


async def give_up(bus: Bus, runs: Runs, workspace: str, run: str, error: Exception) -> Run:
    """Ends a run that kaos itself can't go on with, whoever's fault that is: a run that hangs tells nobody anything."""
    cause = f"{type(error).__name__}: {error}"

    def explain(record: Run) -> None:
        # Only what is stored can be tried again.
        way_out = "`kaos train retry` tries again" if record.complete() else "Deploy it again"
        record.error = Failure(
            code="internal.given-up",
            message=f"kaos could not go on with this run, and gave up after several attempts ({cause}). {way_out}; "
            "the log of kaos.serve tells more.",
        )

    return await advance(bus, runs, workspace, run, "failed", explain)
