"""Runs every job that is not over: one task a job, and as many datums at once as the machine has room for."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.bell import EVERY_JOB
from kaos.pachd.errors import StatusError
from kaos.pachd.pfs.names import Row
from kaos.pachd.pps import jobs, progress
from kaos.pachd.pps.attempts import Turn, Work, Workshop, do, give_up, look_up
from kaos.pachd.pps.logs import JobLog, JobLogs
from kaos.pachd.pps.progress import Begun, Done, Waits
from kaos.pachd.pps.slots import Slots
from kaos.pachd.pps.specs import limits_of
from kaos.pachd.runtimes.container import Limits

log = logging.getLogger(__name__)

# A disk that is full for a moment must not end a job; one that stays full must not spin.
_PAUSE_SECONDS: Final = 1.0


class Scheduler:
    """Follows the database: a job that appears there is run, one that is ended there is stopped.

    `slots` are for user code; `system` for the programs of `system_images` (builds, downloads), which need not wait
    until a training ends.
    """

    def __init__(
        self, shop: Workshop, logs: JobLogs, slots: Slots, system: Slots, system_images: frozenset[str]
    ) -> None:
        self._shop = shop
        self._logs = logs
        self._slots = slots
        self._system = system
        self._system_images = system_images
        self._tasks: dict[int, asyncio.Task[None]] = {}
        # By job (rowid) and datum (number): what is being done; what is to begin anew, or with a reason is given up.
        self._doing: dict[tuple[int, int], asyncio.Task[Done]] = {}
        self._interrupted: dict[tuple[int, int], str] = {}
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins; jobs that an earlier engine left are taken up again."""
        shutil.rmtree(self._shop.scratch, ignore_errors=True)
        self._shop.scratch.mkdir(parents=True)
        self._watching = asyncio.create_task(self._watch(), name="scheduler")

    async def stop(self) -> None:
        """Kills what runs; it will be taken up again by the next engine."""
        running = [task for task in (self._watching, *self._tasks.values()) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def restart(self, job: int, datums: Iterable[int], *, give_up: str = "") -> None:
        """Ends what is being done for these datums of a job, and begins anew; or gives them up, for that reason."""
        for number in datums:
            doing = self._doing.get((job, number))
            if doing is not None or give_up:
                self._interrupted[job, number] = give_up
            if doing is not None:
                doing.cancel()

    async def _watch(self) -> None:
        database = self._shop.database
        with database.listen(EVERY_JOB) as rung:
            while True:
                rung.clear()
                open_jobs = await database.read(jobs.unfinished)
                for rowid, task in list(self._tasks.items()):
                    if task.done():
                        del self._tasks[rowid]
                    elif rowid not in open_jobs:
                        task.cancel()
                for rowid in open_jobs:
                    if rowid not in self._tasks:
                        row = await database.read(partial(jobs.look_up, rowid=rowid))
                        if row is not None:
                            self._tasks[rowid] = asyncio.create_task(self._run(row), name=f"job {row['commit_set']}")
                await rung.wait()

    async def _run(self, job: Row) -> None:
        """Carries one job to its end. What fails here and not in user code is tried again, slowly."""
        try:
            while True:
                try:
                    await self._carry_out(job)
                except (OSError, StatusError):
                    log.exception("job %s could not go on", job["commit_set"])
                    await asyncio.sleep(_PAUSE_SECONDS)
                except Exception as error:
                    log.exception("job %s failed in the engine", job["commit_set"])
                    reason = f"the engine failed: {error!r}"
                    await self._shop.database.write(lambda txn: progress.fail(txn, job["id"], reason))  # noqa: B023
                    return
                else:
                    return
        finally:
            self._interrupted = {key: why for key, why in self._interrupted.items() if key[0] != job["id"]}
            self._logs.ring(log_name(job))

    async def _carry_out(self, job: Row) -> None:
        begun = await self._begin(job["id"])
        if begun is None:
            return
        row = await self._shop.database.read(lambda connection: jobs.look_up(connection, job["id"]))
        if row is None:
            return
        spec = pps_pb2.PipelineInfo.Details.FromString(row["spec"])
        timeout = spec.job_timeout.ToNanoseconds() / 1e9 if spec.HasField("job_timeout") else None
        written = self._logs.open(log_name(row))
        try:
            async with asyncio.timeout(timeout):
                await self._do_datums(row, spec, begun, written)
        except TimeoutError:
            await self._shop.database.write(
                lambda txn: progress.kill(txn, row["id"], f"job timed out after {timeout:g} s")
            )
        finally:
            written.close()

    async def _begin(self, rowid: int) -> Begun | None:
        """Waits for the inputs, and for earlier jobs that may do the same work."""
        database = self._shop.database
        while isinstance(found := await database.write(lambda txn: progress.begin(txn, rowid)), Waits):
            earlier = self._tasks.get(found.job or 0)
            if earlier is not None:
                await asyncio.wait({earlier})
                continue
            version = database.version()
            while not await database.read(lambda connection: progress.inputs_finished(connection, rowid)):
                version = await database.changed(version)
        return found

    async def _do_datums(self, job: Row, spec: Any, begun: Begun, written: JobLog) -> None:
        """As many at once as the pipeline says, and as have room; a datum that fails for good stops the others."""
        slots = self._system if spec.transform.image in self._system_images else self._slots
        if never := slots.why_never(limits_of(spec)):
            await self._shop.database.write(lambda txn: progress.fail(txn, job["id"], f"it can never run: {never}"))
            return
        at_once = asyncio.Semaphore(spec.parallelism_spec.constant)

        @asynccontextmanager
        async def turn() -> AsyncIterator[Limits]:
            async with at_once, slots.take(limits_of(spec)) as given:
                yield given

        left = iter(begun.todo)
        # While user code of one datum runs, the one before is taken in and the next is laid out.
        wide = min(2 * spec.parallelism_spec.constant, len(begun.todo))
        workers = [asyncio.create_task(self._work(job, spec, left, turn, written)) for _ in range(wide)]
        try:
            while workers:
                done, pending = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
                workers = [*pending]
                if True in [task.result() for task in done]:
                    return
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, job: Row, spec: Any, left: Iterator[int], turn: Turn, written: JobLog) -> bool:
        """Does one datum after the other until none is left; True where the job is over."""
        database = self._shop.database
        for number in left:
            work = await database.read(
                partial(look_up, job=job, spec=spec, number=number, checkouts=self._shop.checkouts)
            )
            if work is None:
                return True
            done = await self._do(work, turn, written)
            if await database.write(partial(progress.record, rowid=job["id"], number=number, done=done)):
                return True
        return False

    async def _do(self, work: Work, turn: Turn, written: JobLog) -> Done:
        """Does a datum, as often as somebody asks to restart it, until it is done or given up."""
        key = work.job["id"], work.datum["number"]
        while True:
            if reason := self._interrupted.pop(key, ""):
                return give_up(work, reason, written)
            self._doing[key] = doing = asyncio.create_task(do(work, turn, written, self._shop))
            try:
                return await doing
            except asyncio.CancelledError:
                # Either this datum alone was interrupted, or all of the job is.
                task = asyncio.current_task()
                if key not in self._interrupted or (task is not None and task.cancelling()):
                    raise
            finally:
                del self._doing[key]


def log_name(job: Row) -> str:
    """The name of a job's log: a commit set may have several jobs."""
    return f"{job['commit_set']}-{job['id']}"
