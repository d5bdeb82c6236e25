"""What is shipped works without the repository: the wheel, in an environment of nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "environment"
    # With the versions of uv.lock: newer ones of tomorrow are no failure of today's commit.
    _uv("export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "-o", str(folder / "requirements.txt"))
    _uv("build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    _uv("venv", "--quiet", "-p", sys.executable, str(environment))
    python = environment / "bin" / "python"
    [wheel] = folder.glob("*.whl")
    _uv("pip", "install", "--quiet", "-p", str(python), "-r", str(folder / "requirements.txt"))
    _uv("pip", "install", "--quiet", "--no-deps", "-p", str(python), str(wheel))
    return environment / "bin"


def test_the_command_line_and_its_templates_are_there(installed: Path, tmp_path: Path) -> None:
    assert "deploy" in _run(installed / "kaos", "train", "--help", cwd=tmp_path)
    for name in ("diabetes", "mnist"):
        _run(installed / "kaos", "template", "get", "--name", name, cwd=tmp_path)
        assert _files(tmp_path / name) == _files(ROOT / "kaos" / "templates" / name)


def test_the_web_page_is_there(installed: Path, tmp_path: Path) -> None:
    program = "from functions.gateway import page; print(*sorted(page.read()))"
    folder = ROOT / "functions" / "gateway" / "web"
    assert _run(installed / "python", "-c", program, cwd=tmp_path).split() == sorted(_files(folder))


def test_a_stack_of_the_wheel_alone_comes_up(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        assert "kaos is up" in _run(installed / "kaos", "up", "--detach", cwd=tmp_path, home=home)
        assert "mine" in _run(installed / "kaos", "workspace", "create", "-n", "mine", cwd=tmp_path, home=home)
    finally:
        _run(installed / "kaos", "down", cwd=tmp_path, home=home)


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _uv(*arguments: str) -> None:
    subprocess.run([uv.find_uv_bin(), *arguments], cwd=ROOT, check=True)


def _run(program: Path, *arguments: str, cwd: Path, home: Path | None = None) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "KAOS_HOME": str(home or cwd)}
    done = subprocess.run([str(program), *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
