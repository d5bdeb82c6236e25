"""Two small indexes over the runs, in NATS key-value buckets: what was trained before, and who waits for inputs."""

import hashlib
import json

from nats.js.errors import KeyDeletedError, KeyNotFoundError
from nats.js.kv import KeyValue

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


class Waiting:
    """The runs that wait for an input, in KV bucket `kaos-waiting` under `<workspace>.<run>`.

    Without it, each new input would have to look through all runs there ever were.
    """

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def add(self, workspace: str, run: str) -> None:
        """Notes one; before it looks for the last time whether it need wait."""
        await self._bucket.put(f"{workspace}.{run}", b"1")

    async def remove(self, workspace: str, run: str) -> None:
        """Forgets one that waits no more."""
        await self._bucket.purge(f"{workspace}.{run}")

    async def of(self, workspace: str) -> list[str]:
        """The runs of a workspace that may wait."""
        watcher = await self._bucket.watch(f"{workspace}.*", ignore_deletes=True)
        found = []
        try:
            async for entry in watcher:
                if entry is None:  # nats-py's mark for: that was all there is now
                    break
                found.append(entry.key.partition(".")[2])
        finally:
            await watcher.stop()
        return found
