"""A bundle of any size takes the same memory, a burst of bundles loses none."""

import asyncio
import os
import tarfile
from asyncio.subprocess import Process
from pathlib import Path

from shared.events import ObjectCreated
from shared.runs import Run
from tests.archives import make_zip
from tests.integration.ingest.conftest import Inbox, tell

# Slower disks than ours exist; the bound is for what hangs.
BOUND = 60
PIECE = 1 << 20
# What it does for the first time, and the pieces under way: 13 MiB where this was written.
GROWTH_MAX_KIB = 40 << 10


async def test_200_mb_are_committed_in_memory_that_does_not_grow_with_them(
    inbox: Inbox, server: Process, tmp_path: Path
) -> None:
    await inbox.bus.forward(await inbox.drop("data", "small.zip", make_zip({"a": b"1"})))
    await committed(inbox, 1)
    before = peak_kib(server)
    packed = tmp_path / "large.tar"
    content = os.urandom(PIECE)
    (tmp_path / "piece").write_bytes(content)
    with tarfile.open(packed, "w") as tar:
        for number in range(100):
            tar.add(tmp_path / "piece", f"small/{number}")
        with (tmp_path / "large").open("wb") as file:
            for number in range(100):
                file.write(number.to_bytes(2, "big") + content[2:])
        tar.add(tmp_path / "large", "large")
    key = f"{inbox.workspace}/data/large.tar"
    await inbox.bucket.upload(inbox.settings.inbox_bucket, key, packed)
    async with inbox.bucket.opened(inbox.settings.inbox_bucket, key) as stored:
        etag = stored.etag
    dropped = ObjectCreated(
        workspace=inbox.workspace,
        bucket=inbox.settings.inbox_bucket,
        key=key,
        size=packed.stat().st_size,
        etag=etag,
        sequencer="1",
    )
    await inbox.bus.forward(tell(dropped))
    runs = await committed(inbox, 2)
    commit = next(run.parts["data"].commit for run in runs if run.parts["data"].name == "large")
    [info] = [info for info in await inbox.commits("data") if info.commit.id == commit]
    assert info.details.size_bytes == 200 * PIECE
    assert peak_kib(server) - before < GROWTH_MAX_KIB


async def test_a_burst_of_bundles_told_of_twice_each_becomes_one_run_each(inbox: Inbox, server: Process) -> None:
    events = await asyncio.gather(
        *(inbox.drop("data", f"d{number}.zip", make_zip({"a": str(number % 7).encode()})) for number in range(60))
    )
    for event in (*events, *events[::-1]):
        await inbox.bus.forward(event)
        await inbox.bus.forward(tell(event.data.model_copy(update={"sequencer": "again"})))
    runs = await committed(inbox, len(events))
    assert len({run.parts["data"].commit for run in runs}) == len(events)
    assert len(await inbox.commits("data")) == len(events)


async def committed(inbox: Inbox, count: int) -> list[Run]:
    async with asyncio.timeout(BOUND):
        while True:
            runs = await inbox.runs.list(inbox.workspace)
            if len(runs) == count and all(run.complete() for run in runs):
                return runs
            await asyncio.sleep(0.02)  # ingest's last word is the record itself


def peak_kib(process: Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
