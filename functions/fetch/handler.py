"""Woken by a finished commit in repo `manifest`: makes a job of the pipeline that fetches the manifests of its name."""

from functools import partial
from typing import Final

from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.bus import Bus
from shared.errors import Reject
from shared.events import CommitFinished, Event
from shared.function import function
from shared.jobs import Jobs
from shared.launch import launch
from shared.manifests import fetch_pipeline
from shared.pachyderm import Pachyderm, commit_of
from shared.progress import advance
from shared.runs import FINAL, Runs
from shared.settings import Settings

# Shards that are fetched side by side, each over several connections: more would only divide the same line.
_PARALLELISM: Final = 4
# What the fetcher reads of its environment, as keys of the secret that brings it (functions/fetch/fetcher/settings.py).
_SECRET_KEYS: Final = (
    *("KAOS_FETCH_ALLOW", "KAOS_FETCH_BUCKETS", "KAOS_FETCH_CONNECTIONS", "KAOS_FETCH_PATIENCE_SECONDS"),
    *("KAOS_FETCH_MAX_FILE_BYTES", "KAOS_FETCH_MAX_TOTAL_BYTES"),
    *("KAOS_S3_ENDPOINT", "KAOS_S3_REGION", "KAOS_S3_ACCESS_KEY", "KAOS_S3_SECRET_KEY"),
)


@function(wakes_on=CommitFinished, consumer="fetch")
async def fetch(
    event: Event[CommitFinished],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
    bus: Bus,
    settings: Settings,
) -> None:
    """Launches the fetching of a manifest, once. Raises Reject `manifest.commit` where the commit has an error."""
    commit = event.data
    if commit.error:
        raise Reject("manifest.commit", f"The manifest could not be stored: {commit.error}.")
    run = await advance(
        bus,
        runs,
        commit.workspace,
        commit.run,
        "ingesting",
        lambda record: record.commit_part("manifest", commit.commit, commit.bundle),
    )
    if run.state in FINAL:
        return
    name = commit.bundle.rpartition(":")[0]
    pipeline = fetch_pipeline(name)

    def heads(client: Client) -> None:
        head = commit_of(commit.workspace, "manifest", commit.commit)
        # A retry fetches what the branch may point at already: without a new commit there would be no job.
        again = bool(run.retry_of)
        client.create_branch("manifest", pipeline, head, new_commit=again, project_name=commit.workspace)

    create = partial(_create_pipeline, workspace=commit.workspace, pipeline=pipeline, name=name, settings=settings)
    await launch(run, "fetch", pipeline, heads, create, pachyderm=pachyderm, runs=runs, jobs=jobs)


def _create_pipeline(client: Client, workspace: str, pipeline: str, name: str, settings: Settings) -> None:
    """Makes each shard of the manifest a datum: Pachyderm skips those that the version before had too."""
    client.create_pipeline(
        pipeline,
        pps_pb2.Transform(
            image=settings.fetcher_image,
            # The folder is named for the manifest and not for its content, or all paths would change with any line.
            cmd=["python", "-m", "functions.fetch.fetcher", "/pfs/manifest", f"/pfs/out/{name}"],
            secrets=_secrets(settings.fetch_secret),
        ),
        project_name=workspace,
        input=pps_pb2.Input(
            pfs=pps_pb2.PFSInput(project=workspace, name="manifest", repo="manifest", branch=pipeline, glob="/*")
        ),
        parallelism_spec=pps_pb2.ParallelismSpec(constant=_PARALLELISM),
        # What luck decides, the network, the fetcher tries again itself.
        datum_tries=1,
        # On a cluster, the pipelines of manifests that nobody changes have no workers.
        autoscaling=True,
        description=f"Fetches the data that manifest {name} names.",
    )


def _secrets(secret: str) -> list[pps_pb2.SecretMount]:
    return [pps_pb2.SecretMount(name=secret, key=key, env_var=key) for key in _SECRET_KEYS] if secret else []
