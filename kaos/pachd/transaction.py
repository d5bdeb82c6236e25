"""One write to the engine's state: what it changes, and the commit set that it makes."""

import sqlite3
from dataclasses import dataclass, field


@dataclass
class Transaction:
    """An open write. All commits and jobs it makes share `id` (32 hex); `now` is in ns since the epoch.

    `moved` are the branches (rowids) whose head or provenance changed: what is downstream of them gets new commits
    before the transaction ends. `renewed` get one although nothing above them has changed.
    """

    connection: sqlite3.Connection
    id: str
    now: int
    moved: set[int] = field(default_factory=set)
    renewed: set[int] = field(default_factory=set)

    def forget(self) -> None:
        """What was only tried has changed nothing."""
        self.moved.clear()
        self.renewed.clear()
