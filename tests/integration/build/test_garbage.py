"""What no image needs and no build uses is taken out of the store; what is needed stays, and all can be built again."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.build.builder.garbage import Collected, collect
from shared.errors import NotFound
from shared.images import ImageStore

NEVER = 0.0
TWICE = "FROM python:3.11\nCOPY . /opt/program/\nRUN pip install greeting==1.0\nRUN pip install homemade{more}\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the store is kept that the first test has made: making the environments takes seconds."""
    return tmp_path_factory.mktemp("built") / "images"


@pytest.fixture
def own(builder: Any, built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A builder with a store of its own, in which its bundle was built once."""
    if not built.exists():
        monkeypatch.setenv("KAOS_IMAGES", str(built))
        assert builder.build().status == 0
    builder.store = ImageStore(tmp_path / "images")
    subprocess.run(["cp", "-a", f"{built}/.", str(builder.store.root)], check=True)  # hard links among them stay links
    monkeypatch.setenv("KAOS_IMAGES", str(builder.store.root))
    return builder


def later() -> float:
    """When all that is there now is old."""
    return time.time() + 1000


def age(store: ImageStore) -> None:
    """As if nobody had built for long."""
    for kind in ("images", "layers", "environments"):
        for path in (store.root / kind).iterdir():
            os.utime(path, (0, 0))


def count(store: ImageStore) -> list[int]:
    return [len(list((store.root / kind).iterdir())) for kind in ("images", "layers", "environments", "scratch")]


def test_what_no_image_needs_is_removed_and_is_built_again(own: Any) -> None:
    first = own.build()
    assert collect(own.store, (), later()) == Collected(images=1, layers=4, environments=2, packages=0)
    assert count(own.store) == [0, 1, 0, 0], "of layers, uv's cache is left"
    with pytest.raises(NotFound, match="deploy its source again"):
        own.image(first)
    second = own.build()
    assert second.report["ref"] == first.report["ref"]
    assert own.run(second, "./train").stdout == "trained with 1.0\n"


def test_packages_that_no_environment_has_go_too(own: Any) -> None:
    assert collect(own.store, {own.build().report["digest"]}, later()).packages == 0
    collect(own.store, (), later())
    assert collect(own.store, (), later()).packages == 2, "setuptools, which Python brings, and greeting"
    assert not list(own.store.layer("uv").glob("var/cache/uv/archive-*/*"))
    assert own.run(own.build(), "greet").stdout == "hello from 1.0\n"


def test_what_an_image_needs_stays(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = own.build()
    named = {result.report["digest"]}
    collected = collect(own.store, named, later())
    assert (collected.images, collected.environments) == (0, 0)
    assert own.run(result, "./train").stdout == "trained with 1.0\n"
    age(own.store)
    collect(own.store, named, time.time() - 10)
    assert collect(own.store, (), time.time() - 10) == Collected(0, 0, 0, 0), "what was named is young"
    monkeypatch.setattr(sys.modules["functions.build.builder.uv"], "_run", None)  # the environment is not made again
    assert own.build().report["ref"] == result.report["ref"]


def test_a_build_goes_on_from_the_layers_of_an_image(own: Any) -> None:
    """A layer leads to the environment of its instruction, which need not be the image's."""
    own.dockerfile(TWICE.format(more=""))
    first = own.build()
    collect(own.store, {first.report["digest"]}, later())
    own.dockerfile(TWICE.format(more="; echo more"))
    second = own.build()
    assert second.status == 0, second
    assert own.run(second, "greet").stdout == "hello from 1.0\n"


def test_what_a_build_used_lately_stays(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own.build()
    age(own.store)
    own.build()
    assert collect(own.store, (), time.time() - 10) == Collected(0, 0, 0, 0)
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing is made again
    assert own.build().status == 0


def test_nothing_is_taken_from_a_build_under_way(own: Any) -> None:
    own.dockerfile("FROM python:3.11\nRUN echo begun; exec sleep 600\n")
    program = [sys.executable, "-m", "functions.build.builder", str(own.bundle), str(own.out)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as building:
        assert building.stdout is not None
        assert b"begun\n" in iter(building.stdout.readline, b"")
        before = count(own.store)
        collected = collect(own.store, (), later())
        building.kill()
    assert collected is None
    assert count(own.store) == before
    assert collect(own.store, (), later()) is not None


def test_a_build_waits_for_a_sweep(own: Any) -> None:
    with own.store.sweeping() as alone:
        assert alone
        program = [sys.executable, "-m", "functions.build.builder", str(own.bundle), str(own.out)]
        building = subprocess.Popen(program, stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            building.wait(timeout=0.5)
    said, _ = building.communicate(timeout=60)
    assert building.returncode == 0, said


def test_what_a_killed_sweep_left_is_removed(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own.build()
    removed: Callable[[], list[Any]] = own.store.left
    with monkeypatch.context() as killed:
        killed.setattr(own.store, "left", list)
        collect(own.store, (), later())
    assert removed()
    collect(own.store, (), NEVER)
    assert count(own.store)[-1] == 0


def test_no_link_in_a_layer_leads_the_sweep_astray(own: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    own.dockerfile(f"FROM python:3.11\nRUN mkdir -m 0 /opt/closed && ln -s {outside} /opt/link\n")
    assert own.build().status == 0
    assert collect(own.store, (), later()) is not None
    assert outside.stat().st_mode & 0o777 == 0o500
    assert count(own.store) == [0, 1, 0, 0]
