"""Events are CloudEvents 1.0, whose ids say what they tell and nothing else."""

from datetime import UTC, datetime

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from shared.consumer import runs_of
from shared.events import (
    CommitFinished,
    Data,
    Event,
    JobFinished,
    LogLine,
    MetricsReported,
    ObjectCreated,
    RunChanged,
    new_event,
)
from shared.objects import bare_run_id

WHEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
COMMIT = CommitFinished(workspace="mnist", repo="source", commit="c" * 32, run="01j", bundle="mnist:e23a2f1")
JOB = JobFinished(workspace="mnist", stage="train", pipeline="train-a", job="j" * 32, runs=("01j",), outcome="failed")
LINE = LogLine(workspace="mnist", run="01j", stage="train", job="j", seq=3, time=WHEN, text="\x1b[31mä\x00")
METRICS = MetricsReported(
    workspace="mnist",
    run="01j",
    job="j",
    trial="cebf65",
    seq=3,
    time=WHEN,
    metrics={"loss": 0.5, "n": 3, "note": "nan"},
)
OBJECT = ObjectCreated(workspace="mnist", bucket="kaos-inbox", key="mnist/source/a b+c.zip", size=1, etag="e")
RUN = RunChanged(workspace="mnist", run="01j", state="succeeded", models=("a_b:c",))
ALL = (COMMIT, JOB, LINE, METRICS, OBJECT, RUN)


@pytest.mark.parametrize("data", ALL, ids=lambda data: data.type)
def test_the_reference_implementation_reads_what_we_write(data: Data) -> None:
    event = new_event(data, source="test", time=WHEN)
    read = JSONFormat().read(CloudEvent, event.to_bytes())
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, "/kaos/test", data.type)
    assert read.get_subject() == data.subject()
    assert read.get_time() == WHEN
    assert read.get_data() == data.model_dump(mode="json", exclude_none=True)


@pytest.mark.parametrize("data", ALL, ids=lambda data: data.type)
def test_what_is_written_is_read_back_the_same(data: Data) -> None:
    event = new_event(data, source="test")
    assert Event[type(data)].model_validate_json(event.to_bytes()) == event


def test_the_same_thing_told_twice_has_one_id() -> None:
    assert new_event(COMMIT, source="a", time=WHEN).id == new_event(COMMIT, source="b").id


def test_different_things_have_different_ids() -> None:
    others = [
        *ALL,
        COMMIT.model_copy(update={"commit": "d" * 32}),
        COMMIT.model_copy(update={"run": "01k"}),
        OBJECT.model_copy(update={"etag": "f"}),
        RUN.model_copy(update={"state": "failed"}),
        LINE.model_copy(update={"seq": 4}),
        METRICS.model_copy(update={"seq": 4}),
        METRICS.model_copy(update={"run": "01k"}),
        JOB.model_copy(update={"runs": ("01k",)}),
    ]
    assert len({new_event(data, source="test").id for data in others}) == len(others)


def test_a_newer_writers_fields_are_ignored_and_missing_ones_are_not() -> None:
    assert RunChanged.model_validate({**RUN.model_dump(), "added": 1}) == RUN
    with pytest.raises(ValidationError):
        RunChanged.model_validate({"workspace": "mnist", "run": "01j"})


def test_an_event_speaks_of_the_runs_that_it_names_and_a_bare_object_of_its_own() -> None:
    assert runs_of(new_event(COMMIT, source="test")) == ("01j",)
    assert runs_of(new_event(JOB, source="test")) == ("01j",)
    bare = new_event(OBJECT, source="test")
    assert runs_of(bare) == (bare_run_id(bare),)
    named = new_event(OBJECT.model_copy(update={"metadata": {"kaos-run": "01k"}}), source="test")
    assert runs_of(named) == ("01k", bare_run_id(named))
