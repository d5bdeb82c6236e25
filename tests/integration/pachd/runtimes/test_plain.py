"""Without sandboxes: the link at /pfs, and an image's filesystem made of copies."""

import asyncio
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes import farm
from kaos.pachd.runtimes.cgroups import Cgroups
from kaos.pachd.runtimes.plain import Plain
from shared.images import Image, ImageStore
from shared.skeleton import PYTHON


@pytest.fixture
def linked(plain: Any, store: ImageStore, directory: Path, cgroups: Cgroups) -> Any:
    """A runtime whose containers all see /pfs itself."""
    plain.runtime = Plain(store, directory, cgroups)
    if not plain.runtime.has_link:
        pytest.skip("there is something at /pfs, or no link can be made there")
    return plain


async def test_with_a_link_at_pfs_a_bundle_runs_unchanged(linked: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text("1")
    (tmp_path / "hyper.json").write_text('{"rate": 2}')
    inputs = (("data/mnist:9fd9d03", tmp_path / "data"), ("hyper/a.json", tmp_path / "hyper.json"))
    result = await linked("sh", stdin=b"exec ./train /pfs/out", inputs=inputs)
    assert result.output == b"trained on mnist:9fd9d03\n"
    assert (result.out / "model").read_text() == "2 1"


async def test_with_a_link_at_pfs_all_containers_of_the_machine_take_turns(linked: Any, directory: Path) -> None:
    script = '[ -z "$(ls /pfs/out)" ] && touch /pfs/out/mine && sleep 0.05 && ls /pfs/out'
    outs = [linked.container("sh", "-c", script) for _ in range(6)]
    other = Plain(linked.runtime._store, directory, Cgroups("", ()))
    runtimes = [linked.runtime, other] * 3
    ended = await asyncio.gather(
        *(runtime.run(container, lambda _: None) for runtime, container in zip(runtimes, outs, strict=True))
    )
    assert [each.code for each in ended] == [0] * 6
    assert all((container.out / "mine").exists() for container in outs)
    assert not Path("/pfs").is_symlink()  # noqa: ASYNC240


async def test_the_link_that_a_killed_engine_left_is_replaced(linked: Any, tmp_path: Path) -> None:
    link = tmp_path / "pfs"
    link.symlink_to(tmp_path / "gone")
    linked.runtime._link = link
    assert (await linked("sh", "-c", f"touch {link}/out/x")).exit.code == 0
    assert not link.is_symlink()


async def test_a_cancelled_container_gives_its_turn_back(linked: Any) -> None:
    waiting = [
        asyncio.create_task(linked.runtime.run(linked.container("sleep", "60"), lambda _: None)) for _ in range(2)
    ]
    await asyncio.sleep(0)
    for task in reversed(waiting):
        task.cancel()
    await asyncio.wait(waiting, timeout=2)
    assert all(task.cancelled() for task in waiting)
    assert (await linked("true")).exit.code == 0


def test_what_lies_at_pfs_is_left_alone(store: ImageStore, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    assert not Plain(store, directory, Cgroups("", ()), link=tmp_path / "directory").has_link
    assert not Plain(store, directory, Cgroups("", ()), link=tmp_path / "no" / "pfs").has_link


async def test_programs_of_the_environment_run(plain: Any, store: ImageStore) -> None:
    """Those of packages begin as the builder makes them: they start the Python beside them."""
    folder = store.environment("e1") / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (folder / "greet").write_text('#!/bin/sh\nexec "$(dirname "$(realpath "$0")")"/python -c "print(\'hello\')"\n')
    (folder / "greet").chmod(0o755)
    image = Image.sealed(
        layers=(), environment="e1", python=sys.executable, env={"PATH": f"/.kaos/shim/bin:{PYTHON}/bin:/usr/bin:/bin"}
    )
    store.put(image)
    result = await plain("sh", "-c", "greet; command -v python", image=f"x@sha256:{image.digest}")
    assert result.output.decode() == f"hello\n{folder}/python\n"


async def test_the_image_never_changes(plain: Any, store: ImageStore) -> None:
    assert (await plain("sh", "-c", "echo changed >train; echo new >more; ls")).output == b"more\ntrain\n"
    assert sorted(os.listdir(store.layer("a" * 32) / "opt/program")) == ["train"]  # noqa: PTH208
    assert b"trained on" in (store.layer("a" * 32) / "opt/program/train").read_bytes()


async def test_variables_that_name_places_of_the_image_name_the_copy(plain: Any) -> None:
    result = await plain("sh", "-c", 'ls "$LIBRARY"; "$0" x 2>&1 | tail -1', "/opt/program/train")
    assert result.output.startswith(b"train\n")
    assert result.output.endswith(b"StopIteration\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make whiteouts")
def test_layers_are_merged_as_overlayfs_merges_them(tmp_path: Path) -> None:
    low, high, root = tmp_path / "low", tmp_path / "high", tmp_path / "root"
    for folder in (low / "kept", low / "hidden", low / "gone", high / "hidden", high / "kept", root, low / "wasdir"):
        folder.mkdir(parents=True)
    for file in (low / "kept/a", low / "hidden/a", low / "gone/a", low / "file", high / "hidden/b", high / "kept/b"):
        file.write_text(file.parts[-3])
    (low / "link").symlink_to("/etc")
    (high / "link").mkdir()
    (high / "link" / "passwd").write_text("ours")
    (high / "wasdir").write_text("")
    for whiteout in ("gone", "file"):
        os.mknod(high / whiteout, stat.S_IFCHR, os.makedev(0, 0))
    os.setxattr(high / "hidden", "trusted.overlay.opaque", b"y")
    farm.merge([low, high], root)
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert found == {"kept", "kept/a", "kept/b", "hidden", "hidden/b", "link", "link/passwd", "wasdir"}
    assert "ours" not in Path("/etc/passwd").read_text()
