"""Every error that kaos raises on purpose, and what each does to the event that caused it.

    KaosError                a sentence for a person, and a stable code
    ├── Reject               the user's fault: the run ends `rejected`; never retried
    ├── Retry                not now: the same event again after a delay; does not count as an attempt
    ├── Conflict             somebody else changed the same record first: read it again
    ├── NotFound             there is no such workspace, run, file, …
    └── Unreachable          a server that kaos needs does not answer

A handler that raises anything else is retried with a growing delay and dead-lettered after five attempts.
"""

from datetime import timedelta


class KaosError(Exception):
    """What happened, why, and what to do, in one sentence a user can act on.

    `code` is stable (`bundle.no-dockerfile`): programs may compare it, sentences may change.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class Reject(KaosError):
    """The input can never become a model; the user must change it."""


class Retry(KaosError):
    """What the handler needs is not there yet; ask again after `after`."""

    def __init__(self, message: str, *, after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__("internal.retry", message)
        self.after = after


class Conflict(KaosError):
    """A compare-and-set lost: the record has changed since it was read."""


class NotFound(KaosError):
    """The thing named does not exist (or belongs to another workspace)."""


class Unreachable(KaosError):
    """A server does not answer; the sentence names its address."""
