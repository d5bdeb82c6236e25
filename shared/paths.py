"""The paths of files in a bundle, whatever brings it: legal in Pachyderm, inside the bundle, no two in one place."""

import hashlib
from typing import Final

_DEPTH_MAX: Final = 32
_NAME_MAX_BYTES: Final = 255  # of every file system that matters
# Pachyderm refuses these in paths (and everything that is not printable ASCII).
_FORBIDDEN: Final = frozenset("*?[]{}!()@+^")
# 64 bits tell a million paths apart but for once in 30 million bundles; that one is refused, not mixed up.
_DIGEST_BYTES: Final = 8


def parts_of(path: str) -> tuple[str, ...]:
    """The names along a relative path; empty for `.`, the bundle itself.

    Raises ValueError where it leads elsewhere or can't be a path in Pachyderm: the reason, fit to follow the path.
    """
    if path.startswith("/") or "\\" in path or (len(path) > 1 and path[1] == ":"):
        raise ValueError("is not a relative path with forward slashes")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts:
        raise ValueError("leads out of the bundle")
    if len(parts) > _DEPTH_MAX:
        raise ValueError(f"is deeper than {_DEPTH_MAX} directories")
    for part in parts:
        if not (part.isascii() and part.isprintable()) or _FORBIDDEN & set(part):
            raise ValueError("has characters that Pachyderm refuses: use ASCII without *?[]{}!()@+^")
        if len(part) > _NAME_MAX_BYTES:
            raise ValueError(f"has a name longer than {_NAME_MAX_BYTES} bytes")
    return parts


class Claims:
    """The paths that a bundle has so far. It keeps digests of them: there may be a million."""

    def __init__(self) -> None:
        # What a path becomes where case is folded → what it is, and whether it is a directory.
        self._known: dict[bytes, tuple[bytes, bool]] = {}

    def add(self, parts: tuple[str, ...], *, directory: bool = False) -> None:
        """Takes a path and the directories above it.

        Raises ValueError where it collides with an earlier one, also where only a file system that folds case, as
        macOS's and Windows', would take the two for one.
        """
        for depth in range(1, len(parts) + 1):
            prefix = "/".join(parts[:depth])
            claim = (_digest(prefix), directory or depth < len(parts))
            known = self._known.setdefault(_digest(prefix.casefold()), claim)
            if known[0] != claim[0]:
                raise ValueError("differs from another path in case only")
            if known[1] != claim[1]:
                raise ValueError("is both a file and a directory")
            if known is not claim and not claim[1]:
                raise ValueError("is there twice")


def _digest(path: str) -> bytes:
    return hashlib.blake2b(path.encode(), digest_size=_DIGEST_BYTES).digest()
