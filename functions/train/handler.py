"""Woken by whatever may complete a run's inputs: its last commit, its image, its data. Launches one training job."""

from collections.abc import Callable
from functools import partial

from python_pachyderm import Client

from functions.train.inputs import Inputs, Missing, point_at_fetched, point_at_image, resolve
from functions.train.pipeline import create_pipeline, move_heads, pipeline_name
from shared.bus import Bus
from shared.errors import NotFound, Reject
from shared.events import CommitFinished, Event, JobFinished, Stage
from shared.function import function
from shared.jobs import Jobs
from shared.launch import launch
from shared.names import PartKind
from shared.pachyderm import Pachyderm
from shared.progress import advance
from shared.runs import FINAL, Run, Runs
from shared.runs import Inputs as UsedInputs
from shared.trainings import fingerprint


@function(wakes_on=CommitFinished, consumer="train-commits")
async def on_commit(event: Event[CommitFinished], *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus) -> None:
    """A data or params bundle is committed. Raises Reject `bundle.commit` where the commit has an error."""
    commit = event.data
    if commit.error:
        raise Reject("bundle.commit", f"The {commit.repo} bundle could not be stored: {commit.error}.")
    run = await runs.update(
        commit.workspace,
        commit.run,
        lambda record: record.commit_part(commit.repo, commit.commit, commit.bundle),
    )
    await _train(run, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)
    await _wake_waiting(run, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)


@function(wakes_on=JobFinished, consumer="train-jobs")
async def on_job(event: Event[JobFinished], *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus) -> None:
    """An image is built, or data fetched (what becomes of a failure, function logs tells): the workspace's newest."""
    job = event.data
    if job.outcome != "succeeded":
        return

    def succeeded(record: Run) -> None:
        record.stage(job.stage).state = "succeeded"

    for name in job.runs:
        run = await runs.get(job.workspace, name)
        await pachyderm.call(partial(_point, job, run))
        run = await runs.update(job.workspace, name, succeeded)
        await _train(run, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)
        await _wake_waiting(run, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)


def _point(job: JobFinished, run: Run, client: Client) -> None:
    if run.stage(job.stage).skipped:
        return  # a retry took it over from an earlier run: newer ones may have come since
    if job.stage == "build":
        point_at_image(client, job.workspace, job.job)
    else:
        point_at_fetched(client, run)


def _is_ready(run: Run) -> bool:
    """Whether all that the run itself brings is there."""
    made: tuple[tuple[PartKind, Stage], ...] = (("source", "build"), ("manifest", "fetch"))
    return run.complete() and all(run.stage(stage).state == "succeeded" for kind, stage in made if kind in run.expected)


async def _train(run: Run, *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus) -> None:
    """Launches the training of `run` as soon as all its inputs are there."""
    if run.state in FINAL or not _is_ready(run):
        return
    inputs = await pachyderm.call(lambda client: resolve(client, run))
    if isinstance(inputs, Missing):
        await (await bus.waiting()).add(run.workspace, run.id)
        await advance(bus, runs, run.workspace, run.id, "waiting")
        # What is missing may have come between the look and the note that this run waits for it, when whoever
        # brought it did not see anybody waiting: look once more.
        inputs = await pachyderm.call(lambda client: resolve(client, run))
    if isinstance(inputs, Inputs):
        await _train_on(run, inputs, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)


async def _train_on(run: Run, inputs: Inputs, *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus) -> None:
    """Launches the training, unless an earlier run has trained the same and nobody insists on doing it again."""
    known_by = fingerprint((inputs.digest, inputs.data.content, inputs.params.content), run.options)

    def note(record: Run) -> None:
        record.fingerprint = known_by
        record.inputs = UsedInputs(
            source=inputs.image.bundle, data=inputs.data.bundle, params=inputs.params.bundle, image=inputs.digest
        )

    earlier = None if run.force or run.train.job else await _earlier(run, known_by, runs, bus)
    if earlier is not None:

        def adopt(record: Run) -> None:
            note(record)
            _adopt(record, earlier)

        await advance(bus, runs, run.workspace, run.id, "succeeded", adopt)
    else:
        await _launch(run, inputs, note, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)
    await (await bus.waiting()).remove(run.workspace, run.id)


async def _launch(
    run: Run,
    inputs: Inputs,
    note: Callable[[Run], None],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
    bus: Bus,
) -> None:
    # A retry trains where Pachyderm knows which trials were done.
    pipeline = run.train.pipeline or pipeline_name(
        inputs.digest, run.options, data=inputs.data.repo, again=run.id if run.force else ""
    )
    heads = partial(move_heads, workspace=run.workspace, pipeline=pipeline, inputs=inputs)
    create = partial(create_pipeline, workspace=run.workspace, pipeline=pipeline, inputs=inputs, options=run.options)
    run = await advance(bus, runs, run.workspace, run.id, "training", note)
    if run.state not in FINAL:
        await launch(run, "train", pipeline, heads, create, pachyderm=pachyderm, runs=runs, jobs=jobs)


async def _earlier(run: Run, known_by: str, runs: Runs, bus: Bus) -> Run | None:
    """The run that has trained the same, where its models are still there."""
    name = await (await bus.trained()).find(run.workspace, known_by)
    if not name or name == run.id:
        return None
    try:
        earlier = await runs.get(run.workspace, name)
    except NotFound:
        return None
    return earlier if earlier.state == "succeeded" else None


def _adopt(record: Run, earlier: Run) -> None:
    """The models of `record` are those of `earlier`."""
    record.same_as = earlier.same_as or earlier.id
    record.train = earlier.train.model_copy(update={"skipped": True})
    record.trial_count = earlier.trial_count


async def _wake_waiting(run: Run, *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus) -> None:
    """Starts the runs of this workspace that waited for what `run` has brought."""
    waiting = await bus.waiting()
    for name in await waiting.of(run.workspace):
        if name == run.id:
            continue
        other = await runs.get(run.workspace, name)
        if other.state in FINAL:
            await waiting.remove(run.workspace, name)
        elif other.state == "waiting":
            await _train(other, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)
