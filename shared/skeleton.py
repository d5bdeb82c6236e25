"""The lowest layer of every image: empty directories to mount the host at, and what containers have in /etc."""

import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from shared.images import digest_of, keep

# The environment's fixed path. Builds put a link there instead, and move it as `pip install` makes new environments.
PYTHON = "/.kaos/python/current"
# Every environment of the store: what the link of a build leads to.
ENVIRONMENTS = "/.kaos/environments"
# Where a job sees its inputs and its output: always an empty directory of its own, whatever a layer holds.
INPUTS = "/pfs"
# Where a build puts its own `pip`.
SHIM = "/.kaos/shim"

# The host's own system, read-only. /usr/local is the image's, as it is in the official Python images.
_DIRECTORIES = (
    *(f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share", "include", "games")),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    # Certificates, never the keys that lie beside them.
    *("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates"),
    *("/etc/crypto-policies", "/etc/alternatives", "/etc/fonts", "/etc/ld.so.conf.d"),
    # How many processors there are: the thread pools of numpy and torch read it.
    "/sys/devices/system",
)
_FILES = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols", "/etc/gai.conf"),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/etc/mime.types"),
)
_OWN = ("/proc", "/dev", INPUTS, PYTHON, ENVIRONMENTS, SHIM)
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the image's own
_EMPTY = (
    *("/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/var/cache", "/var/lib", "/var/log"),
    *("/usr/local/bin", "/usr/local/lib", "/usr/local/share", "/usr/local/include"),
)
_TEXTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
# A script that names its interpreter by the official images' path gets the image's environment.
_WRAPPER = f'#!/bin/sh\nexec {PYTHON}/bin/python "$@"\n'


@dataclass(frozen=True)
class Host:
    """What of the host a sandbox shows: directories and files bound read-only, and links made anew."""

    directories: tuple[str, ...]
    files: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    def mountpoints(self) -> tuple[str, ...]:
        """Every path that a sandbox mounts over."""
        return (*self.directories, *self.files, *_OWN)


@cache
def host(python: Path) -> Host:
    """The system directories of this machine, and the installation of `python` where it lies outside them."""
    links = tuple((path, str(Path(path).readlink())) for path in _DIRECTORIES if Path(path).is_symlink())
    directories = [path for path in _DIRECTORIES if Path(path).is_dir() and not Path(path).is_symlink()]
    prefix = python.resolve().parent.parent
    if prefix != Path("/usr"):
        directories.append(str(prefix))
    return Host(tuple(directories), tuple(path for path in _FILES if Path(path).is_file()), links)


def skeleton(store: Path, python: Path) -> Path:
    """The skeleton's directory in the store; made where it isn't there yet (of two makers, one wins)."""
    seen = host(python)
    key = digest_of([asdict(seen), _OWN, _EMPTY, _TEXTS, _WRAPPER, python.name])[:16]
    path = store / "skeletons" / key
    if not path.exists():
        draft = store / "scratch" / f"skeleton-{uuid.uuid4().hex}"
        _make(draft, seen, python.name)
        if not keep(draft, path):
            shutil.rmtree(draft)
    return path


def _make(root: Path, seen: Host, python: str) -> None:
    for path in (*seen.directories, *_OWN, *_EMPTY, *_TEMPORARY):
        _in(root, path).mkdir(parents=True, exist_ok=True)
    for path in seen.files:
        _in(root, path).parent.mkdir(parents=True, exist_ok=True)
        _in(root, path).touch()
    for path, target in seen.links:
        _in(root, path).parent.mkdir(parents=True, exist_ok=True)
        _in(root, path).symlink_to(target)
    for path, text in _TEXTS.items():
        _in(root, path).write_text(text)
    if "/usr/local" not in seen.directories:
        for name in {"python", "python3", python}:
            wrapper = _in(root, f"/usr/local/bin/{name}")
            wrapper.write_text(_WRAPPER)
            wrapper.chmod(0o755)
    for path in _TEMPORARY:
        _in(root, path).chmod(0o1777)
    _in(root, "/root").chmod(0o700)


def _in(root: Path, path: str) -> Path:
    return root / os.path.relpath(path, "/")
