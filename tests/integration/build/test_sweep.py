"""Which images the sweep spares: those that builds have reported, or pipelines run, in any project of the engine."""

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.build import sweep
from shared.images import Image, ImageStore
from shared.pachyderm import Pachyderm, commit_of
from shared.settings import Settings


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
async def project(pachyderm: Pachyderm) -> str:
    """A workspace that has built something."""
    name = f"sweep-{secrets.token_hex(4)}"

    def make(client: Client) -> None:
        client.create_project(name)
        for repo in ("build", "in"):
            client.create_repo(repo, project_name=name)

    await pachyderm.call(make)
    return name


def put(store: ImageStore, name: str, *, old: bool = True) -> str:
    """An image; its digest."""
    image = Image.sealed(layers=(), environment=None, python="/usr/bin/python3", env={"NAME": name})
    store.put(image)
    if old:
        os.utime(store.root / "images" / f"{image.digest}.json", (0, 0))
    return image.digest


def digests(store: ImageStore) -> set[str]:
    return {image.digest for _, image in store.every()}


async def swept(pachyderm: Pachyderm, store: ImageStore) -> set[str]:
    """The images that are left once one more, which nobody names, is gone."""
    unnamed = put(store, secrets.token_hex(4))
    task = asyncio.create_task(sweep.keep_sweeping(pachyderm=pachyderm, store=store, settings=Settings()))
    async with asyncio.timeout(10):
        while unnamed in digests(store):  # noqa: ASYNC110  # files tell nobody that they are gone
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return digests(store)


def report(client: Client, project: str, content: bytes) -> None:
    with client.modify_file_client(commit_of(project, "build", branch="master")) as files:
        files.delete_file("/image.json")
        files.put_file_from_bytes("/image.json", content)


async def test_images_of_all_builds_and_pipelines_stay_as_long_as_these(
    pachyderm: Pachyderm, images: ImageStore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_FIRST_SECONDS", 0.0)
    first, newest, run, young = (put(images, name, old=name != "young") for name in ("1", "2", "run", "young"))

    def make(client: Client) -> None:
        for digest in (first, newest):
            report(client, project, json.dumps({"digest": digest}).encode())
        report(client, project, b"[]")
        report(client, project, b"no JSON")
        client.create_pipeline(
            "train-1",
            pps_pb2.Transform(image=f"mnist@sha256:{run}", cmd=["true"]),
            input=pps_pb2.Input(pfs=pps_pb2.PFSInput(project=project, repo="in", glob="/*")),
            project_name=project,
        )

    await pachyderm.call(make)
    assert await swept(pachyderm, images) == {first, newest, run, young}

    def remove(client: Client) -> None:
        client.delete_pipeline("train-1", project_name=project)
        for repo in ("in", "build"):
            client.delete_repo(repo, project_name=project)
        client.delete_project(project)

    await pachyderm.call(remove)
    assert await swept(pachyderm, images) == {first, newest, run, young}, "they were named a moment ago"
    for path, _ in images.every():
        os.utime(path, (0, 0))
    assert await swept(pachyderm, images) == set()


async def test_where_pachyderm_can_not_be_asked_nothing_is_removed(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_FIRST_SECONDS", 0.0)
    asked = asyncio.Event()

    class Away:
        async def call(self, _: object) -> None:
            asked.set()
            raise ConnectionError

    kept = put(images, "kept")
    away: Any = Away()
    task = asyncio.create_task(sweep.keep_sweeping(pachyderm=away, store=images, settings=Settings()))
    await asyncio.wait_for(asked.wait(), 5)
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    assert digests(images) == {kept}
