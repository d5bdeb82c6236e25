"""Commits dropped and squashed, by the set."""

import grpc

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode


def test_a_dropped_commit_gives_the_branch_back_to_its_parent(project: Project) -> None:
    first, second = project.commit({"/a": b"1"}), project.start()
    project.client.put_file_bytes(second, "/b", b"2")
    project.client.drop_commit(second.id)
    assert project.info(project.named("master")).commit.id == first.id
    assert project.files(project.named("master")) == {"/a": b"1"}
    with refused(Code.NOT_FOUND):
        project.info(second)


def test_dropping_the_only_commit_leaves_an_empty_branch(project: Project) -> None:
    project.client.drop_commit(project.commit({"/a": b"1"}).id)
    assert list(project.client.walk_file(project.named("master"), "/")) == []
    assert project.files(project.commit({"/b": b"2"})) == {"/b": b"2"}


def test_a_commit_with_children_is_not_dropped(project: Project) -> None:
    first, _ = project.commit({"/a": b"1"}), project.commit({"/b": b"2"})
    with refused(Code.UNKNOWN, "cannot drop a commit that has children", first.id):
        project.client.drop_commit(first.id)
    assert project.info(first).commit.id == first.id


def test_a_squashed_commits_child_keeps_its_files(project: Project) -> None:
    first, second, third = (project.commit({f"/{number}": b"x"}) for number in range(3))
    project.client.squash_commit(second.id)
    assert project.info(third).parent_commit.id == first.id
    assert set(project.files(third)) == {"/0", "/1", "/2"}
    with refused(Code.NOT_FOUND):
        project.info(second)


def test_a_commit_without_children_is_not_squashed(project: Project) -> None:
    commit = project.commit({"/a": b"1"})
    with refused(Code.UNKNOWN, "cannot squash a commit that has no children", commit.id):
        project.client.squash_commit(commit.id)


def test_a_commit_with_an_open_child_is_not_squashed(project: Project) -> None:
    first, second = project.commit({"/a": b"1"}), project.start()
    with refused(Code.UNKNOWN, "cannot squash until child commit", second.id):
        project.client.squash_commit(first.id)


def test_what_others_were_made_from_is_not_dropped(project: Project) -> None:
    project.repo("out")
    commit = project.commit({"/a": b"1"}, branch="other")
    project.client.create_branch("out", "o", provenance=[project.branch("in")], project_name=project.name)
    project.client.create_branch("r", "in", commit, project_name=project.name)
    below = project.info(project.named("o", "out"))
    assert [above.id for above in below.direct_provenance] == [commit.id]
    with refused(Code.UNKNOWN, "subvenant commit sets", below.commit.id):
        project.client.drop_commit(commit.id)


def test_there_is_no_such_set(project: Project) -> None:
    for act in (project.client.drop_commit, project.client.squash_commit):
        with refused(Code.NOT_FOUND, "no commits found"):
            act("0" * 32)


def test_sets_are_listed_with_all_their_commits(project: Project) -> None:
    project.repo("s")
    with project.client.transaction():
        commit = project.start("r")
        project.start("s")
    sets = list(project.client.list_commit(project_name=project.name))
    assert sets[0].commit_set.id == commit.id
    assert {info.commit.branch.repo.name for info in sets[0].commits} == {"r", "s"}
    assert {info.commit.branch.repo.name for info in project.client.inspect_commit(commit.id)} == {"r", "s"}
