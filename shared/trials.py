"""The trials of runs, in NATS key-value buckets of their own: of a grid of 10,000 they are 4 MB, and NATS takes 1 MB.

A run's record tells how many there are, and is read and changed at every step without them. They lie in chunks:
those that a job has ended with in `kaos-trials`; those that were heard of while it goes on in `kaos-live`, which
forgets them, so that whoever still tells of them can't overwrite what is final.
"""

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from nats.js.errors import KeyDeletedError, KeyNotFoundError
from nats.js.kv import KeyValue
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.runs import Run

# NATS takes messages of 1 MiB: 25 of the largest trials (16 KiB of metrics, 8 of parameters, a reason of 4 KiB at most,
# ids and numbers) are 730 KiB, 25 usual ones 10 KiB.
CHUNK: Final = 25
METRICS_BYTES: Final = 16 * 1024
_PARAMS_BYTES: Final = 8 * 1024
_REASON_CHARACTERS: Final = 1_000
_VALUE_CHARACTERS: Final = 200
# -2.2250738585072014e-308; and `: , `.
_NUMBER_BYTES: Final = 24
_BETWEEN_BYTES: Final = 4
# Chunks that are read or written at once.
_AT_ONCE: Final = 32

Metric = float | int | str


class Trial(BaseModel):
    """One datum of a train job: one combination of hyperparameters, one model."""

    model_config = ConfigDict(extra="ignore", validate_assignment=False)
    id: str  # the first digits of the datum id: see TRIAL_DIGITS
    datum: str = ""
    model: str = ""  # <source7>_<data7>[_<params7>]:<trial>
    state: str = ""
    params: dict[str, object] = {}
    metrics: dict[str, Metric] = {}
    step: float | int | None = None  # that the metrics were last told of, where the training tells
    told: int = -1  # the number of the report that was told last: see shared.events.MetricsReported
    omitted: bool = False  # more metrics or parameters than are kept
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    reason: str = ""


_CHUNK: Final = TypeAdapter(list[Trial])


class Trials:
    """The trials of all runs, under `<workspace>.<run>.<number of the chunk>`."""

    def __init__(self, final: KeyValue, live: KeyValue) -> None:
        self._final = final
        self._live = live

    async def keep(self, workspace: str, run: str, trials: Sequence[Trial]) -> None:
        """Writes what a job has ended with; the run's record must then be told how many there are."""
        await self._write(self._final, workspace, run, trials, range(chunks(len(trials))))

    async def keep_live(self, workspace: str, run: str, trials: Sequence[Trial], changed: Collection[int]) -> None:
        """Writes those chunks of what is known while a job goes on that have one of `changed` (indices) in them."""
        await self._write(self._live, workspace, run, trials, sorted({index // CHUNK for index in changed}))

    async def of(self, run: Run) -> list[Trial]:
        """All trials that the record speaks of, in its order; those of the run whose models it has, where it has."""
        bucket = self._live if run.trials_live else self._final
        limit = asyncio.Semaphore(_AT_ONCE)

        async def read(number: int) -> list[Trial]:
            async with limit:
                try:
                    entry = await bucket.get(_key(run.workspace, run.same_as or run.id, number))
                except (KeyNotFoundError, KeyDeletedError):
                    return []  # the workspace is being deleted
            return _CHUNK.validate_json(entry.value or b"[]")

        found = await asyncio.gather(*(read(number) for number in range(chunks(run.trial_count))))
        return [trial for chunk in found for trial in chunk]

    async def _write(
        self, bucket: KeyValue, workspace: str, run: str, trials: Sequence[Trial], numbers: Collection[int]
    ) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def write(number: int) -> None:
            chunk = [bounded(trial) for trial in trials[number * CHUNK : (number + 1) * CHUNK]]
            async with limit:
                await bucket.put(_key(workspace, run, number), _CHUNK.dump_json(chunk, exclude_defaults=True))

        await asyncio.gather(*(write(number) for number in numbers))


def chunks(trials: int) -> int:
    """How many chunks so many trials take."""
    return -(-trials // CHUNK)


def bounded(trial: Trial) -> Trial:
    """The trial as it can be kept: long texts are cut, and what is too much is left out and `omitted`."""
    reason = trial.reason[:_REASON_CHARACTERS]
    params = {name: _short(value) for name, value in trial.params.items()} if _large(trial.params) else trial.params
    found = {
        "params": dict(within(params, _PARAMS_BYTES)),
        "metrics": dict(within(trial.metrics, METRICS_BYTES)),
    }
    omitted = trial.omitted or found != {"params": trial.params, "metrics": trial.metrics}
    return trial.model_copy(update={**found, "reason": reason, "omitted": omitted})


def within(values: dict[str, object] | dict[str, Metric], limit: int) -> Iterator[tuple[str, object]]:
    """The first of `values` that take no more than `limit` bytes as JSON."""
    for name, value in values.items():
        limit -= weight(name, value)
        if limit < 0:
            return
        yield name, value


def weight(name: str, value: object) -> int:
    """What a name and its value take of a chunk, in bytes; any number as much as the longest."""
    texts = (json.dumps(each, ensure_ascii=False).encode(errors="replace") for each in (name, value))
    return len(next(texts)) + max(len(next(texts)), _NUMBER_BYTES) + _BETWEEN_BYTES


def _large(params: dict[str, object]) -> bool:
    return sum(weight(name, value) for name, value in params.items()) > _PARAMS_BYTES


def _short(value: object) -> object:
    """A value as people can read it; one that is cut is a text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"


def _key(workspace: str, run: str, chunk: int) -> str:
    return f"{workspace}.{run}.{chunk}"
