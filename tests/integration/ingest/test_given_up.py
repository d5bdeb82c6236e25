"""An object that kaos can't ingest, however often it tries: its run ends, and says so."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from functions.ingest import handler
from kaos import serve
from shared import consumer
from tests.integration.ingest.conftest import Inbox


@pytest.mark.parametrize("submitted", [True, False])
async def test_the_run_of_an_object_that_was_given_up_fails(
    inbox: Inbox, submitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr(handler, "commit_bundle", broken)
    monkeypatch.setattr(consumer, "_BACKOFF_SECONDS", (0.01,))
    key = f"{inbox.workspace}/params/p.json"
    if submitted:
        key = (await inbox.submit(params="p.json")).parts["params"].key
    event = await inbox.put(key, b'{"rate": 1}')
    named = ("runs", "pachyderm", "bucket", "settings", "bus")
    services: Any = SimpleNamespace(jobs=None, objects=None, **{name: getattr(inbox, name) for name in named})
    failed = await inbox.bus.client.subscribe(f"kaos.{inbox.workspace}.run.*.failed")
    consuming = asyncio.create_task(serve._consume(handler.ingest, "ingest", services))
    await inbox.bus.forward(event)
    await failed.next_msg(timeout=10)
    run = await inbox.only_run()
    consuming.cancel()
    await asyncio.wait({consuming}, timeout=10)
    assert (run.state, run.error.code if run.error else "") == ("failed", "internal.given-up")
    assert "RuntimeError: broken" in (run.error.message if run.error else "")
    assert "Deploy it again" in (run.error.message if run.error else "")
    # The dead letter is there for a person, and the event is done with.
    dead = await inbox.bus.stream.get_last_msg("kaos-dead", "kaos-dead.ingest")
    assert (dead.headers or {})["Kaos-Error"] == "RuntimeError: broken"
