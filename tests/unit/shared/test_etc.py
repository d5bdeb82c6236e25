"""The layer with the host's settings follows them."""

from pathlib import Path

import pytest

from shared import etc as module
from shared.etc import etc, is_copied


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's own /etc, and beside it a store."""
    folder = tmp_path / "etc"
    (folder / "certs" / "deep").mkdir(parents=True)
    (folder / "hosts").write_text("127.0.0.1 localhost")
    (folder / "certs" / "a.pem").symlink_to("/usr/share/a.crt")
    (tmp_path / "store" / "scratch").mkdir(parents=True)
    (tmp_path / "store" / "skeletons").mkdir()
    monkeypatch.setattr(module, "_ETC", f"{folder}/")
    return folder


def test_it_is_made_once_and_anew_after_a_change(settings: Path, tmp_path: Path) -> None:
    store, paths = tmp_path / "store", [str(settings / "hosts"), str(settings / "certs"), "/usr/bin"]
    first = etc(store, paths)
    inside = first / str(settings).lstrip("/")
    assert (inside / "hosts").read_text() == "127.0.0.1 localhost"
    assert (inside / "certs" / "a.pem").readlink() == Path("/usr/share/a.crt")
    assert not (first / "usr").exists()
    assert etc(store, paths) == first
    (settings / "hosts").write_text("127.0.0.1 localhost other")
    second = etc(store, paths)
    assert second != first
    (settings / "certs" / "deep" / "b.pem").touch()
    assert etc(store, paths) not in (first, second)
    assert not list((store / "scratch").iterdir())


def test_names_are_looked_up_as_the_host_does_now() -> None:
    assert is_copied("/etc/resolv.conf", network=False)
    assert not is_copied("/etc/resolv.conf", network=True)
    assert is_copied("/etc/localtime", network=True)
    assert not is_copied("/usr/bin", network=False)
