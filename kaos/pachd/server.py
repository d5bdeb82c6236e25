"""Puts the engine together: database, files, services, and the server that they answer from."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from python_pachyderm.proto.v2.admin import admin_pb2_grpc
from python_pachyderm.proto.v2.pfs import pfs_pb2_grpc
from python_pachyderm.proto.v2.pps import pps_pb2_grpc
from python_pachyderm.proto.v2.transaction import transaction_pb2_grpc
from python_pachyderm.proto.v2.version.versionpb import version_pb2_grpc

from kaos.pachd.about import AdminService, HealthService, VersionService
from kaos.pachd.database import Database
from kaos.pachd.garbage import collect_for_ever
from kaos.pachd.home import Home
from kaos.pachd.interceptor import Interceptor
from kaos.pachd.machine import capacity
from kaos.pachd.pfs import service as pfs
from kaos.pachd.pfs.propagate import propagate
from kaos.pachd.pps import service as pps
from kaos.pachd.pps.attempts import Workshop
from kaos.pachd.pps.jobs import make_job
from kaos.pachd.pps.logs import JobLogs
from kaos.pachd.pps.scheduler import Scheduler
from kaos.pachd.pps.slots import Slots
from kaos.pachd.runtimes.choose import choose
from kaos.pachd.settings import Settings
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.checkouts import Checkouts
from kaos.pachd.wire import TransactionService, WireTransactions
from shared.images import ImageStore

# Each hashes and writes one upload at a time; more than the disk and the cores can do gains nothing.
_FILE_THREADS: Final = 4
# Answers that are ready go out; streams that never end are cut.
_GRACE_SECONDS: Final = 0.5
_OPTIONS: Final = (
    # python-pachyderm sends files in pieces of 19 MiB, and other clients what they like: as with Pachyderm, no limit.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers would take turns at one port, instead of the second one failing.
    ("grpc.so_reuseport", 0),
    # Reading ahead of what is asked for hides the delay of long lines, for memory; here is one machine. With less than
    # a piece of a large file, which is 64 KiB by default, its sender and the engine wait for each other.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    # Clients may see to it as often as they like that a silent stream still lives.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


@dataclass(frozen=True)
class Ready:
    """A server that answers at `address` (host:port); the runtime of jobs, and `how` it isolates them, in sentences."""

    address: str
    runtime: str
    how: str


class AddressError(Exception):
    """The address can't be listened at: a sentence that says why."""


@asynccontextmanager
async def serving(settings: Settings, home: Home) -> AsyncIterator[Ready]:
    """Serves while the context lasts. Raises AddressError, or RuntimeMissing where jobs can't be run as asked."""
    blobs = Blobs(home.files)
    threads = ThreadPoolExecutor(_FILE_THREADS, thread_name_prefix="pachd-files")
    database = Database(home.database, partial(propagate, make_job=make_job))
    wire = WireTransactions(database, {**pfs.ACTIONS, **pps.ACTIONS})
    logs = JobLogs(home.logs)
    runtime, how = choose(settings.runtime, ImageStore(settings.images), home.containers, settings.system_images)
    checkouts = Checkouts(home.checkouts, blobs)
    shop = Workshop(database, blobs, checkouts, runtime, home.scratch)
    scheduler = _scheduler(settings, shop, logs)
    server = grpc.aio.server(interceptors=(Interceptor(settings.token.get_secret_value()),), options=_OPTIONS)
    for add, service in (
        (pfs_pb2_grpc.add_APIServicer_to_server, pfs.PfsService(database, blobs, wire, threads)),
        (pps_pb2_grpc.add_APIServicer_to_server, pps.PpsService(database, logs, wire, scheduler)),
        (transaction_pb2_grpc.add_APIServicer_to_server, TransactionService(database, wire)),
        (version_pb2_grpc.add_APIServicer_to_server, VersionService()),
        (admin_pb2_grpc.add_APIServicer_to_server, AdminService(home.identity)),
        (health_pb2_grpc.add_HealthServicer_to_server, HealthService()),
    ):
        add(service, server)
    collecting = asyncio.create_task(collect_for_ever(database, blobs, checkouts), name="garbage")
    try:
        address = _listen(server, settings.address)
        await scheduler.start()
        await server.start()
        yield Ready(address, runtime.name, how)
    finally:
        collecting.cancel()
        await scheduler.stop()
        await server.stop(_GRACE_SECONDS)
        # Handlers of streams that were cut are told so, but not waited for.
        if cut := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(cut, timeout=_GRACE_SECONDS)
        threads.shutdown()
        database.close()


def _scheduler(settings: Settings, shop: Workshop, logs: JobLogs) -> Scheduler:
    """User code has the machine's cores to itself; programs of kaos have as many again, since builds can't wait."""
    found = capacity(settings.workers)
    return Scheduler(
        shop,
        logs,
        slots=Slots(found),
        system=Slots(replace(found, gpus=())),
        system_images=frozenset(settings.system_images),
    )


def _listen(server: Any, address: str) -> str:
    host, _, _ = address.rpartition(":")
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise AddressError(f"The address {address} is taken, or none of this machine. Set PACHD_ADDRESS to another.")
    return f"{host}:{port}"
