"""kaos train get: the folders it makes, and that nothing which a training wrote gets out of them."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, job, record, run_id

JOB = "a" * 32


def tar(**files: str) -> bytes:
    """A tar of these files; the name's `__` stand for slashes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755 if name.endswith("train") else 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


@pytest.fixture
def trained(gateway: Gateway) -> Gateway:
    gateway.add_workspace("mnist")
    gateway.runs = [record(1, "succeeded", train=job("succeeded", JOB))]
    gateway.tars = {
        "code": tar(**{"mnist/Dockerfile": "FROM", "mnist/model/train": "#!"}),
        "data": tar(**{"features/test/t.csv": "1,2"}),
        "model": tar(**{"e2_9f:cebf65/model/m.pkl": "pickle", "e2_9f:cebf65/metrics/metrics.json": "{}"}),
    }
    return gateway


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_models_and_code_come_without_options(trained: Gateway, call: Call, tmp_path: Path) -> None:
    result = call("train", "get", "-w", "mnist", "-o", tmp_path / "out")

    assert result.code == 0, result.err
    assert _files(tmp_path / "out") == [
        f"mnist/{JOB}/code/mnist/Dockerfile",
        f"mnist/{JOB}/code/mnist/model/train",
        f"mnist/{JOB}/models/e2_9f:cebf65/metrics/metrics.json",
        f"mnist/{JOB}/models/e2_9f:cebf65/model/m.pkl",
    ]
    assert (tmp_path / f"out/mnist/{JOB}/code/mnist/model/train").stat().st_mode & 0o777 == 0o755


def test_only_what_is_asked_for_comes(trained: Gateway, call: Call, tmp_path: Path) -> None:
    result = call("train", "get", "-w", "mnist", "-d", "--json")

    assert json.loads(result.out) == {"run": run_id(1), "files": {"data": [f"mnist/{JOB}/data/features"]}}
    assert _files(tmp_path / "mnist") == [f"{JOB}/data/features/test/t.csv"]


def test_one_model_is_asked_for_by_its_id(trained: Gateway, call: Call) -> None:
    call("train", "get", "-w", "mnist", "--model_id", "e2_9f:cebf65")

    assert any("files/model?trial=e2_9f%3Acebf65" in query for query in trained.queries)
    assert not any("files/code" in query for query in trained.queries)


def test_what_is_there_is_left_as_it_is(trained: Gateway, call: Call, tmp_path: Path) -> None:
    edited = tmp_path / f"mnist/{JOB}/code/mnist/Dockerfile"
    call("train", "get", "-w", "mnist", "-c")
    edited.write_text("mine")

    assert call("train", "get", "-w", "mnist", "-c").code == 0
    assert edited.read_text() == "mine"


@pytest.mark.parametrize("name", ["../../out.txt", "/tmp/out.txt", "a/../../out.txt", "a\\..\\out.txt"])
def test_paths_that_lead_out_are_refused_and_leave_nothing(
    trained: Gateway, call: Call, tmp_path: Path, name: str
) -> None:
    trained.tars["model"] = tar(**{"ok:1/model/m": "x", name: "out"})

    result = call("train", "get", "-w", "mnist", "-m")

    assert result.code == 1
    assert "get.unsafe" in result.err
    assert not list(tmp_path.rglob("out.txt"))
    assert _files(tmp_path / "mnist") == []


def test_links_are_refused(trained: Gateway, call: Call, tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        link = tarfile.TarInfo("id:1/model")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    trained.tars["model"] = content.getvalue()

    assert "get.unsafe" in call("train", "get", "-w", "mnist", "-m").err


def test_a_download_that_breaks_off_leaves_nothing(trained: Gateway, call: Call, tmp_path: Path) -> None:
    trained.break_off["code"] = 1

    result = call("train", "get", "-w", "mnist", "-c")

    assert result.code == 3
    assert _files(tmp_path / "mnist") == []


def test_what_a_run_does_not_have_is_said(trained: Gateway, call: Call) -> None:
    del trained.tars["data"]

    assert "[files.none]" in call("train", "get", "-w", "mnist", "-d").err
