"""Which runtime a machine gets, and what its user is told."""

from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes import choose as chosen
from kaos.pachd.runtimes.choose import RuntimeMissing, choose
from kaos.pachd.runtimes.container import Container
from shared.images import ImageStore


@pytest.fixture
def no_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "available", lambda _: "bwrap is not installed.")


@pytest.mark.parametrize("setting", ["auto", "bubblewrap"])
def test_where_sandboxes_work_they_are_used(setting: str, sandboxes: ImageStore, directory: Path) -> None:
    runtime, said = choose(setting, sandboxes, directory, {})
    assert runtime.name == "bubblewrap"
    assert said.startswith("Jobs run in bubblewrap sandboxes, without network.")
    assert "with the host's network" in choose(setting, sandboxes, directory, {}, network=True)[1]


@pytest.mark.usefixtures("no_sandboxes", "no_link")
def test_elsewhere_the_user_is_told_loudly(store: ImageStore, directory: Path) -> None:
    runtime, said = choose("auto", store, directory, {})
    assert runtime.name == "plain"
    assert said.startswith("JOBS ARE NOT ISOLATED")
    assert "bwrap is not installed." in said
    assert "PACHD_RUNTIME says so" in choose("plain", store, directory, {})[1]


@pytest.mark.usefixtures("no_sandboxes")
def test_what_was_asked_for_and_is_missing_is_an_error(
    store: ImageStore, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeMissing, match="bwrap is not installed"):
        choose("bubblewrap", store, directory, {})
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeMissing, match="podman is not installed"):
        choose("podman", store, directory, {})


@pytest.mark.usefixtures("no_link")
def test_limits_that_can_not_hold_are_told(store: ImageStore, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaos.pachd.runtimes.cgroups.hierarchies", lambda: iter(()))
    assert "cpu not at all, memory only process by process" in choose("plain", store, directory, {})[1]


@pytest.mark.usefixtures("no_link")
async def test_system_images_are_programs(store: ImageStore, image: str, directory: Path, tmp_path: Path) -> None:
    runtime, _ = choose("plain", store, directory, {"kaos/builder": {"A": "b"}})
    heard = bytearray()

    def container(name: str, which: str, *cmd: str) -> Any:
        return Container(name, which, cmd, (), tmp_path)

    ended = await runtime.run(container("one", "kaos/builder", "sh", "-c", "true"), heard.extend)
    assert "functions" in ended.reason
    assert (await runtime.run(container("two", image, "sh", "-c", "true"), heard.extend)).code == 0
