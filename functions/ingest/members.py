"""Reads the members of an archive one by one, by its content and never by its name, believing none of its claims."""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Final, cast

import zstandard

from shared.bucket import Readable
from shared.errors import Reject

_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_OFFSET: Final = 257
MAGIC_BYTES: Final = _TAR_MAGIC_OFFSET + len(_TAR_MAGIC)
_PIECE_BYTES: Final = 1 << 20
# Headers and small members are read ahead of: asking the connection for each of them would take longer than all else.
_AHEAD_BYTES: Final = 64 << 10
_ENCRYPTED_FLAG: Final = 0x1
# Headers that tar reads into memory whole: a path has 4,096 bytes at most, and a few more attributes fit too.
_TAR_HEADER_MAX_BYTES: Final = 64 * 1024
_TAR_LONG_HEADERS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# How the libraries say that an archive is damaged, or packed in a way that they don't know (NotImplementedError).
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)
# zstd may ask for a window of 2 GiB; what the tools write by default needs 8 MiB, `--long` 128 MiB.
_ZSTD_WINDOW_MAX_BYTES: Final = 128 * 2**20


@dataclass(frozen=True)
class Member:
    """A file or directory of an archive, under the name that the archive gives it. `pieces` reads its content."""

    name: str
    directory: bool
    pieces: Callable[[], Generator[bytes, None, None]]


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip, which can't be read from its start to its end."""
    return head.startswith(_ZIP_MAGIC)


@contextmanager
def members_of(file: Readable) -> Iterator[Iterator[Member]]:
    """The members of a zip, tar, tar.gz or tar.zst; each must be read before the next. A zip must be a file.

    Raises Reject `bundle.malformed`, `bundle.empty`, `bundle.encrypted` or `bundle.member`, and reading a member too.
    """
    head = file.read(MAGIC_BYTES)
    if not head:
        raise Reject("bundle.empty", "The bundle is an empty file: deploy a directory, or drop a whole archive.")
    with _damage_refused():
        if is_zip(head):
            with zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
                yield _zip_members(archive)
        else:
            with _tar(head, file) as members:
                yield members


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise Reject("bundle.malformed", f"The bundle is damaged or cut short ({error}): upload it again.") from error


class _Forward:
    """A stream that tells where it is, and seeks forwards only: that is all tarfile needs, and copies next to nothing.

    (Its own mode for streams copies each byte four times.) `ahead` has been read of it already.
    """

    def __init__(self, ahead: bytes, file: Readable) -> None:
        self._ahead, self._used = ahead, 0
        self._file, self._place = file, 0
        self.last = b""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` of them unless it ends before. Raises ValueError for a negative size."""
        if size < 0:
            raise ValueError("a part of it has an impossible size")
        piece = self._ahead[self._used : self._used + size]
        self._used += len(piece)
        if (missing := size - len(piece)) > 0:
            self._ahead = self._file.read(_AHEAD_BYTES) if missing < _AHEAD_BYTES else b""
            self._used = min(missing, len(self._ahead))
            piece += self._ahead[:missing] if self._ahead else self._file.read(missing)
        self._place += len(piece)
        self.last = piece
        return piece

    def tell(self) -> int:
        """How many bytes have been read or passed over."""
        return self._place

    def seek(self, place: int) -> None:
        """Passes over what comes before `place`."""
        if place < self._place:
            raise tarfile.StreamError("its headers lead backwards")
        while place > self._place and self.read(min(place - self._place, _PIECE_BYTES)):
            pass


@contextmanager
def _tar(head: bytes, file: Readable) -> Iterator[Iterator[Member]]:
    whole = cast("IO[bytes]", _Forward(head, file))
    if head.startswith(_GZIP_MAGIC):
        with gzip.GzipFile(fileobj=whole) as unpacked:
            yield _tar_members(_Forward(b"", unpacked))
    elif head.startswith(_ZSTD_MAGIC):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX_BYTES)
        with decompressor.stream_reader(whole, closefd=False) as unpacked:
            yield _tar_members(_Forward(b"", unpacked))
    elif head[_TAR_MAGIC_OFFSET:] == _TAR_MAGIC:
        yield _tar_members(_Forward(head, file))
    else:
        raise Reject(
            "bundle.malformed", "The bundle is neither zip nor tar, tar.gz or tar.zst: pack it as one of these."
        )


class _Header(tarfile.TarInfo):
    """A tar header that is refused before tar believes its size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """As the parent's. Raises Reject `bundle.member`."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _TAR_LONG_HEADERS and header.size > _TAR_HEADER_MAX_BYTES):
            raise Reject("bundle.member", f"The bundle's header of {header.name[:100]!r} has an impossible size.")
        return header


def _tar_members(file: _Forward) -> Iterator[Member]:
    with tarfile.open(fileobj=cast("IO[bytes]", file), mode="r:", tarinfo=_Header) as tar:
        for header in tar:
            if header.issparse() or not (header.isreg() or header.isdir()):
                raise _not_a_file(header.name, _kind(header))
            yield Member(header.name, header.isdir(), partial(_tar_pieces, file, header))
            # The list of headers serves nothing here, and grows with the archive.
            tar.members = []  # type: ignore[attr-defined]  # the stub does not name it; the documentation of tarfile does
    if len(file.last) < tarfile.BLOCKSIZE or file.last.strip(b"\0"):
        # tarfile takes whatever is no header for the end.
        raise tarfile.ReadError("it has no end")


def _tar_pieces(file: _Forward, header: tarfile.TarInfo) -> Generator[bytes, None, None]:
    with _damage_refused():
        file.seek(header.offset_data)
        left = header.size
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise tarfile.ReadError("unexpected end of data")
            left -= len(piece)
            yield piece


def _kind(header: tarfile.TarInfo) -> str:
    if header.issym():
        return "a symbolic link"
    if header.islnk():
        return "a hard link"
    return "a sparse file" if header.issparse() else "a device or pipe"


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    infos = archive.infolist()
    _refuse_overlaps(infos)
    for info in infos:
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise Reject("bundle.encrypted", "The bundle is encrypted: pack it without a password.")
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _not_a_file(info.orig_filename, "a symbolic link" if kind == stat.S_IFLNK else "a device or pipe")
        # orig_filename: what the archive says; `filename` has been cut at a NUL by zipfile.
        yield Member(info.orig_filename, info.is_dir(), partial(_zip_pieces, archive, info))


def _zip_pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Generator[bytes, None, None]:
    with _damage_refused(), archive.open(info) as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _refuse_overlaps(infos: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a small zip claims to hold petabytes; bytes before the first hide another."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end or (end == 0 and info.header_offset):
            raise Reject("bundle.malformed", "The bundle's zip members overlap or follow other data: pack it anew.")
        end = info.header_offset + info.compress_size + 30  # a local header has 30 bytes at least (APPNOTE 4.3.7)


def _not_a_file(name: str, kind: str) -> Reject:
    return Reject(
        "bundle.member",
        f"{name[:200]!r} in the bundle is {kind}: bundles hold plain files and directories only.",
    )
