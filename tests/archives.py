"""Archives as people and attackers make them, built in memory."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from typing import Final

import zstandard

SOURCE: Final = {
    "Dockerfile": b"FROM python:3.11\n",
    "model/requirements.txt": b"",
    "model/train": b"#!/usr/bin/env python\n",
}


def make_tar(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """Modes, times and owners that must not matter, but that `train` is executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.uid = len(content), 0o4755 if "train" in name else 0o600, 7, 99
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return buffer.getvalue()


def make_zip(files: dict[str, bytes]) -> bytes:
    """The same as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | (0o755 if "train" in name else 0o600)) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    """A link or device for a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


FORMATS: Final[dict[str, Callable[[dict[str, bytes]], bytes]]] = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": lambda files: gzip.compress(make_tar(files)),
    "tar.zst": lambda files: zstandard.compress(make_tar(files)),
}
