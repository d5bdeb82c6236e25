"""Branches: made, moved, deleted, and what follows when one is made from others."""

import grpc
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode
AUTO = pfs_pb2.OriginKind.AUTO


def head(project: Project, branch: str, repo: str = "r") -> str:
    return str(project.client.inspect_branch(repo, branch, project_name=project.name).head.id)


def follow(project: Project, branch: str, *upstream: pfs_pb2.Branch, repo: str = "out") -> None:
    project.client.create_branch(repo, branch, provenance=list(upstream), project_name=project.name)


def test_a_branch_is_moved(project: Project) -> None:
    first, second = project.commit({"/a": b"1"}), project.commit({"/a": b"2"})
    project.client.create_branch("r", "b", first, project_name=project.name)
    assert head(project, "b") == first.id
    project.client.create_branch("r", "b", project.named("master"), project_name=project.name)
    assert head(project, "b") == second.id
    assert project.files(project.named("b")) == {"/a": b"2"}


def test_a_branch_without_a_head_begins_with_an_empty_finished_commit(project: Project) -> None:
    project.client.create_branch("r", "b", project_name=project.name)
    info = project.info(project.named("b"))
    assert (info.origin.kind, info.details.size_bytes) == (AUTO, 0)
    assert info.HasField("finished")


def test_a_new_commit_may_be_put_under_the_head(project: Project) -> None:
    commit = project.commit({"/a": b"1"})
    project.client.create_branch("r", "b", commit, new_commit=True, project_name=project.name)
    info = project.info(project.named("b"))
    assert (info.commit.id != commit.id, info.origin.kind) == (True, AUTO)
    assert project.files(project.named("b")) == {"/a": b"1"}


def test_branches_are_listed_newest_first_and_deleted(project: Project) -> None:
    commit = project.commit({"/a": b"1"})
    project.client.create_branch("r", "b", commit, project_name=project.name)
    listed = project.client.list_branch("r", project_name=project.name)
    assert [info.branch.name for info in listed] == ["b", "master"]
    reverse = project.client.list_branch("r", reverse=True, project_name=project.name)
    assert [info.branch.name for info in reverse] == ["master", "b"]
    project.client.delete_branch("r", "b", project_name=project.name)
    with refused(Code.NOT_FOUND, 'branch "b" not found in repo'):
        project.client.inspect_branch("r", "b", project_name=project.name)
    assert project.info(commit).commit.id == commit.id


def test_a_head_in_another_repo_is_refused(project: Project) -> None:
    project.repo("s")
    commit = project.commit({"/a": b"1"}, "s")
    with refused(Code.UNKNOWN, "must be in one repo"):
        project.client.create_branch("r", "b", commit, project_name=project.name)


def test_a_commit_makes_commits_downstream_at_once(project: Project) -> None:
    for repo in ("mid", "out"):
        project.repo(repo)
    project.commit({"/a": b"1"})
    follow(project, "m", project.branch("master"), repo="mid")
    follow(project, "o", project.branch("m", "mid"))
    commit = project.start()
    assert (head(project, "m", "mid"), head(project, "o", "out")) == (commit.id, commit.id)
    below = project.info(project.named("o", "out"))
    assert (below.origin.kind, below.HasField("finished")) == (AUTO, False)
    assert [above.repo.name for above in below.direct_provenance] == ["mid"]
    info = project.client.inspect_branch("out", "o", project_name=project.name)
    assert [branch.name for branch in info.direct_provenance] == ["m"]
    assert {branch.name for branch in info.provenance} == {"m", "master"}
    above = project.client.inspect_branch("r", "master", project_name=project.name)
    assert {branch.name for branch in above.subvenance} == {"m", "o"}


def test_ready_means_that_all_above_is_finished(project: Project) -> None:
    project.repo("out")
    follow(project, "o", project.branch("master"))
    commit = project.start()
    waiting = project.client.inspect_commit  # of an iterator: nothing is sent before next
    project.client.finish_commit(commit)
    [info] = waiting(project.named("o", "out"), pfs_pb2.CommitState.READY)
    assert info.commit.id == commit.id
    assert not info.HasField("finished")


def test_the_same_head_again_makes_nothing(project: Project) -> None:
    project.repo("out")
    commit = project.commit({"/a": b"1"})
    project.client.create_branch("r", "in", commit, project_name=project.name)
    follow(project, "o", project.branch("in"))
    before = head(project, "o", "out")
    project.client.create_branch("r", "in", commit, project_name=project.name)
    assert head(project, "o", "out") == before


def test_missing_inputs_are_made_empty(project: Project) -> None:
    project.repo("out")
    follow(project, "o", project.branch("later"))
    info = project.info(project.named("later"))
    assert (info.origin.kind, info.HasField("finished")) == (AUTO, True)
    assert [above.id for above in project.info(project.named("o", "out")).direct_provenance] == [info.commit.id]


def test_the_id_of_a_set_names_what_it_was_made_from(project: Project) -> None:
    project.repo("out")
    commit = project.commit({"/a": b"1"})
    follow(project, "o", project.branch("in"))
    project.client.create_branch("r", "in", commit, project_name=project.name)
    job = head(project, "o", "out")
    assert job != commit.id
    assert project.info(project.named(job)).commit.id == commit.id
    assert {info.commit.id for info in project.client.inspect_commit(job)} == {job, commit.id}


def test_output_branches_are_not_written_to(project: Project) -> None:
    project.repo("out")
    follow(project, "o", project.branch("master"))
    with refused(Code.UNKNOWN, "cannot start a commit on an output branch"):
        project.start("out", "o")
    with refused(Code.UNKNOWN, "output"):
        project.client.put_file_bytes(project.named("o", "out"), "/a", b"1")
    with refused(Code.UNKNOWN, "use 'stop job' instead"):
        project.client.finish_commit(project.named("o", "out"))


def test_graphs_that_are_refused(project: Project) -> None:
    for repo in ("out", "more"):
        project.repo(repo)
    follow(project, "o", project.branch("master"))
    with refused(Code.UNKNOWN, "provenance"):
        follow(project, "master", project.branch("o", "out"), repo="r")
    with refused(Code.UNKNOWN, "multiple branches from the same repo"):
        follow(project, "x", project.branch("o", "out"), project.branch("other"), repo="more")
    with refused(Code.UNKNOWN, "provenance on it"):
        project.client.delete_branch("r", "master", project_name=project.name)
    with refused(Code.UNKNOWN, "provenance on it"):
        project.client.delete_repo("r", project_name=project.name)
    project.client.delete_repo("r", force=True, project_name=project.name)


def test_provenance_is_replaced(project: Project) -> None:
    project.repo("out")
    follow(project, "o", project.branch("master"))
    follow(project, "o")
    info = project.client.inspect_branch("out", "o", project_name=project.name)
    assert list(info.direct_provenance) == []


def test_triggers_are_not_supported(project: Project) -> None:
    with refused(Code.UNIMPLEMENTED, "the embedded engine does not support branch triggers"):
        project.client.create_branch(
            "r", "b", trigger=pfs_pb2.Trigger(branch="master", commits=1), project_name=project.name
        )
