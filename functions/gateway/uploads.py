"""Where a run's bundles are put: presigned addresses, so that no byte of them passes through the gateway."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from botocore.exceptions import ClientError
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from functions.gateway.dependencies import RunRecord, Wired, body_of, documents
from functions.gateway.errors import Refused
from shared.bucket import Bucket
from shared.errors import NotFound
from shared.names import PartKind
from shared.runs import Part, Run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Above this size in several parts, which can be sent at once and repeated alone. 64 GiB makes 1,024 of them, of the
# 10,000 that S3 allows.
PART_BYTES: Final = 64 * 2**20
# Long enough for 64 GiB over a line of 10 Mbit/s.
_VALID_SECONDS: Final = 16 * 3600


class Multipart(BaseModel):
    """The addresses of an upload in parts, in order; each part but the last has `part_size` bytes."""

    upload_id: str
    part_size: int
    urls: list[str]


class Upload(BaseModel):
    """How to put one bundle: a PUT to `url` with exactly these headers, or to each of `multipart.urls` without."""

    kind: PartKind
    key: str
    headers: dict[str, str] = {}
    url: str | None = None
    multipart: Multipart | None = None


class Completion(BaseModel):
    """Ends an upload in parts: the ETag header that each PUT was answered with, in order."""

    model_config = ConfigDict(strict=True, extra="forbid")
    key: str = Field(max_length=1024)
    upload_id: str = Field(min_length=1, max_length=1024)
    etags: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=10_000)


class Completed(BaseModel):
    """The object that the parts have become."""

    key: str


def router() -> APIRouter:
    """The route that ends an upload in parts."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}", tags=["runs"])
    add: Any = routes.add_api_route
    add("/uploads", complete, methods=["POST"], openapi_extra=documents(Completion), summary="End a multipart upload")
    return routes


async def complete(
    run: RunRecord, completion: Annotated[Completion, Depends(body_of(Completion))], wired: Wired
) -> Completed:
    """Joins the parts; the object store's notification of the whole then moves the run on. Harmless to repeat."""
    if completion.key not in {part.key for part in run.parts.values()}:
        raise NotFound("upload.unknown", f"Run {run.id} has no upload of {completion.key[:200]!r}.")
    inbox = wired.settings.inbox_bucket
    try:
        await wired.bucket.call(lambda client: _join(client, inbox, completion))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchUpload" and await wired.bucket.call(lambda client: _is_there(client, inbox, completion.key)):
            return Completed(key=completion.key)
        if code in {"NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall"}:
            raise Refused(
                409, "upload.incomplete", f"The parts do not make an object ({code}): upload them again."
            ) from None
        raise
    return Completed(key=completion.key)


async def prepare(bucket: Bucket, inbox: str, run: Run, part: Part) -> Upload:
    """Signs the way for one part of `run`. The key ties the object to the run; the metadata tells who looks at it."""
    metadata = {"kaos-run": run.id, "kaos-parts": ",".join(run.expected)}
    if part.size <= PART_BYTES:
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        target = {"Bucket": inbox, "Key": part.key, "Metadata": metadata}
        url = await bucket.call(lambda client: client.generate_presigned_url("put_object", target, _VALID_SECONDS))
        return Upload(kind=part.kind, key=part.key, headers=headers, url=url)
    multipart = await bucket.call(lambda client: _in_parts(client, inbox, part, metadata))
    return Upload(kind=part.kind, key=part.key, multipart=multipart)


def _in_parts(client: "S3Client", inbox: str, part: Part, metadata: dict[str, str]) -> Multipart:
    upload = client.create_multipart_upload(Bucket=inbox, Key=part.key, Metadata=metadata)["UploadId"]
    target = {"Bucket": inbox, "Key": part.key, "UploadId": upload}
    urls = [
        client.generate_presigned_url("upload_part", target | {"PartNumber": number}, _VALID_SECONDS)
        for number in range(1, -(-part.size // PART_BYTES) + 1)
    ]
    return Multipart(upload_id=upload, part_size=PART_BYTES, urls=urls)


def _join(client: "S3Client", inbox: str, completion: Completion) -> None:
    client.complete_multipart_upload(
        Bucket=inbox,
        Key=completion.key,
        UploadId=completion.upload_id,
        MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": n} for n, etag in enumerate(completion.etags, 1)]},
    )


def _is_there(client: "S3Client", inbox: str, key: str) -> bool:
    """Whether an earlier call, whose answer was lost, has joined the parts: the key is of this run alone."""
    try:
        client.head_object(Bucket=inbox, Key=key)
    except ClientError:
        return False
    return True
