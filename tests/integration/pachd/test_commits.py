"""Commits: started, finished, named, listed."""

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode


def test_a_commit_from_start_to_finish(project: Project) -> None:
    commit = project.start(description="why")
    assert len(commit.id) == 32
    opened = project.info(commit)
    assert (opened.description, opened.origin.kind) == ("why", pfs_pb2.OriginKind.USER)
    assert not opened.HasField("finished")
    assert project.client.inspect_branch("r", "master", project_name=project.name).head.id == commit.id
    project.client.put_file_bytes(commit, "/a", b"123")
    project.client.finish_commit(commit, description="because")
    finished = project.info(commit)
    assert finished.HasField("finishing")
    assert finished.HasField("finished")
    assert (finished.details.size_bytes, finished.description, finished.error) == (3, "because", "")


def test_a_commit_begins_with_its_parents_files(project: Project) -> None:
    first = project.commit({"/a": b"1"})
    second = project.commit({"/b": b"2"})
    assert project.files(second) == {"/a": b"1", "/b": b"2"}
    assert project.files(first) == {"/a": b"1"}
    assert project.info(second).parent_commit.id == first.id
    assert [child.id for child in project.info(first).child_commits] == [second.id]


def test_a_commit_with_an_error_passes_on_nothing(project: Project) -> None:
    project.commit({"/a": b"1"})
    failed = project.start()
    project.client.put_file_bytes(failed, "/b", b"2")
    project.client.finish_commit(failed, error="went wrong")
    assert project.info(failed).error == "went wrong"
    assert project.files(project.commit({"/c": b"3"})) == {"/a": b"1", "/c": b"3"}


def test_finishing_twice_is_refused(project: Project) -> None:
    commit = project.commit({})
    with refused(Code.UNKNOWN, commit.id, "has already finished"):
        project.client.finish_commit(commit)


def test_starting_on_an_open_head_is_refused(project: Project) -> None:
    commit = project.start()
    with refused(Code.UNKNOWN, "parent commit", commit.id, "has not been finished"):
        project.start()


def test_a_parent_may_be_named(project: Project) -> None:
    first, _ = project.commit({"/a": b"1"}), project.commit({"/b": b"2"})
    other = project.start(branch="other", parent=first.id)
    assert project.info(other).parent_commit.id == first.id
    project.client.finish_commit(other)
    assert project.files(other) == {"/a": b"1"}
    again = project.start(parent=first.id)
    assert project.client.inspect_branch("r", "master", project_name=project.name).head.id == again.id
    project.repo("s")
    with refused(Code.UNKNOWN, "another repo"):
        project.start("s", parent=first)


def test_commits_are_named_by_branch_and_distance(project: Project) -> None:
    ids = [project.commit({"/n": bytes([number])}).id for number in range(4)]
    for name, expected in {
        "master": ids[3],
        "master^": ids[2],
        "master~2": ids[1],
        "master^^^": ids[0],
        f"{ids[3]}~1": ids[2],
        ids[1]: ids[1],
    }.items():
        assert project.info(project.named(name)).commit.id == expected
    with refused(Code.NOT_FOUND, "commit", "not found"):
        project.info(project.named("master~4"))
    with refused(Code.NOT_FOUND, "commit", "not found"):
        project.info(project.named("0" * 32))
    with refused(Code.NOT_FOUND, 'branch "none" not found in repo'):
        project.info(project.named("none"))


def test_commits_are_listed_newest_first(project: Project) -> None:
    ids = [project.commit({"/n": bytes([number])}).id for number in range(5)]

    def listed(**options: object) -> list[str]:
        found = project.client.list_commit("r", project_name=project.name, **options)
        return [info.commit.id for info in found]

    assert listed() == ids[::-1]
    assert listed(reverse=True) == ids
    assert listed(number=2) == [ids[4], ids[3]]
    assert listed(to_commit=project.named(ids[3]), from_commit=project.named(ids[1])) == [ids[3], ids[2]]
    assert listed(to_commit=project.named(ids[3]), number=1) == [ids[3]]
    with refused(Code.UNKNOWN, "cannot use `from` commit without `to` commit"):
        listed(from_commit=project.named(ids[1]))
    with refused(Code.UNKNOWN, "cannot use 'Reverse'"):
        listed(to_commit=project.named(ids[1]), reverse=True)


def test_commits_are_listed_by_origin(project: Project) -> None:
    project.client.create_branch("r", "empty", project_name=project.name)
    mine = project.commit({"/a": b"1"})

    def listed(**options: object) -> list[str]:
        found = project.client.list_commit("r", project_name=project.name, **options)
        return [info.commit.id for info in found]

    empty = project.client.inspect_branch("r", "empty", project_name=project.name).head.id
    assert listed() == [mine.id]
    assert listed(all=True) == [mine.id, empty]
    assert listed(origin_kind=pfs_pb2.OriginKind.AUTO) == [empty]


@pytest.mark.parametrize("state", [pfs_pb2.CommitState.READY, pfs_pb2.CommitState.STARTED])
def test_an_open_commit_is_started_and_ready(project: Project, state: int) -> None:
    commit = project.start()
    [info] = project.client.inspect_commit(commit, state)
    assert not info.HasField("finished")
