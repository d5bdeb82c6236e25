"""A small package index of our own: a wheel with a program, and source distributions with backends of their own."""

import io
import tarfile
import zipfile
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

_BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    {attack}
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        wheel.writestr("{name}.py", "WORD = 'built'")
        wheel.writestr("{name}-1.0.data/scripts/{name}", "#!python\\nimport {name}\\nprint({name}.WORD)\\n")
        wheel.writestr("{name}-1.0.dist-info/METADATA", {metadata!r})
        wheel.writestr("{name}-1.0.dist-info/WHEEL", {wheel!r})
        wheel.writestr("{name}-1.0.dist-info/RECORD", "")
    return name
"""
# Tries to change uv's shared cache, what it can reach of other environments, and the machine.
_ATTACK = """
    for folder in ("/var/cache/uv", "/.kaos/environments", "/usr/bin"):
        for path in [pathlib.Path(folder), *pathlib.Path(folder).glob("**/greeting.py")]:
            try:
                (path / "poison" if path.is_dir() else path).write_text("poisoned")
            except OSError:
                pass
"""


def write_all(folder: Path) -> None:
    """Fills a folder for UV_FIND_LINKS; `folder`/registry is an index that has no package."""
    (folder / "registry").mkdir(parents=True)
    for version in ("1.0", "2.0"):
        _write_wheel(folder, "greeting", version)
    _write_source(folder, "hostile", _ATTACK)
    _write_source(folder, "homemade", "")


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


def _write_source(folder: Path, name: str, attack: str) -> None:
    metadata = _METADATA.format(name=name, version="1.0")
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n',
        "PKG-INFO": metadata,
        "backend.py": _BACKEND.format(name=name, attack=attack, metadata=metadata, wheel=_WHEEL),
    }
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
