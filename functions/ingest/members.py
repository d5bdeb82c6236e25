"""Reads the members of an archive one by one, by its content and never by its name, believing none of its claims."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Final, Literal, cast

import zstandard

from shared.bucket import Readable
from shared.errors import Reject

_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_OFFSET: Final = 257
MAGIC_BYTES: Final = _TAR_MAGIC_OFFSET + len(_TAR_MAGIC)
# What is read at once of a member, and of a tar: with 10 KiB, tar's own, reading costs as much as hashing; with 1 MiB
# each small member would cost a copy of the rest of it.
_PIECE_BYTES: Final = 1 << 20
_TAR_BUFFER_BYTES: Final = 64 << 10
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
            with _tar(cast("IO[bytes]", _Rejoined(head, file)), head) as tar:
                yield _tar_members(tar)


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise Reject("bundle.malformed", f"The bundle is damaged or cut short ({error}): upload it again.") from error


class _Rejoined:
    """A file whose first bytes have been read, read from its start."""

    def __init__(self, head: bytes, file: Readable) -> None:
        self._head, self._file = head, file

    def read(self, size: int = -1, /) -> bytes:
        head, self._head = self._head, b""
        return head + self._file.read(max(size - len(head), 0)) if head else self._file.read(size)


@contextmanager
def _tar(file: IO[bytes], head: bytes) -> Iterator[tarfile.TarFile]:
    if head.startswith(_GZIP_MAGIC):
        with _stream(file, "r|gz") as tar:
            yield tar
    elif head.startswith(_ZSTD_MAGIC):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX_BYTES)
        with decompressor.stream_reader(file, closefd=False) as raw, _stream(raw, "r|") as tar:
            yield tar
    elif head[_TAR_MAGIC_OFFSET:] == _TAR_MAGIC:
        with _stream(file, "r|") as tar:
            yield tar
    else:
        raise Reject(
            "bundle.malformed", "The bundle is neither zip nor tar, tar.gz or tar.zst: pack it as one of these."
        )


def _stream(file: IO[bytes], mode: Literal["r|", "r|gz"]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode=mode, bufsize=_TAR_BUFFER_BYTES, tarinfo=_Header)


class _Header(tarfile.TarInfo):
    """A tar header that is refused before tar believes its size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """As the parent's. Raises Reject `bundle.member`."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _TAR_LONG_HEADERS and header.size > _TAR_HEADER_MAX_BYTES):
            raise Reject("bundle.member", f"The bundle's header of {header.name[:100]!r} has an impossible size.")
        return header


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for header in tar:
        if header.issparse() or not (header.isreg() or header.isdir()):
            raise _not_a_file(header.name, _kind(header))
        yield Member(header.name, header.isdir(), partial(_pieces, partial(_content, tar, header)))
        # In stream mode the list of headers serves nothing, and grows with the archive.
        tar.members = []  # type: ignore[attr-defined]  # the stub does not name it; the documentation of tarfile does


def _content(tar: tarfile.TarFile, header: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(header)
    if content is None:
        raise _not_a_file(header.name, "nothing")
    return content


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
        yield Member(info.orig_filename, info.is_dir(), partial(_pieces, partial(archive.open, info)))


def _pieces(opened: Callable[[], IO[bytes]]) -> Generator[bytes, None, None]:
    with _damage_refused(), opened() as content:
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
