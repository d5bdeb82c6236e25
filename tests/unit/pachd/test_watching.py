"""Files of metrics are told when they change, and nothing that user code puts in the way is followed or waited for."""

import json
import os
from pathlib import Path

import pytest

from kaos.pachd.pps.watching import Known, changes


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """The folder of metrics of a training."""
    folder = tmp_path / "out" / "cebf65" / "metrics"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def out(metrics: Path) -> Path:
    return metrics.parent.parent


def told(out: Path, known: Known | None = None) -> list[object]:
    return [json.loads(text)["metrics"] for text in changes(out, {} if known is None else known)]


def test_a_file_is_told_when_it_is_new_and_when_it_has_changed(out: Path, metrics: Path) -> None:
    known: Known = {}
    (metrics / "metrics.json").write_text('{"loss": 0.5}')
    assert told(out, known) == [{"loss": 0.5}]
    assert told(out, known) == []
    (metrics / "metrics.json").write_text('{"loss": 0.25}')
    assert told(out, known) == [{"loss": 0.25}]
    (metrics / "more.json").write_text('{"accuracy": 1}')
    assert told(out, known) == [{"accuracy": 1}]


def test_a_file_that_is_half_written_is_read_again(out: Path, metrics: Path) -> None:
    known: Known = {}
    path = metrics / "metrics.json"
    path.write_text('{"loss": ')
    about = path.stat()
    assert told(out, known) == []
    # Even where no clock tells that it was written since.
    path.write_text('{"a": 123')
    path.write_text('{"a": 12}')
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert told(out, known) == [{"a": 12}]


def test_only_numbers_and_texts_are_told(out: Path, metrics: Path) -> None:
    (metrics / "metrics.json").write_text(
        '{"loss": 1, "list": [1], "name": "a", "object": {}, "none": null, "ok": true}'
    )
    assert told(out) == [{"loss": 1, "name": "a", "ok": True}]


@pytest.mark.parametrize("content", ["", "[]", "1", "{", "[" * 10_000, '{"a": "' + "x" * 16_384 + '"}', "\xff"])
def test_what_is_no_small_object_is_left_alone(out: Path, metrics: Path, content: str) -> None:
    (metrics / "metrics.json").write_text(content, encoding="latin-1")
    assert told(out) == []


def test_other_files_are_left_alone(out: Path, metrics: Path) -> None:
    (metrics / "metrics.txt").write_text('{"loss": 1}')
    (metrics.parent / "loss.json").write_text('{"loss": 1}')
    (out / "metrics").mkdir()
    (out / "metrics" / "loss.json").write_text('{"loss": 1}')
    (metrics / "deeper").mkdir()
    (metrics / "deeper" / "loss.json").write_text('{"loss": 1}')
    assert told(out) == []


def test_links_lead_nowhere(out: Path, metrics: Path, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "metrics"
    secret.mkdir(parents=True)
    (secret / "metrics.json").write_text('{"secret": 1}')
    (metrics / "metrics.json").symlink_to(secret / "metrics.json")
    (out / "linked").symlink_to(secret.parent)
    (out / "other").mkdir()
    (out / "other" / "metrics").symlink_to(secret)
    assert told(out) == []
    out.rename(out.with_name("moved"))
    out.symlink_to(out.with_name("moved"))
    assert told(out) == []


def test_a_pipe_is_not_waited_for(out: Path, metrics: Path) -> None:
    os.mkfifo(metrics / "metrics.json")
    assert told(out) == []


def test_what_vanishes_meanwhile_is_nothing(out: Path, metrics: Path) -> None:
    (metrics / "metrics.json").write_text('{"loss": 1}')
    looking = changes(out, {})
    (metrics / "metrics.json").unlink()
    metrics.rmdir()
    assert [*looking] == []


def test_of_a_flood_of_files_only_some_are_looked_at(out: Path, metrics: Path) -> None:
    for number in range(200):
        (metrics / f"{number}.json").write_text('{"loss": 1}')
    assert len(told(out)) == 32
