"""Gives back the disk of images that no workspace has built: those of workspaces that are gone, and failed builds'."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import grpc
import structlog
from python_pachyderm import Client

from functions.build.builder.garbage import collect
from functions.build.handler import PIPELINE
from shared.cancellation import raise_if_cancelled
from shared.images import ImageStore
from shared.pachyderm import Pachyderm, commit_of, details, is_code
from shared.settings import Settings

# At the start others need the machine.
_FIRST_SECONDS: Final = 300.0
# What is removed was not used for days: there is no hurry, and 10,000 builds take seconds to list.
_PAUSE_SECONDS: Final = 6 * 3600.0
# Builds mostly take seconds.
_BUSY_SECONDS: Final = 60.0
_DAY_SECONDS: Final = 24 * 3600.0
_REPORT: Final = "/image.json"

log = structlog.get_logger()


async def keep_sweeping(*, pachyderm: Pachyderm, store: ImageStore, settings: Settings) -> None:
    """Looks every few hours, until cancelled. The store must be used by this Pachyderm's jobs alone."""
    built: dict[str, str] = {}
    pause = _FIRST_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = _PAUSE_SECONDS
        try:
            named = await pachyderm.call(lambda client: frozenset(_named(client, built)))
            older_than = time.time() - settings.images_keep_days * _DAY_SECONDS
            collected = await asyncio.to_thread(collect, store, named, older_than)
        except (grpc.RpcError, OSError, ValueError) as error:  # the last: a record that a failing disk has damaged
            log.warning("images.sweep-failed", error=details(error))
        else:
            if collected is None:
                pause = _BUSY_SECONDS
            else:
                log.info("images.swept", **asdict(collected))
        raise_if_cancelled()


def _named(client: Client, built: dict[str, str]) -> Iterator[str]:
    """The digests of all images that a build has reported or a pipeline runs.

    `built` remembers what each commit reports, which never changes.
    """
    for project in list(client.list_project()):
        for commit in _builds(client, project.project.name):
            if commit not in built:
                built[commit] = _reported(client, project.project.name, commit)
            yield built[commit]
    for pipeline in client.list_pipeline(details=True):
        yield pipeline.details.transform.image.partition("@sha256:")[2]


def _builds(client: Client, workspace: str) -> list[str]:
    """The commits of the workspace's builds that succeeded; none where it is gone, or has built nothing."""
    try:
        commits = list(client.list_commit(PIPELINE, all=True, project_name=workspace))
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return []
        raise
    return [info.commit.id for info in commits if info.HasField("finished") and not info.error]


def _reported(client: Client, workspace: str, commit: str) -> str:
    """The digest of the image; empty for what is no build of kaos."""
    build = commit_of(workspace, PIPELINE, commit)
    if not client.path_exists(build, _REPORT):
        return ""
    try:
        report = json.loads(client.get_file(build, _REPORT).read())
    except ValueError:
        return ""
    return str(report.get("digest", "")) if isinstance(report, dict) else ""
