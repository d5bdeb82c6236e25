"""The object store, over S3: bundles as they were dropped, and collected logs. boto3, run in threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from shared.errors import NotFound, Unreachable
from shared.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

# Small objects take milliseconds; a few large ones must not hold up the rest.
_THREADS = 16
_CHUNK_BYTES = 1 << 20
# What boto3's own uploader sends in one piece, too; its threads take as long again as the request.
_WHOLE_MAX_BYTES = 8 << 20
_NOT_FOUND, _PRECONDITION_FAILED = 404, 412  # HTTP's own numbers


class Readable(Protocol):
    """What can be read from its start to its end."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, all for -1; nothing at the end."""
        ...


@dataclass(frozen=True)
class Stored:
    """An object that is being read: what the store says of it, and its content. `metadata` has lower-case keys.

    Reading blocks: it is for threads.
    """

    etag: str
    modified: datetime
    metadata: dict[str, str]
    size: int
    again: Callable[[], "Stored"]
    """Opens these very bytes once more. Raises NotFound `object.gone` where they were replaced or removed."""
    body: StreamingBody

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, all for -1; nothing at the end. Raises Unreachable where the store breaks off."""
        with _or_unreachable():
            return self.body.read(None if size < 0 else size)

    def close(self) -> None:
        """Ends the reading, wherever it is."""
        self.body.close()


@dataclass(frozen=True)
class Bucket:
    """A client of the object store and the threads it runs in. Raises Unreachable where the store does not answer."""

    client: "S3Client"
    threads: ThreadPoolExecutor

    async def call(self, work: Callable[["S3Client"], T]) -> T:
        """Runs `work` with the client in a worker thread; what S3 answers is raised as botocore's ClientError."""

        def told() -> T:
            with _or_unreachable():
                return work(self.client)

        return await asyncio.get_running_loop().run_in_executor(self.threads, told)

    @asynccontextmanager
    async def opened(self, bucket: str, key: str, *, etag: str = "", version: str = "") -> AsyncIterator[Stored]:
        """Opens the object for reading, in one request. Raises NotFound `object.gone` where it is not there any more.

        With `version` that version of it, else with `etag` only while it has that content.
        """
        stored = await self.call(lambda client: _open(client, bucket, key, etag, version))
        try:
            yield stored
        finally:
            stored.close()

    async def upload(self, bucket: str, key: str, path: Path) -> None:
        """Stores the file, in parts where it is large."""

        def work(client: "S3Client") -> None:
            if path.stat().st_size > _WHOLE_MAX_BYTES:
                client.upload_file(str(path), bucket, key)
                return
            with path.open("rb") as file:
                client.put_object(Bucket=bucket, Key=key, Body=file)

        await self.call(work)

    async def lines(self, bucket: str, key: str) -> Iterator[bytes] | None:
        """The object's lines, read as they are asked for (in a thread); None where there is no such object."""
        try:
            body = (await self.call(lambda client: client.get_object(Bucket=bucket, Key=key)))["Body"]
        except ClientError as error:
            if _status(error) == _NOT_FOUND:
                return None
            raise
        return body.iter_lines(_CHUNK_BYTES)

    def close(self) -> None:
        """Lets running calls end."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.client.close()


def connect(settings: Settings) -> Bucket:
    """Makes a client; nothing is sent yet."""
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},  # loopback and most own stores have no wildcard DNS
            max_pool_connections=_THREADS,
            retries={"mode": "standard", "max_attempts": 3},
            # The stores beside AWS do not all know the newer default checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return Bucket(client, ThreadPoolExecutor(_THREADS, thread_name_prefix="bucket"))


def _open(client: "S3Client", bucket: str, key: str, etag: str, version: str) -> Stored:
    which: dict[str, str] = {"VersionId": version} if version else {"IfMatch": f'"{etag}"'} if etag else {}
    try:
        with _or_unreachable():
            found = client.get_object(Bucket=bucket, Key=key, **which)  # type: ignore[arg-type]  # the stub wants a TypedDict
    except ClientError as error:
        if _status(error) in {_NOT_FOUND, _PRECONDITION_FAILED}:
            raise NotFound("object.gone", f"The object {key} was replaced or removed before it was read.") from error
        raise
    etag = found["ETag"].strip('"')
    return Stored(
        etag=etag,
        modified=found["LastModified"],
        metadata={name.lower(): value for name, value in found["Metadata"].items()},
        size=found["ContentLength"],
        again=partial(_open, client, bucket, key, etag, version),
        body=found["Body"],
    )


@contextmanager
def _or_unreachable() -> Iterator[None]:
    try:
        yield
    except BotoCoreError as error:
        raise Unreachable("s3.unreachable", f"The object store does not answer: {error}") from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
