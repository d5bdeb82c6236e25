"""Reads the files of a bundle once, for its tree hash, and compresses them on the way where that is worth it."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from kaos.cli.tar import Member, State, changed, info
from shared.bundles import PROGRAM_BYTES, Entry, is_program
from shared.errors import Reject

# What tools leave behind: no bundle means them, and each would make a new version of the same code.
SKIPPED: Final = frozenset({".git", ".hg", ".svn", ".DS_Store", "__pycache__", ".ipynb_checkpoints"})
# The default of zstd: more than 200 MB/s a core, which is faster than the lines that bundles travel.
_LEVEL: Final = 3
# From here on compressing takes longer than anybody overlooks, and gains nothing where a sample stays as it is.
_SAMPLED_MIN_BYTES: Final = 64 << 20
_WORTH_IT: Final = 0.95
# With tar's own 16 KiB, a progress bar costs as much as the hashing.
_BLOCK_BYTES: Final = 1 << 20

Advance = Callable[[int], None]


def files(root: Path) -> list[tuple[str, Path]]:
    """Every file below `root` with its path in the bundle, sorted. Links to files count as the files.

    Raises Reject `bundle.empty`, or `bundle.member` for what is neither file nor directory.
    """
    found = sorted((path.relative_to(root).as_posix(), path) for path in _walk(root))
    if not found:
        raise Reject("bundle.empty", f"{root} holds no files: deploy a directory that does.")
    return found


def look(found: Iterable[tuple[str, Path]], advance: Advance) -> list[Member]:
    """Reads the files, telling `advance` of the bytes. Raises OSError, or KaosError `bundle.changed`."""
    return [_read(name, path, advance, _passed_over) for name, path in found]


def compress(found: Iterable[tuple[str, Path]], to: Path, advance: Advance) -> list[Member]:
    """The same, and writes them into the archive `to`, a tar of zstd."""
    import zstandard

    with (
        to.open("wb") as file,
        zstandard.ZstdCompressor(level=_LEVEL, threads=-1).stream_writer(file, closefd=False) as sink,
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.copybufsize = _BLOCK_BYTES  # type: ignore[attr-defined]  # documented nowhere but in tarfile's source
        return [_read(name, path, advance, tar.addfile) for name, path in found]


def gets_smaller(found: list[tuple[str, Path]]) -> bool:
    """Whether compressing is worth its time, judged by a sample of the largest file: images and archives are not.

    Of small bundles it always is: nobody notices.
    """
    import zstandard

    sizes = {path: path.stat().st_size for _, path in found}
    largest = max(sizes, key=lambda path: sizes[path])
    if sum(sizes.values()) < _SAMPLED_MIN_BYTES:
        return True
    with largest.open("rb") as file:
        file.seek(sizes[largest] // 2)
        sample = file.read(_BLOCK_BYTES)
    return len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) < _WORTH_IT * len(sample)


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as children:
        for child in children:
            path = Path(child.path)
            if child.name in SKIPPED:
                continue
            if child.is_dir(follow_symlinks=False):
                yield from _walk(path)
            elif child.is_file():
                yield path
            else:
                kind = "a link to a directory or to nothing" if child.is_symlink() else "a device or pipe"
                raise Reject("bundle.member", f"{path} is {kind}: bundles hold plain files and directories only.")


def _read(name: str, path: Path, advance: Advance, take: Callable[[tarfile.TarInfo, "_Hashing"], None]) -> Member:
    """What a file is; `take` reads it, to its end."""
    with path.open("rb") as file:
        state = State.of(file)
        executable = is_program(file.read(PROGRAM_BYTES))
        file.seek(0)
        reader = _Hashing(file, path, state.size, advance)
        take(info(name, state.size, executable=executable), reader)
        if State.of(file) != state:
            raise changed(path)
    return Member(path, state, Entry(name, executable, reader.digest.hexdigest(), state.size))


def _passed_over(_: tarfile.TarInfo, reader: "_Hashing") -> None:
    while reader.read(_BLOCK_BYTES):
        pass


class _Hashing:
    """A file that is hashed as it is read, to the end that it had at first: every byte is read from the disk once."""

    def __init__(self, file: IO[bytes], path: Path, size: int, advance: Advance) -> None:
        self.digest = hashlib.sha256()
        self._file, self._path, self._left, self._advance = file, path, size, advance

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises KaosError `bundle.changed` where there are fewer than there were."""
        block = self._file.read(min(size, self._left) if size >= 0 else self._left)
        if not block and self._left:
            raise changed(self._path)
        self._left -= len(block)
        self.digest.update(block)
        self._advance(len(block))
        return block
