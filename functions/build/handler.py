"""Woken by a finished commit in repo `source`: points `source@build` at it, which makes a job of pipeline `build`."""

from functools import partial

from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.bus import Bus
from shared.errors import Reject
from shared.events import CommitFinished, Event
from shared.function import function
from shared.jobs import Jobs
from shared.launch import launch
from shared.pachyderm import Pachyderm, commit_of
from shared.progress import advance
from shared.runs import FINAL, Runs
from shared.settings import Settings

PIPELINE = "build"
# The branch of repo `source` that pipeline `build` reads: its head is the commit built last.
BRANCH = "build"


@function(wakes_on=CommitFinished, consumer="build")
async def build(
    event: Event[CommitFinished],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
    bus: Bus,
    settings: Settings,
) -> None:
    """Launches the build of a source commit, once. Raises Reject `bundle.commit` where the commit has an error."""
    commit = event.data
    if commit.error:
        raise Reject("bundle.commit", f"The source bundle could not be stored: {commit.error}.")
    run = await advance(
        bus,
        runs,
        commit.workspace,
        commit.run,
        "building",
        lambda record: record.commit_part("source", commit.commit, commit.bundle),
    )
    if run.state in FINAL:
        return

    def heads(client: Client) -> None:
        head = commit_of(commit.workspace, "source", commit.commit)
        # A retry builds what the branch may point at already: without a new commit there would be no job.
        again = bool(run.retry_of)
        client.create_branch("source", BRANCH, head, new_commit=again, project_name=commit.workspace)

    create = partial(_create_pipeline, workspace=commit.workspace, image=settings.builder_image)
    await launch(run, "build", PIPELINE, heads, create, pachyderm=pachyderm, runs=runs, jobs=jobs)


def _create_pipeline(client: Client, workspace: str, image: str) -> None:
    client.create_pipeline(
        PIPELINE,
        pps_pb2.Transform(image=image, cmd=["python", "-m", "functions.build.builder", "/pfs/source", "/pfs/out"]),
        project_name=workspace,
        input=pps_pb2.Input(
            pfs=pps_pb2.PFSInput(project=workspace, name="source", repo="source", branch=BRANCH, glob="/*")
        ),
        # A build that failed fails again: the Dockerfile decides. What luck decides, the network, uv retries itself.
        datum_tries=1,
        description="Builds the image of a source bundle.",
    )
