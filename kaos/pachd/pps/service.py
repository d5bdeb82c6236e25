"""pps_v2.API: what each request does is in the modules beside this one; here it meets the wire."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

from google.protobuf import empty_pb2
from python_pachyderm.proto.v2.pps import pps_pb2, pps_pb2_grpc

from kaos.pachd.database import Database
from kaos.pachd.errors import not_found, unsupported
from kaos.pachd.pfs.names import Row, project_of
from kaos.pachd.pps import datums, jobs, pipelines
from kaos.pachd.pps.logs import JobLogs, Record
from kaos.pachd.pps.names import find_pipeline, look_up_pipeline
from kaos.pachd.pps.scheduler import Scheduler, log_name
from kaos.pachd.requests import Requests
from kaos.pachd.wire import Actions, WireTransactions
from shared.names import GIVE_UP_HEADER

T = TypeVar("T")

ACTIONS: Final[Actions] = {"create_pipeline": pipelines.create_pipeline, "stop_job": jobs.stop_job}


class PpsService(pps_pb2_grpc.APIServicer):  # type: ignore[misc]  # generated, untyped
    """Pipelines and jobs. What is not here answers UNIMPLEMENTED, as the generated parent does."""

    def __init__(self, database: Database, logs: JobLogs, wire: WireTransactions, scheduler: Scheduler) -> None:
        self._database = database
        self._logs = logs
        self._scheduler = scheduler
        self._requests = Requests(database, wire)

    # Pipelines.

    async def CreatePipeline(self, request: Any, context: Any) -> Any:  # noqa: N802  # the protocol's names, all below
        """See pipelines.create_pipeline."""
        return await self._requests.perform("create_pipeline", request, context)

    async def InspectPipeline(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See pipelines.inspect_pipeline."""
        return await self._requests.read(pipelines.inspect_pipeline, request)

    async def ListPipeline(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See pipelines.list_pipelines."""
        async for info in self._requests.stream(pipelines.list_pipelines, request):
            yield info

    async def DeletePipeline(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See pipelines.delete_pipeline. Its jobs' logs go with it."""
        names = await self._requests.read(_logs_of_pipeline, request)
        return await self._delete(pipelines.delete_pipeline, request, names)

    async def StartPipeline(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See pipelines.start_pipeline."""
        return await self._requests.write(pipelines.start_pipeline, request)

    async def StopPipeline(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See pipelines.stop_pipeline."""
        return await self._requests.write(pipelines.stop_pipeline, request)

    # Jobs.

    async def InspectJob(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """A job, once it is over where `wait`; NOT_FOUND, also when it is deleted meanwhile."""
        row, info = await self._database.read(lambda connection: _inspected(connection, request))
        if not request.wait or row["finished"] is not None:
            return info
        # A job ends with its output commit, in one write.
        with self._database.listen(("commit", row["output"])) as rung:
            while True:
                rung.clear()
                row, info = await self._database.read(lambda connection: _inspected(connection, request))
                if row["finished"] is not None:
                    return info
                await rung.wait()

    async def InspectJobSet(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The jobs of a set, each once it is over where `wait`."""
        for row in await self._database.read(lambda connection: jobs.of_set(connection, request.job_set.id)):
            one = pps_pb2.InspectJobRequest(job=jobs.job_message(row), wait=request.wait, details=request.details)
            yield await self.InspectJob(one, context)

    async def ListJob(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See jobs.list_jobs."""
        async for info in self._requests.stream(jobs.list_jobs, request):
            yield info

    async def ListJobSet(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See jobs.list_job_sets."""
        async for info in self._requests.stream(jobs.list_job_sets, request):
            yield info

    async def SubscribeJob(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Each job that is not over, once, and each that comes to be; never how one ends."""
        last = 0
        while True:
            version = self._database.version()
            for row, info in await self._database.read(partial(_newer, request=request, last=last)):
                yield info
                last = row["id"]
            await self._database.changed(version)

    async def StopJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See jobs.stop_job."""
        return await self._requests.perform("stop_job", request, context)

    async def DeleteJob(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See jobs.delete_job. Its log goes with it."""
        name = await self._requests.read(lambda connection, asked: log_name(jobs.find(connection, asked.job)), request)
        return await self._delete(jobs.delete_job, request, [name])

    # Datums and logs.

    async def InspectDatum(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """NOT_FOUND."""
        return await self._requests.read(_inspected_datum, request)

    async def ListDatum(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """A job's datums, or those that a pipeline of this input would have now."""
        async for info in self._requests.stream(_listed_datums, request):
            yield info

    async def RestartDatum(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Begins anew the datums under way that have all of these ids, paths or hashes; or, see GIVE_UP_HEADER."""
        job, numbers = await self._requests.read(_to_restart, request)
        reason = dict(context.invocation_metadata()).get(GIVE_UP_HEADER, "")
        self._scheduler.restart(job, numbers, give_up=reason)
        return empty_pb2.Empty()

    async def GetLogs(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """What a job, or all jobs of a pipeline, said; with `follow`, until the job is over."""
        rows = await self._requests.read(_jobs_to_read, request)
        oldest = time.time_ns() - request.since.ToNanoseconds() if request.HasField("since") else 0
        tail: deque[Any] = deque(maxlen=request.tail or None)
        for row in rows:
            following = request.follow and row["finished"] is None
            async for record in self._records(row, follow=following):
                wanted = not request.datum.id or record.datum == request.datum.id
                if not wanted or record.time < oldest:
                    continue
                message = _message(row, record)
                if request.tail and not following:
                    tail.append(message)
                else:
                    yield message
        for message in tail:
            yield message

    async def _delete(self, work: Callable[[Any, Any], object], request: Any, logs: list[str]) -> Any:
        answer = await self._requests.write(work, request)
        for name in logs:
            self._logs.forget(name)
        return answer

    def _records(self, row: Row, *, follow: bool) -> AsyncIterator[Record]:
        name = log_name(row)
        return self._logs.follow(name, lambda: self._is_over(row["id"])) if follow else self._logs.read(name)

    async def _is_over(self, rowid: int) -> bool:
        row = await self._database.read(lambda connection: jobs.look_up(connection, rowid))
        return row is None or row["finished"] is not None


def _logs_of_pipeline(connection: Any, request: Any) -> list[str]:
    """The logs of all its jobs; none where there is no such pipeline."""
    pipeline = look_up_pipeline(connection, project_of(request.pipeline.project), request.pipeline.name)
    if pipeline is None:
        return []
    rows = connection.execute("SELECT id, commit_set FROM jobs WHERE pipeline = ?", (pipeline["id"],))
    return [log_name(row) for row in rows]


def _inspected(connection: Any, request: Any) -> tuple[Row, Any]:
    row = jobs.find(connection, request.job)
    return row, jobs.job_info(connection, row, details=request.details)


def _newer(connection: Any, request: Any, last: int) -> list[tuple[Row, Any]]:
    pipeline = find_pipeline(connection, request.pipeline)["id"] if request.pipeline.name else None
    found = []
    for rowid in jobs.unfinished(connection):
        row = jobs.look_up(connection, rowid) if rowid > last else None
        if row is not None and pipeline in {None, row["pipeline"]}:
            found.append((row, jobs.job_info(connection, row, details=request.details)))
    return found


def _inspected_datum(connection: Any, request: Any) -> Any:
    job = jobs.find(connection, request.datum.job)
    row = connection.execute("SELECT * FROM datums WHERE job = ? AND id = ?", (job["id"], request.datum.id)).fetchone()
    if row is None:
        raise not_found(f"datum {request.datum.id}")
    return datums.Describer(connection).datum(row, jobs.job_message(job))


def _listed_datums(connection: Any, request: Any) -> Iterator[Any]:
    describer = datums.Describer(connection)
    if not request.job.id:
        if request.filter.state:
            raise unsupported("filtering datums that don't exist")
        given = request.input
        for datum in datums.divide(connection, given, datums.newest_heads(connection, given), ""):
            yield describer.hypothetical(datum)
        return
    job = jobs.find(connection, request.job)
    message = jobs.job_message(job)
    wanted, count = set(request.filter.state), 0
    order = "DESC" if request.reverse else "ASC"
    rows = connection.execute(
        f"SELECT * FROM datums WHERE job = ? ORDER BY number {order}",  # noqa: S608  # one of two words, above
        (job["id"],),
    )
    for row in rows:
        if wanted and row["state"] not in wanted:
            continue
        yield describer.datum(row, message)
        count += 1
        if request.number and count == request.number:
            return


def _to_restart(connection: Any, request: Any) -> tuple[int, list[int]]:
    """The job, and the numbers of the datums that are meant and not done; NOT_FOUND where there are none."""
    job = jobs.find(connection, request.job)
    rows = connection.execute(
        "SELECT * FROM datums WHERE job = ? AND state = ?", (job["id"], pps_pb2.DatumState.STARTING)
    )
    numbers = [row["number"] for row in rows if set(request.data_filters) <= _names(row)]
    if not numbers or job["finished"] is not None:
        raise not_found(f"datum under way of job {job['commit_set']} with {', '.join(request.data_filters)}")
    return job["id"], numbers


def _names(row: Row) -> set[str]:
    files = datums.files_of(row)
    return {row["id"], *(file.path for file in files), *(file.hash for file in files)}


def _jobs_to_read(connection: Any, request: Any) -> list[Row]:
    if request.job.id:
        return [jobs.find(connection, request.job)]
    if request.datum.id:
        return [jobs.find(connection, request.datum.job)]
    pipeline = find_pipeline(connection, request.pipeline)
    rows = connection.execute("SELECT id FROM jobs WHERE pipeline = ? ORDER BY id", (pipeline["id"],)).fetchall()
    return [row for found in rows if (row := jobs.look_up(connection, found["id"])) is not None]


def _message(row: Row, record: Record) -> pps_pb2.LogMessage:
    message = pps_pb2.LogMessage(
        project_name=row["project"],
        pipeline_name=row["name"],
        job_id=row["commit_set"],
        datum_id=record.datum,
        worker_id="embedded",
        user=record.user,
        message=record.text,
    )
    message.ts.FromNanoseconds(record.time)
    return message
