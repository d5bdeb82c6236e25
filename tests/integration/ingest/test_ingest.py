"""From an object to a finished commit."""

import json
from typing import Any

import pytest

from functions.ingest import commit as commit_module
from shared.errors import Reject
from tests.archives import FORMATS, SOURCE, make_tar, make_zip, special
from tests.integration.ingest.conftest import Inbox, together, told_differently

SECOND = {name: content + b"\n" for name, content in SOURCE.items()}


async def test_every_format_is_the_same_bundle_and_the_content_is_stored_once(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (suffix, pack) in enumerate(FORMATS.items()):
        files = {f"mnist/{path}": content for path, content in SOURCE.items()} if number % 2 else SOURCE
        await inbox.ingest(await inbox.drop("source", f"mnist.{suffix}", pack(files)))
        monkeypatch.setattr(commit_module, "_upload", None)  # whoever uploads again fails
    runs = (await inbox.runs.list(inbox.workspace))[::-1]
    parts = [run.parts["source"] for run in runs]
    assert {part.bundle for part in parts} == {parts[0].bundle}
    assert [part.known for part in parts] == [False, True, True, True]
    assert len({part.commit for part in parts}) == len(FORMATS), "each run has a commit of its own"
    for part in parts:
        paths = await inbox.files("source", part.commit)
        assert paths == {f"/{part.bundle}/{path}": content for path, content in SOURCE.items()}
    heads = await inbox.heads("source")
    assert heads["master"] == parts[-1].commit
    assert len(heads) == 2, "no branch of a run is left"


async def test_the_commit_names_its_run_and_its_bundle(inbox: Inbox) -> None:
    await inbox.ingest(await inbox.drop("data", "d.tar", make_tar({"a/b.csv": b"1,2\n", "empty": b""})))
    [info] = await inbox.commits("data")
    run = await inbox.only_run()
    assert json.loads(info.description) == {"kaos-run": run.id, "kaos-bundle": run.parts["data"].bundle}
    assert (info.error, info.HasField("finished"), info.commit.id) == ("", True, run.parts["data"].commit)
    assert (run.state, run.expected, run.parts["data"].name) == ("ingesting", ("data",), "d")


async def test_hyperparameters_become_a_file_a_combination(inbox: Inbox) -> None:
    grid = b'{"degree": [3, 4], "kernel": ["rbf", "poly"]}'
    await inbox.ingest(await inbox.drop("params", "grid.json", grid))
    part = (await inbox.only_run()).parts["params"]
    files = await inbox.files("params", part.commit)
    combinations = [json.loads(content) for content in files.values()]
    assert sorted((each["degree"], each["kernel"]) for each in combinations) == [
        (3, "poly"),
        (3, "rbf"),
        (4, "poly"),
        (4, "rbf"),
    ]
    assert all(path.count("/") == 1 for path in files)


async def test_a_redelivery_makes_no_second_commit(inbox: Inbox) -> None:
    event = await inbox.drop("data", "d.zip", make_zip({"a": b"1"}))
    for _ in range(3):
        await inbox.ingest(event)
    assert len(await inbox.commits("data")) == 1


async def test_an_object_that_is_told_of_in_several_words_at_once_is_one_run(inbox: Inbox) -> None:
    event = await inbox.drop("data", "d.zip", make_zip({"a": b"1"}))
    events = [event, *(told_differently(event) for _ in range(3))]
    assert await together(*(inbox.ingest(each) for each in events)) == [None] * 4
    run = await inbox.only_run()
    assert [info.commit.id for info in await inbox.commits("data")] == [run.parts["data"].commit]


async def test_the_same_under_another_name_is_another_bundle(inbox: Inbox) -> None:
    body = make_zip({"a": b"1"})
    for name in ("d.zip", "e.zip", "d.tar"):
        await inbox.ingest(await inbox.drop("data", name, body))
    parts = [run.parts["data"] for run in (await inbox.runs.list(inbox.workspace))[::-1]]
    assert [(part.name, part.known) for part in parts] == [("d", False), ("e", False), ("d", True)]
    for part in parts:
        assert list(await inbox.files("data", part.commit)) == [f"/{part.bundle}/a"]


async def test_two_runs_bring_the_same_bundle_at_once(inbox: Inbox) -> None:
    body = make_tar(SOURCE)
    runs = [await inbox.submit(source="m.tar") for _ in range(4)]
    events = [await inbox.put(run.parts["source"].key, body) for run in runs]
    assert await together(*(inbox.ingest(event) for event in events)) == [None] * 4
    found = [(await inbox.runs.get(inbox.workspace, run.id)).parts["source"] for run in runs]
    assert len({part.commit for part in found}) == 4
    assert len({part.bundle for part in found}) == 1
    for part in found:
        assert len(await inbox.files("source", part.commit)) == len(SOURCE)


async def test_a_submission_s_objects_are_parts_of_its_run(inbox: Inbox) -> None:
    run = await inbox.submit(source="m.zip", data="d.zip")
    for kind, files in (("source", SOURCE), ("data", {"a": b"1"})):
        await inbox.ingest(await inbox.put(run.parts[kind].key, make_zip(files)))  # type: ignore[index]
    found = await inbox.only_run()
    assert (found.id, found.complete()) == (run.id, True)


async def test_a_third_party_may_name_the_run_in_the_metadata(inbox: Inbox) -> None:
    run = await inbox.submit(data="d.zip")
    await inbox.ingest(await inbox.drop("data", "other.zip", make_zip({"a": b"1"}), kaos_run=run.id))
    assert (await inbox.only_run()).complete()


async def test_a_run_that_does_not_expect_the_bundle_is_not_believed(inbox: Inbox) -> None:
    run = await inbox.submit(data="d.zip")
    foreign = run.parts["data"].key.replace("d.zip", "e.zip")
    unknown = foreign.replace(run.id, run.id[:-1] + ("0" if run.id[-1] != "0" else "1"))
    for key in (foreign, unknown):
        await inbox.ingest(await inbox.put(key, make_zip({"a": b"1"})))
    await inbox.ingest(await inbox.drop("source", "m.zip", make_zip(SOURCE), kaos_run=run.id))
    await inbox.ingest(await inbox.drop("source", "n.zip", make_zip(SOURCE), kaos_run="*"))
    assert not (await inbox.runs.get(inbox.workspace, run.id)).parts["data"].commit
    assert len(await inbox.runs.list(inbox.workspace)) == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (make_tar({"../e": b"x"}), "bundle.path"),
        (make_zip({"/etc/e": b"x"}), "bundle.path"),
        (make_tar({"a": b"x"}, special("b", b"2", "/etc/passwd")), "bundle.member"),
        (make_zip({"a": b"x"})[:40], "bundle.malformed"),
        (b"not an archive", "bundle.malformed"),
        (b"", "bundle.empty"),
        (make_tar({"a": b"x"}), "bundle.no-dockerfile"),
    ],
)
async def test_what_can_be_no_bundle_ends_its_run_and_leaves_nothing(inbox: Inbox, body: bytes, code: str) -> None:
    event = await inbox.drop("source", "m.zip", body)
    for _ in range(2):
        await inbox.ingest(event)
    run = await inbox.only_run()
    assert run.error is not None
    assert (run.state, run.error.code) == ("rejected", code)
    assert await inbox.commits("source") == []
    assert "master" not in await inbox.heads("source")


async def test_a_name_that_no_bundle_may_have_is_shown_as_a_rejected_run(inbox: Inbox) -> None:
    for name in ("a b+c é%2F.zip", "ü.zip"):
        event = await inbox.drop("data", name, make_zip({"a": b"1"}))
        for _ in range(2):
            with pytest.raises(Reject):
                await inbox.ingest(event)
    runs = await inbox.runs.list(inbox.workspace)
    assert [run.error and run.error.code for run in runs] == ["bundle.name"] * 2


@pytest.mark.parametrize("key", ["sauce/a.zip", "data/x/a.zip", "a"])
async def test_what_lies_elsewhere_is_nobody_s_run(inbox: Inbox, key: str) -> None:
    with pytest.raises(Reject) as refused:
        await inbox.ingest(await inbox.put(f"{inbox.workspace}/{key}", b"x"))
    assert refused.value.code == "bundle.key"
    assert await inbox.runs.list(inbox.workspace) == []


async def test_names_with_all_that_is_allowed_in_them(inbox: Inbox) -> None:
    files = {"a b/c,d~e.txt": b"1", "x=1&y#2;%20.csv": b"2", "'quoted\"|<>$`": b"3", "-rf": b"4"}
    await inbox.ingest(await inbox.drop("data", "My_data-2.v1.zip", make_zip(files)))
    part = (await inbox.only_run()).parts["data"]
    found: dict[str, Any] = {f"/{part.bundle}/{path}": content for path, content in files.items()}
    assert await inbox.files("data", part.commit) == found


async def test_an_object_that_is_gone_ends_the_submission_and_makes_no_run_of_its_own(inbox: Inbox) -> None:
    run = await inbox.submit(data="d.zip")
    events = [
        await inbox.put(run.parts["data"].key, make_zip({"a": b"1"})),
        await inbox.drop("data", "d.zip", make_zip({"a": b"1"})),
    ]
    for event in events:
        await inbox.bucket.call(
            lambda client, key=event.data.key: client.delete_object(Bucket=inbox.settings.inbox_bucket, Key=key)
        )
        await inbox.ingest(event)
    ended = await inbox.only_run()
    assert ended.error is not None
    assert (ended.id, ended.state, ended.error.code) == (run.id, "rejected", "object.gone")


async def test_a_bare_object_that_was_replaced_is_what_replaced_it(inbox: Inbox) -> None:
    first = await inbox.drop("data", "d.zip", make_zip({"a": b"1"}))
    second = await inbox.drop("data", "d.zip", make_zip({"a": b"2"}))
    for event in (first, second):
        await inbox.ingest(event)
    part = (await inbox.only_run()).parts["data"]
    assert list((await inbox.files("data", part.commit)).values()) == [b"2"]
