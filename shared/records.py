"""Records in a NATS key-value bucket that many change at once, each by compare-and-set."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import BaseModel

from shared.errors import Conflict

R = TypeVar("R", bound=BaseModel)

# Writers of one record are the few functions of one run: more losses in a row than this is a bug, not contention.
_ATTEMPTS: Final = 20
# Records that are under way at once, of a few KiB each.
_REMEMBERED: Final = 512


class Records(Generic[R]):
    """The records of one kind.

    What was written or read last is remembered: most changes follow one made by this very process, and then need no
    reading first. It is only ever a guess, which the compare-and-set proves right or wrong.
    """

    def __init__(self, bucket: KeyValue, kind: type[R]) -> None:
        self._bucket = bucket
        self._kind = kind
        self._known: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    async def get(self, key: str) -> R | None:
        """The record as it is now; None where there is none."""
        found = await self._read(key)
        return self._kind.model_validate_json(found[0]) if found else None

    async def create(self, key: str, record: R) -> bool:
        """Writes a new record; False where there is one."""
        content = record.model_dump_json().encode()
        try:
            revision = await self._bucket.create(key, content)
        except KeyWrongLastSequenceError:
            return False
        self._remember(key, content, revision)
        return True

    async def update(self, key: str, change: Callable[[R], object]) -> R | None:
        """Applies `change`, which mutates the record in place, and repeats it where somebody else was faster.

        `change` must be cheap and repeatable; what it raises is raised, with nothing written. Nothing is written where
        it changes nothing. None where there is no such record. Raises Conflict `record.contended` after 20 losses.
        """
        guess = self._known.get(key)
        for _ in range(_ATTEMPTS):
            found = guess or await self._read(key)
            if found is None:
                return None
            content, revision = found
            record = self._kind.model_validate_json(content)
            try:
                change(record)
            except Exception:
                if guess is None:
                    raise
                guess = None  # it may be right about what the record is really like
                continue
            changed = record.model_dump_json().encode()
            if changed == content and guess is None:
                return record
            if changed != content and await self._write(key, changed, revision):
                return record
            guess = None
        raise Conflict("record.contended", f"The record {key} is being changed by too many at once.")

    async def _write(self, key: str, content: bytes, revision: int) -> bool:
        try:
            revision = await self._bucket.update(key, content, last=revision)
        except KeyWrongLastSequenceError:
            return False
        self._remember(key, content, revision)
        return True

    async def _read(self, key: str) -> tuple[bytes, int] | None:
        try:
            entry = await self._bucket.get(key)
        except (KeyNotFoundError, KeyDeletedError):
            entry = None
        if entry is None or not entry.value:  # nats-py gives a value of None for what has expired
            self._known.pop(key, None)
            return None
        self._remember(key, entry.value, entry.revision or 0)
        return entry.value, entry.revision or 0

    def _remember(self, key: str, content: bytes, revision: int) -> None:
        self._known[key] = content, revision
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
