"""The composition root: every function gets what it asks for, and no part ends unnoticed."""

import asyncio
from collections.abc import Coroutine, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kaos import serve
from shared.function import Function
from shared.settings import Settings

FUNCTIONS = [
    pytest.param(function, id=f"{part}.{function.name}")
    for part in serve.PARTS
    if part not in {"gateway", "relay"}
    for function in cast("tuple[Function, ...]", import_module(f"functions.{part}").FUNCTIONS)
]


class Everything:
    """Stands in for the services."""

    def __getattr__(self, name: str) -> str:
        return name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_gets_what_it_asks_for(function: Function) -> None:
    given = serve.dependencies(function, cast("Any", "bus"), cast("Any", Everything()))

    assert given
    assert all(name == value for name, value in given.items())


def test_what_nobody_offers_is_noticed_at_the_start() -> None:
    async def handler(event: object, *, unheard_of: object) -> None: ...

    function = Function("f", "f", cast("Any", object), handler, 1)
    with pytest.raises(KeyError, match="unheard_of"):
        serve.dependencies(function, cast("Any", None), cast("Any", Everything()))


@pytest.mark.parametrize("images", [True, False])
def test_images_are_swept_where_builds_keep_them_on_this_machine(images: bool, tmp_path: Path) -> None:
    services: Any = SimpleNamespace(
        **{name: name for name in ("runs", "jobs", "objects", "pachyderm", "bucket")},
        bus=SimpleNamespace(named=lambda _: "bus"),
        settings=Settings(images=tmp_path / "images" if images else None),
    )
    works = dict(serve._works("build", services))
    for work in works.values():
        work.close()

    assert [*works] == ["build.build", *(["build.sweep"] if images else [])]


def test_there_is_no_part_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.main(["ingest", "nothing"])

    assert ended.value.code == 2
    assert "there is no part 'nothing'" in capsys.readouterr().err


class Parts:
    """Two parts: `steady` runs until it is cancelled, `other` does what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, other: Coroutine[Any, Any, None]) -> None:
        self.cancelled = False
        monkeypatch.setattr(serve, "_works", self._works)
        self._other = other

    def _works(self, part: str, _: object) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        yield part, self._steady() if part == "steady" else self._other

    async def _steady(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


async def fails() -> None:
    raise OSError("the disk is gone")


async def ends() -> None:
    return


async def lasts() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("other", [fails, ends])
async def test_where_one_part_ends_all_do(other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch, other())

    async with asyncio.timeout(10):
        well = await serve.serve(cast("Any", None), ["steady", "other"], until=asyncio.Event())

    assert not well
    assert parts.cancelled


async def test_told_to_stop_it_stops_well(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, stop = Parts(monkeypatch, lasts()), asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)

    async with asyncio.timeout(10):
        assert await serve.serve(cast("Any", None), ["steady", "other"], until=stop)

    assert parts.cancelled
