"""The server `serve` of the embedded stack: declares what a cluster's deployment declares, then runs every function.

In one process with them, since importing their libraries takes longer than all the declaring.
"""

import asyncio
import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from nats.errors import Error as NatsError

from deploy.apply import apply
from kaos import serve
from kaos.stack import probes
from kaos.stack.servers import WEBHOOKS
from kaos.templates import datasets
from shared import telemetry
from shared.bucket import Bucket
from shared.bus import Bus
from shared.errors import KaosError, Unreachable
from shared.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PAUSE_SECONDS: Final = 0.02


def main() -> int:
    """Declares, and serves until SIGTERM; returns the exit code."""
    settings = Settings()
    telemetry.configure(settings)
    return asyncio.run(serve.run(settings, serve.PARTS, declare=partial(_declare, settings)))


async def _declare(settings: Settings, bus: Bus, bucket: Bucket) -> None:
    """Waits for the other servers, which start at the same time, and makes what is missing in them."""
    await asyncio.gather(_streams(bus), _buckets(settings, bucket), _pachyderm(settings))


async def _streams(bus: Bus) -> None:
    try:
        await apply(bus.stream)
    except NatsError as error:
        raise KaosError("stack.streams", f"NATS refuses a stream of deploy/nats.toml: {error}") from error


async def _buckets(settings: Settings, bucket: Bucket) -> None:
    try:
        while not await _is_there(bucket):  # noqa: ASYNC110  # a server's readiness has no event
            await asyncio.sleep(_PAUSE_SECONDS)
        await bucket.call(lambda client: _make_buckets(client, settings))
    except ClientError as error:
        raise KaosError("stack.buckets", f"The object store refuses kaos' buckets: {error}") from error


async def _is_there(bucket: Bucket) -> bool:
    try:
        await bucket.call(lambda client: client.list_buckets())
    except Unreachable:
        return False
    return True


def _make_buckets(client: "S3Client", settings: Settings) -> None:
    for name in (settings.inbox_bucket, settings.logs_bucket, datasets.BUCKET):
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
    client.put_bucket_notification_configuration(
        Bucket=settings.inbox_bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": f"arn:minio:sqs::{name}:webhook", "Events": ["s3:ObjectCreated:*"]} for name in WEBHOOKS
            ]
        },
    )
    datasets.publish(client)


async def _pachyderm(settings: Settings) -> None:
    port = int(settings.pachyderm_address.rpartition(":")[2])
    while not await probes.grpc_health(port):  # noqa: ASYNC110  # a server's readiness has no event
        await asyncio.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
