"""A manifest's commit makes one job of the pipeline of its name, however often it is told. NATS and engine are real."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from ulid import ULID

from functions.fetch.handler import fetch
from shared.bus import Bus
from shared.errors import Reject
from shared.events import CommitFinished, new_event
from shared.manifests import fetch_pipeline
from shared.pachyderm import Pachyderm, commit_of
from shared.runs import Run
from shared.settings import Settings
from shared.workspaces import ensure

DATA, OTHER = fetch_pipeline("data"), fetch_pipeline("other")


@dataclass(frozen=True)
class Workspace:
    """One with manifests to fetch."""

    name: str
    bus: Bus
    pachyderm: Pachyderm

    async def commit(self, bundle: str, **fields: Any) -> CommitFinished:
        """Stores a manifest as ingest does; what the relay tells of it."""
        run = str(ULID()).lower()
        made = Run(workspace=self.name, id=run, created=datetime.now(UTC), expected=("manifest",))
        await (await self.bus.runs()).create(made)

        def store(client: Any) -> str:
            with client.modify_file_client(commit_of(self.name, "manifest", branch=run)) as files:
                files.put_file_from_bytes("/0123456789abcdef.mf", b"{}\n")
            return str(client.inspect_branch("manifest", run, project_name=self.name).head.id)

        commit = await self.pachyderm.call(store)
        return CommitFinished(workspace=self.name, repo="manifest", commit=commit, run=run, bundle=bundle, **fields)

    async def fetch(self, told: CommitFinished, **settings: str) -> Run:
        """One delivery; the run after it."""
        runs, jobs = await self.bus.runs(), await self.bus.jobs()
        given = {"pachyderm": self.pachyderm, "runs": runs, "jobs": jobs, "bus": self.bus}
        await fetch(new_event(told, source="test"), **given, settings=Settings.model_validate(settings))
        return await runs.get(self.name, told.run)

    async def jobs(self, pipeline: str) -> list[str]:
        listed = await self.pachyderm.call(lambda client: list(client.list_job(pipeline, project_name=self.name)))
        return [job.job.id for job in listed]


@pytest.fixture
async def workspace(bus: Bus, pachyderm: Pachyderm) -> Workspace:
    name = f"fetch-{secrets.token_hex(4)}"
    await ensure(pachyderm, bus, name)
    return Workspace(name, bus, pachyderm)


async def test_a_manifest_makes_one_job_however_often_it_is_told(workspace: Workspace) -> None:
    told = await workspace.commit("data:e23a2f1")
    first, second = await workspace.fetch(told), await workspace.fetch(told)
    assert (first.fetch.pipeline, first.state) == (DATA, "ingesting")
    assert first.fetch == second.fetch
    assert await workspace.jobs(DATA) == [first.fetch.job]
    assert first.parts["manifest"].bundle == "data:e23a2f1"
    owned = await (await workspace.bus.jobs()).get(workspace.name, first.fetch.job)
    assert owned is not None
    assert (owned.stage, owned.launched) == ("fetch", True)


async def test_versions_of_a_manifest_share_a_pipeline_and_other_names_have_their_own(workspace: Workspace) -> None:
    for bundle in ("data:1111111", "other:2222222", "data:3333333"):
        await workspace.fetch(await workspace.commit(bundle))
    assert len(await workspace.jobs(DATA)) == 2
    assert len(await workspace.jobs(OTHER)) == 1


async def test_each_shard_is_a_datum_and_files_lie_under_the_name(workspace: Workspace) -> None:
    await workspace.fetch(await workspace.commit("data:e23a2f1"))
    [info] = await workspace.pachyderm.call(
        lambda client: list(client.inspect_pipeline(DATA, details=True, project_name=workspace.name))
    )
    assert (info.details.input.pfs.glob, info.details.input.pfs.branch) == ("/*", DATA)
    assert list(info.details.transform.cmd)[-2:] == ["/pfs/manifest", "/pfs/out/data"]
    assert info.details.autoscaling


async def test_a_manifest_that_could_not_be_stored_is_told(workspace: Workspace) -> None:
    told = await workspace.commit("data:e23a2f1", error="the disk is full")
    with pytest.raises(Reject, match="the disk is full") as failure:
        await workspace.fetch(told)
    assert failure.value.code == "manifest.commit"


async def test_a_run_that_is_over_fetches_nothing(workspace: Workspace) -> None:
    told = await workspace.commit("data:e23a2f1")
    await (await workspace.bus.runs()).update(workspace.name, told.run, lambda run: run.advance("killed"))
    assert (await workspace.fetch(told)).fetch.job == ""
