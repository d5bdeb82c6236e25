"""What ModifyFile asks for, once the content of files is stored."""

from dataclasses import dataclass
from typing import Any

from kaos.pachd.storage.trees import Node


@dataclass(frozen=True)
class Put:
    """Appends a stored file to what is at `path`."""

    path: str
    node: Node


@dataclass(frozen=True)
class Delete:
    """Removes the file at `path`, or with a trailing slash the directory."""

    path: str


@dataclass(frozen=True)
class Copy:
    """Puts what another commit has at `source` (a pfs_v2.File) at `path`."""

    path: str
    source: Any
    append: bool


Change = Put | Delete | Copy
