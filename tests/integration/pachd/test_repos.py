"""Projects and repos: made, described, deleted, refused."""

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.pachd.conftest import Project, project_in, refused

Code = grpc.StatusCode


def test_a_repo_is_described(project: Project) -> None:
    project.client.create_repo("d", "what it is", project_name=project.name)
    project.commit({"/a": b"12345"}, "d")
    info = project.client.inspect_repo("d", project_name=project.name)
    assert (info.repo.name, info.repo.type, info.repo.project.name) == ("d", "user", project.name)
    assert (info.description, info.details.size_bytes) == ("what it is", 5)
    assert [branch.name for branch in info.branches] == ["master"]
    assert info.created.seconds > 0


def test_without_a_project_it_is_the_default_one(project: Project) -> None:
    name = project.name  # unique
    project.client.create_repo(name)
    try:
        assert project.client.inspect_repo(name).repo.project.name == "default"
    finally:
        project.client.delete_repo(name)


def test_making_a_repo_twice_is_refused_but_for_update(project: Project) -> None:
    with refused(Code.ALREADY_EXISTS, f"repo {project.name}/r already exists"):
        project.client.create_repo("r", project_name=project.name)
    project.client.create_repo("r", "new", update=True, project_name=project.name)
    assert project.client.inspect_repo("r", project_name=project.name).description == "new"


def test_repos_are_listed_by_project_newest_first(project: Project) -> None:
    project.repo("s")
    listed = project.client.list_repo(projects_filter=[pfs_pb2.Project(name=project.name)])
    assert [info.repo.name for info in listed] == ["s", "r"]


def test_what_is_not_there(project: Project) -> None:
    with refused(Code.NOT_FOUND, f"repo {project.name}/none not found"):
        project.client.inspect_repo("none", project_name=project.name)
    with refused(Code.NOT_FOUND, "project none not found"):
        project.client.create_repo("r", project_name="none")
    with refused(Code.NOT_FOUND, "project"):
        project.client.inspect_project("none")
    project.client.delete_repo("none", project_name=project.name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a.b", "a@b", "a\n"])
def test_names_that_are_refused(project: Project, name: str) -> None:
    with refused(Code.UNKNOWN, "invalid: only alphanumeric characters"):
        project.client.create_repo(name, project_name=project.name)
    with refused(Code.UNKNOWN, "invalid: only alphanumeric characters"):
        project.start(branch=name)
    with refused(Code.UNKNOWN, "invalid: only alphanumeric characters"):
        project.client.create_project(name)


def test_project_names_have_rules_of_their_own(project: Project) -> None:
    with refused(Code.UNKNOWN, "longer than the 51 max"):
        project.client.create_project("p" * 52)
    with refused(Code.UNKNOWN, "must start with an alphanumeric"):
        project.client.create_project("-p")


def test_a_deleted_repo_takes_its_commits_along(project: Project) -> None:
    commit = project.commit({"/a": b"1"})
    project.client.delete_repo("r", project_name=project.name)
    project.repo("r")
    with refused(Code.NOT_FOUND):
        project.info(commit)
    assert list(project.client.list_commit("r", project_name=project.name)) == []


def test_a_project_is_deleted_once_it_is_empty(project: Project) -> None:
    with refused(Code.FAILED_PRECONDITION, "repo"):
        project.client.delete_project(project.name)
    project.client.delete_repo("r", project_name=project.name)
    project.client.delete_project(project.name)
    assert project.name not in {info.project.name for info in project.client.list_project()}


def test_a_project_is_deleted_with_all_it_has(project: Project) -> None:
    other = project_in(project.client)
    project.commit({"/a": b"1"})
    project.client.delete_project(project.name, force=True)
    names = {info.project.name for info in project.client.list_project()}
    assert project.name not in names
    assert other.name in names
