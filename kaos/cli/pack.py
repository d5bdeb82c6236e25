"""Packs a directory into the archive that is uploaded, and tells the bundle's tree hash on the way."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from shared.bundles import PROGRAM_BYTES, Entry, is_program, tree_hash
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


@dataclass(frozen=True)
class Packed:
    """An archive: where it is, the tree hash of what it holds, and its bytes as unpacked."""

    path: Path
    tree: str
    unpacked: int


def files(root: Path) -> list[tuple[str, Path]]:
    """Every file below `root` with its path in the bundle, sorted. Links to files count as the files.

    Raises Reject `bundle.empty`, or `bundle.member` for what is neither file nor directory.
    """
    found = sorted((path.relative_to(root).as_posix(), path) for path in _walk(root))
    if not found:
        raise Reject("bundle.empty", f"{root} holds no files: deploy a directory that does.")
    return found


def pack(found: list[tuple[str, Path]], to: Path, advance: Advance, *, compress: bool) -> Packed:
    """Writes the files into the archive `to`, a tar (of zstd where `compress`); `advance` is told of bytes read.

    Raises OSError where a file can't be read.
    """
    with (
        to.open("wb") as file,
        _compressed(file) if compress else nullcontext(file) as sink,
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.copybufsize = _BLOCK_BYTES  # type: ignore[attr-defined]  # documented nowhere but in tarfile's source
        entries = [_add(tar, name, path, advance) for name, path in found]
    return Packed(to, tree_hash(entries), sum(entry.size for entry in entries))


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


def _compressed(file: IO[bytes]) -> IO[bytes]:
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL, threads=-1).stream_writer(file, closefd=False)


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


def _add(tar: tarfile.TarFile, name: str, path: Path, advance: Advance) -> Entry:
    with path.open("rb") as file:
        seen = os.fstat(file.fileno())
        executable = is_program(file.read(PROGRAM_BYTES))
        file.seek(0)
        header = tarfile.TarInfo(name)
        header.size, header.mode = seen.st_size, 0o755 if executable else 0o644
        reader = _Hashing(file, advance)
        tar.addfile(header, reader)
    return Entry(name, executable, reader.digest.hexdigest(), seen.st_size)


class _Hashing:
    """A file that is hashed as tar reads it: every byte is read from the disk once."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self.digest = hashlib.sha256()
        self._file, self._advance = file, advance

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        self.digest.update(block)
        self._advance(len(block))
        return block
