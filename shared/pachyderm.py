"""The way to Pachyderm: the synchronous python-pachyderm client run in threads, and its stubs for long streams."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
import python_pachyderm
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc
from python_pachyderm.proto.v2.pps import pps_pb2, pps_pb2_grpc
from python_pachyderm.service import GRPC_CHANNEL_OPTIONS

from shared.settings import Settings

T = TypeVar("T")

# The error of a commit that nobody may finish any more: ingest gave it up, and the relay tells nobody of it.
ABANDONED: Final = "kaos: abandoned by a later attempt"

# Calls last milliseconds but for uploads and downloads: enough for the slots of all functions in one process.
_THREADS = 32


@dataclass(frozen=True)
class Pachyderm:
    """A connection to pachd at `address` (host:port).

    `call` is for requests that end soon. Streams that live as long as a job go through `pfs` and `pps`, the
    client's own stubs over grpc.aio, which cost no thread; pass them `metadata`.
    """

    client: python_pachyderm.Client
    threads: ThreadPoolExecutor
    address: str
    token: str
    channel: grpc.aio.Channel
    pfs: Any
    pps: Any

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What authenticates a call over the stubs."""
        return (("authn-token", self.token),) if self.token else ()

    async def call(self, work: Callable[[python_pachyderm.Client], T]) -> T:
        """Runs `work` with the client in a worker thread. Raises what it raises (grpc.RpcError among it)."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, self.client)

    def in_transaction(self, transaction: str) -> python_pachyderm.Client:
        """A client whose calls all belong to `transaction` (the client keeps that as its state)."""
        return _client(self.address, self.token, transaction)

    async def close(self) -> None:
        """Lets running calls end."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        await self.channel.close()


def connect(settings: Settings) -> Pachyderm:
    """Opens channels, within the running event loop; nothing is sent yet."""
    address, token = settings.pachyderm_address, settings.pachyderm_token.get_secret_value()
    channel = grpc.aio.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS)
    return Pachyderm(
        client=_client(address, token),
        threads=ThreadPoolExecutor(_THREADS, thread_name_prefix="pachyderm"),
        address=address,
        token=token,
        channel=channel,
        pfs=pfs_pb2_grpc.APIStub(channel),
        pps=pps_pb2_grpc.APIStub(channel),
    )


def commit_of(workspace: str, repo: str, commit: str = "", *, branch: str = "") -> pfs_pb2.Commit:
    """Names a commit by its id, or as the head of a branch."""
    repository = pfs_pb2.Repo(name=repo, type="user", project=pfs_pb2.Project(name=workspace))
    return pfs_pb2.Commit(branch=pfs_pb2.Branch(repo=repository, name=branch), id=commit, repo=repository)


def job_of(workspace: str, pipeline: str, job: str) -> pps_pb2.Job:
    """Names a job of a pipeline by its id."""
    return pps_pb2.Job(id=job, pipeline=pps_pb2.Pipeline(name=pipeline, project=pfs_pb2.Project(name=workspace)))


def pipeline_exists(client: python_pachyderm.Client, workspace: str, pipeline: str) -> bool:
    """Whether the project has a pipeline of that name."""
    try:
        list(client.inspect_pipeline(pipeline, project_name=workspace))
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return False
        raise
    return True


def modify_file(client: python_pachyderm.Client, requests: Iterator[pfs_pb2.ModifyFileRequest]) -> None:
    """Sends a stream of changes, which is applied as a whole or not at all. Raises what making `requests` raises.

    The client's own `modify_file_client` wants all files beforehand, and sends three messages for each.
    """
    failures: list[Exception] = []

    def told() -> Iterator[pfs_pb2.ModifyFileRequest]:
        try:
            yield from requests
        except Exception as error:
            failures.append(error)
            raise

    try:
        pfs_pb2_grpc.APIStub(client._channel).ModifyFile(told())  # noqa: SLF001  # there is no other way to it
    except grpc.RpcError as error:
        if failures:  # to grpc they are all one
            raise failures[0] from error
        raise


def is_code(error: BaseException, *codes: grpc.StatusCode) -> bool:
    """Whether the server answered with one of `codes`."""
    code = getattr(error, "code", None)
    return isinstance(error, grpc.RpcError) and callable(code) and code() in codes


def is_away(error: BaseException) -> bool:
    """Whether the server did not answer at all; the client turns some of these errors into ConnectionErrors."""
    return isinstance(error, ConnectionError) or is_code(error, grpc.StatusCode.UNAVAILABLE)


def details(error: BaseException) -> str:
    """The server's own sentence."""
    found = getattr(error, "details", None)
    return str(found() or "") if callable(found) else str(error)


def _client(address: str, token: str, transaction: str | None = None) -> python_pachyderm.Client:
    host, _, port = address.rpartition(":")
    return python_pachyderm.Client(host=host, port=int(port), auth_token=token or None, transaction_id=transaction)
