"""Two small indexes over the runs, in NATS key-value buckets: what was trained before, and who waits for inputs."""

import hashlib
import json
from collections.abc import Callable

from nats.js.errors import KeyDeletedError, KeyNotFoundError
from nats.js.kv import KeyValue
from pydantic import BaseModel

from shared.records import Records
from shared.runs import Options


def fingerprint(contents: tuple[str, ...], options: Options) -> str:
    """What a training is known by: the hashes of image, data and params, and the resources of a trial.

    How many trials run at once changes nothing in what comes out.
    """
    asked = options.model_dump(exclude={"parallelism"}, exclude_none=True)
    return hashlib.sha256(json.dumps([*contents, asked], sort_keys=True).encode()).hexdigest()


class Trained:
    """Fingerprint → the run that trained it, in KV bucket `kaos-trained` under `<workspace>.<fingerprint>`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def find(self, workspace: str, known_by: str) -> str:
        """The id of the run, or empty."""
        try:
            entry = await self._bucket.get(f"{workspace}.{known_by}")
        except (KeyNotFoundError, KeyDeletedError):
            return ""
        return (entry.value or b"").decode()

    async def note(self, workspace: str, known_by: str, run: str) -> None:
        """The newest run of a fingerprint counts."""
        await self._bucket.put(f"{workspace}.{known_by}", run.encode())


class _Waiters(BaseModel):
    """The ids of the runs of one workspace."""

    runs: frozenset[str] = frozenset()


class Waiting:
    """The runs that wait for an input, in KV bucket `kaos-waiting`: under each workspace the ids of its own.

    One key, so that a new input costs one read: nearly always, nobody waits.
    """

    def __init__(self, bucket: KeyValue) -> None:
        self._records = Records(bucket, _Waiters)

    async def add(self, workspace: str, run: str) -> None:
        """Notes one; before it looks for the last time whether it need wait. Raises Conflict."""
        if not await self._records.create(workspace, _Waiters(runs=frozenset({run}))):
            await self._change(workspace, lambda runs: runs | {run})

    async def remove(self, workspace: str, run: str) -> None:
        """Forgets one that waits no more. Raises Conflict."""
        await self._change(workspace, lambda runs: runs - {run})

    async def of(self, workspace: str) -> list[str]:
        """The runs of a workspace that may wait, oldest first."""
        found = await self._records.get(workspace)
        return sorted(found.runs) if found else []

    async def _change(self, workspace: str, change: Callable[[frozenset[str]], frozenset[str]]) -> None:
        def apply(waiters: _Waiters) -> None:
            waiters.runs = change(waiters.runs)

        await self._records.update(workspace, apply)
