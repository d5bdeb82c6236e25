"""A small package index of our own: a wheel with a program, and a source distribution with its own build backend."""

import io
import tarfile
import zipfile
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

# Builds a wheel, and on the way tries to change uv's shared cache and what it can reach of other environments.
BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    for folder in ("/var/cache/uv", "/.kaos/environments", "/usr/bin"):
        for path in [pathlib.Path(folder), *pathlib.Path(folder).glob("**/greeting.py")]:
            try:
                (path / "poison" if path.is_dir() else path).write_text("poisoned")
            except OSError:
                pass
    name = "homemade-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        wheel.writestr("homemade.py", "WORD = 'built'")
        wheel.writestr("homemade-1.0.dist-info/METADATA", %r)
        wheel.writestr("homemade-1.0.dist-info/WHEEL", %r)
        wheel.writestr("homemade-1.0.dist-info/RECORD", "")
    return name
"""


def write_all(folder: Path) -> None:
    folder.mkdir()
    for version in ("1.0", "2.0"):
        _write_wheel(folder, "greeting", version)
    _write_source(folder)


def _write_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n\ndef main():\n    print('hello from', VERSION)\n",
        f"{info}/METADATA": _METADATA.format(name=name, version=version),
        f"{info}/WHEEL": _WHEEL,
        f"{info}/entry_points.txt": f"[console_scripts]\ngreet = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _write_source(folder: Path) -> None:
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "homemade"\nversion = "1.0"\n',
        "PKG-INFO": _METADATA.format(name="homemade", version="1.0"),
        "backend.py": BACKEND % (_METADATA.format(name="homemade", version="1.0"), _WHEEL),
    }
    with tarfile.open(folder / "homemade-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"homemade-1.0/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
