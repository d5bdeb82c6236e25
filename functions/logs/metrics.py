"""What a training reports of a trial while it runs, and how much of that is kept.

    {"kaos": {"loss": 0.25, "accuracy": 0.91, "step": 3}}     a line of its output, in any language
    metrics/*.json in the output directory                    rewritten; the embedded engine tells of it

What is not exactly that is a line like any other. User code may write what it likes: names and texts are short, numbers
finite, and of a trial no more is kept than its record can hold.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from shared.trials import METRICS_BYTES, Metric, weight

_MARK: Final = '"kaos"'
# How the embedded engine begins to tell of a file of metrics.
_ENGINE_MARK: Final = '{"metrics":'
_NAME_CHARACTERS: Final = 100
_TEXT_CHARACTERS: Final = 200
# What every reader of JSON takes for an integer of its own.
_INTEGER_MAX: Final = 2**63 - 1
# A grid of 10,000 with as many metrics as one trial may have would be 160 MiB: those that come later get less.
_FULL_TRIALS: Final = 1_000
_LATER_BYTES: Final = 2 * 1024


class Report(BaseModel):
    """What was reported at once. `seq` counts from 0 within a trial; `step` is where the training was."""

    model_config = ConfigDict(frozen=True)
    trial: str
    seq: int
    time: datetime
    metrics: dict[str, Metric]
    step: float | int | None = None


class Metrics:
    """The newest value of each metric of a trial, as far as there is room. `number`: how many trials came before it."""

    def __init__(self, number: int = 0) -> None:
        self.values: dict[str, Metric] = {}
        self.omitted = False
        self._weights: dict[str, int] = {}
        self._left = METRICS_BYTES if number < _FULL_TRIALS else _LATER_BYTES

    def add(self, found: Mapping[str, Metric]) -> None:
        """Takes newer values; what is beyond the room is left out, and `omitted` tells so. Known numbers always fit."""
        for name, value in found.items():
            self._left += self._weights.pop(name, 0)
            needed = weight(name, value)
            if needed > self._left:
                self.omitted = True
                self.values.pop(name, None)  # rather than an old value for the newest
                continue
            self._left -= needed
            self._weights[name] = needed
            self.values[name] = value


def of_line(text: str) -> tuple[dict[str, Metric], float | int | None] | None:
    """The metrics and the step of a line of user code; None where it reports nothing."""
    if not text.startswith("{") or _MARK not in text[:16]:
        return None
    found = _object(text)
    if found is None or found.keys() != {"kaos"} or not isinstance(found["kaos"], dict):
        return None
    told: dict[str, Any] = found["kaos"]
    step = told.pop("step", None)
    metrics = values(told)
    return (metrics, _step(step)) if metrics else None


def of_engine(text: str) -> dict[str, Metric] | None:
    """The metrics of a line of the engine's own; None where it tells something else."""
    found = _object(text) if text.startswith(_ENGINE_MARK) else None
    metrics = values(found["metrics"]) if found and isinstance(found["metrics"], dict) else None
    return metrics or None


def values(found: Mapping[str, object]) -> dict[str, Metric]:
    """What of an object is a metric: numbers and short texts. True, false, NaN and infinity become texts."""
    read = ((name, _value(value)) for name, value in found.items() if _is_name(name))
    return {name: value for name, value in read if value is not None}


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _NAME_CHARACTERS and name.isprintable()


def _value(value: object) -> Metric | None:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return value if abs(value) <= _INTEGER_MAX else None
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            # Half characters, which JSON may spell out, are none that could be kept.
            text = value.encode(errors="replace").decode()
            return text if len(text) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"
        case _:
            return None


def _step(step: object) -> float | int | None:
    read = _value(step)
    return None if isinstance(read, str) else read
