"""What the engine says of itself: the version of Pachyderm whose API it serves, and who it is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc
from python_pachyderm.proto.v2.admin import admin_pb2, admin_pb2_grpc
from python_pachyderm.proto.v2.version.versionpb import version_pb2, version_pb2_grpc

# The behaviour that it was held against.
_VERSION: Final = (2, 7, 8)
_ADDITIONAL: Final = "+kaos.embedded"


class VersionService(version_pb2_grpc.APIServicer):  # type: ignore[misc]  # generated, untyped
    """versionpb_v2.API."""

    async def GetVersion(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's names
        """The version it is compatible with; `additional` tells it from a cluster."""
        major, minor, micro = _VERSION
        return version_pb2.Version(major=major, minor=minor, micro=micro, additional=_ADDITIONAL)


class AdminService(admin_pb2_grpc.APIServicer):  # type: ignore[misc]  # generated, untyped
    """admin_v2.API."""

    def __init__(self, identity: str) -> None:
        self._identity = identity

    async def InspectCluster(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The id is made once, with the engine's home."""
        return admin_pb2.ClusterInfo(id=self._identity, deployment_id=self._identity)


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated, untyped
    """grpc.health.v1.Health: as long as it answers it serves."""

    async def Check(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """SERVING."""
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def Watch(self, _request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """SERVING, until the stream breaks."""
        yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        await asyncio.Event().wait()
