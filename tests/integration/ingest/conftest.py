"""Ingest over a real object store, a real NATS and the embedded engine; each test has a workspace of its own."""

import asyncio
import os
import secrets
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ulid import ULID

from functions.ingest.handler import ingest
from shared.bucket import Bucket
from shared.bus import Bus
from shared.events import Event, ObjectCreated, new_event
from shared.names import PartKind, strip_suffix, submission_key
from shared.pachyderm import Pachyderm, commit_of
from shared.runs import Part, Run, Runs
from shared.settings import Settings
from shared.workspaces import ensure
from tests.integration.engine import Engine


@dataclass(frozen=True)
class Inbox:
    """What a person does (submit, drop), what a store does (tell), and ingest itself."""

    workspace: str
    settings: Settings
    bus: Bus
    runs: Runs
    bucket: Bucket
    pachyderm: Pachyderm

    async def submit(self, **filenames: str) -> Run:
        """As the gateway records a submission of these kinds."""
        await ensure(self.pachyderm, self.bus, self.workspace)
        run = str(ULID()).lower()
        parts: dict[Any, Part] = {
            kind: Part(kind=kind, name=strip_suffix(name), key=submission_key(self.workspace, kind, run, name))
            for kind, name in filenames.items()
        }
        made = Run(workspace=self.workspace, id=run, created=datetime.now(UTC), expected=tuple(parts), parts=parts)
        assert await self.runs.create(made)
        return made

    async def drop(self, kind: PartKind, name: str, body: bytes, **metadata: str) -> Event[ObjectCreated]:
        """Puts a bare object; its notification."""
        return await self.put(f"{self.workspace}/{kind}/{name}", body, **metadata)

    async def put(self, key: str, body: bytes, **metadata: str) -> Event[ObjectCreated]:
        """Puts an object; its notification, without metadata, as JuiceFS and AWS send it."""
        inbox = self.settings.inbox_bucket
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        stored = await self.bucket.call(
            lambda client: client.put_object(Bucket=inbox, Key=key, Body=body, Metadata=named)
        )
        return tell(
            ObjectCreated(
                workspace=self.workspace,
                bucket=inbox,
                key=key,
                size=len(body),
                etag=stored["ETag"].strip('"'),
                sequencer=f"{time.time_ns():016X}",
            )
        )

    async def ingest(self, event: Event[ObjectCreated]) -> None:
        """One delivery of the event."""
        await ingest(
            event,
            pachyderm=self.pachyderm,
            runs=self.runs,
            bus=self.bus,
            bucket=self.bucket,
            settings=self.settings,
        )

    async def only_run(self) -> Run:
        [run] = await self.runs.list(self.workspace)
        return run

    async def commits(self, kind: PartKind) -> list[Any]:
        """All commits of bundles, open ones too, newest first."""
        found = await self.pachyderm.call(
            lambda client: list(client.list_commit(kind, project_name=self.workspace, all=True))
        )
        return [info for info in found if "kaos-run" in info.description]

    async def files(self, kind: PartKind, commit: str) -> dict[str, bytes]:
        """Path and content of every file."""

        def work(client: Any) -> dict[str, bytes]:
            at = commit_of(self.workspace, kind, commit)
            # The client raises StopIteration for the content of an empty file.
            return {
                info.file.path: client.get_file(at, info.file.path).read() if info.size_bytes else b""
                for info in client.walk_file(at, "/")
                if not info.file.path.endswith("/")
            }

        return await self.pachyderm.call(work)

    async def heads(self, kind: PartKind) -> dict[str, str]:
        """Branch → commit."""
        found = await self.pachyderm.call(lambda client: list(client.list_branch(kind, project_name=self.workspace)))
        return {info.branch.name: info.head.id for info in found}


def tell(data: ObjectCreated) -> Event[ObjectCreated]:
    return new_event(data, source="test")


def told_differently(event: Event[ObjectCreated]) -> Event[ObjectCreated]:
    """The same object, as another target of the store (or the sweep) tells of it."""
    return tell(event.data.model_copy(update={"sequencer": secrets.token_hex(8)}))


@pytest.fixture
async def inbox(bus: Bus, bucket: Bucket, pachyderm: Pachyderm, store_settings: Settings) -> Inbox:
    name = f"ws-{secrets.token_hex(4)}"
    return Inbox(name, store_settings, replace(bus, source="ingest"), await bus.runs(), bucket, pachyderm)


@pytest.fixture
async def server(inbox: Inbox, engine: Engine, nats_url: str) -> AsyncIterator[Process]:
    """`python -m kaos.serve ingest`, which takes the events of this test's inbox from NATS."""
    settings = inbox.settings
    environment = os.environ | {
        "KAOS_NATS_URL": nats_url,
        "KAOS_S3_ENDPOINT": settings.s3_endpoint,
        "KAOS_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "KAOS_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "KAOS_INBOX_BUCKET": settings.inbox_bucket,
        "KAOS_PACHYDERM_ADDRESS": engine.address,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kaos.serve", "ingest"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def together(*works: Any) -> list[BaseException | None]:
    """What each has raised, if anything."""
    return await asyncio.gather(*works, return_exceptions=True)
