"""What a bundle is, whatever archive it came in: its tree hash and its id. Light to import: the CLI uses it too."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# As many digits as people read: 7 hex digits are 28 bits, and the branch `b-<hash16>` tells the rare twins apart.
SHORT_DIGITS: Final = 7
# Of a file's start, what tells a program.
PROGRAM_BYTES: Final = 4
# 16 hex digits are 64 bits: two bundles of one workspace meet by chance once in 2^32 bundles.
_BRANCH_DIGITS: Final = 16


@dataclass(frozen=True, order=True)
class Entry:
    """A file of a bundle: path relative to its root with `/`, whether it is a program, SHA-256 in hex, bytes."""

    path: str
    executable: bool
    sha256: str
    size: int


def is_program(start: bytes) -> bool:
    """Whether a file that begins so is meant to be executed: a script, or ELF.

    Modes don't tell: archives made on Windows have none, and Pachyderm keeps none, so what comes back would be another
    bundle than what went in.
    """
    return start.startswith((b"#!", b"\x7fELF"))


def tree_hash(entries: Iterable[Entry]) -> str:
    """SHA-256 in hex over sorted (path, program?, content hash): independent of archive format, modes, order, times."""
    digest = hashlib.sha256()
    for entry in sorted(entries):
        # NUL ends the path: no path holds one, so no two trees write the same bytes.
        digest.update(f"{entry.path}\0{'x' if entry.executable else '-'}{entry.sha256}\n".encode())
    return digest.hexdigest()


def bundle_id(name: str, tree: str) -> str:
    """`<name>:<hash7>`, as in `mnist:e23a2f1`."""
    return f"{name}:{tree[:SHORT_DIGITS]}"


def content_branch(name: str, tree: str) -> str:
    """The branch whose head holds the bundle, and nothing else: how Pachyderm is asked for it.

    A bundle's files lie below its id, so that the same tree under another name is other content.
    """
    return f"b-{hashlib.sha256(f'{bundle_id(name, tree)}{tree}'.encode()).hexdigest()[:_BRANCH_DIGITS]}"
