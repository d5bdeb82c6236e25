"""Transactions: recorded and tried, and applied as one commit set or not at all."""

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.transaction import transaction_pb2

from tests.integration.pachd.conftest import Project, client_of, refused

Code = grpc.StatusCode


def test_all_commits_of_a_transaction_share_its_id(project: Project) -> None:
    for repo in ("s", "out"):
        project.repo(repo)
    project.client.create_branch(
        "out", "o", provenance=[project.branch("master"), project.branch("master", "s")], project_name=project.name
    )
    with project.client.transaction() as transaction:
        one, other = project.start("r"), project.start("s")
    assert one.id == other.id == transaction.id
    assert project.info(one).commit.id == transaction.id
    below = project.info(project.named("o", "out"))
    assert below.commit.id == transaction.id
    assert {above.repo.name for above in below.direct_provenance} == {"r", "s"}
    assert list(project.client.list_transaction()) == []


def test_nothing_is_seen_before_the_end(project: Project) -> None:
    with project.client.transaction():
        commit = project.start()
        elsewhere = Project(client_of(project.client.address), project.name)
        with refused(Code.NOT_FOUND):
            elsewhere.info(commit)
    assert project.info(commit).commit.id == commit.id


def test_finishing_a_commit_and_moving_a_branch_is_one(project: Project) -> None:
    commit = project.start(branch="b")
    project.client.put_file_bytes(commit, "/a", b"1")
    with project.client.transaction():
        project.client.finish_commit(commit)
        project.client.create_branch("r", "master", commit, project_name=project.name)
    assert project.files(project.named("master")) == {"/a": b"1"}
    assert project.info(commit).HasField("finished")


def test_a_request_that_fails_is_not_recorded(project: Project) -> None:
    with project.client.transaction() as transaction:
        project.start()
        with refused(Code.NOT_FOUND):
            project.start("none")
        with refused(Code.ALREADY_EXISTS):
            project.client.create_repo("r", project_name=project.name)
        assert len(project.client.inspect_transaction(transaction).requests) == 1
    assert project.info(project.named("master")).commit.id == transaction.id


def test_an_exception_undoes_all(project: Project) -> None:
    def fail() -> None:
        with project.client.transaction():
            project.start()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(project.client.list_commit("r", project_name=project.name)) == []


def test_deleting_a_transaction_fences_it_off(project: Project) -> None:
    transaction = project.client.start_transaction()
    within = Project(client_of(project.client.address), project.name)
    within.client.transaction_id = transaction.id
    within.start()
    project.client.delete_transaction(transaction)
    with refused(Code.NOT_FOUND, transaction.id):
        within.start(branch="other")
    with refused(Code.NOT_FOUND, transaction.id):
        project.client.finish_transaction(transaction)
    with refused(Code.NOT_FOUND, transaction.id):
        project.client.delete_transaction(transaction)
    assert list(project.client.list_commit("r", project_name=project.name)) == []


def test_a_transaction_is_finished_once(project: Project) -> None:
    transaction = project.client.start_transaction()
    within = Project(client_of(project.client.address), project.name)
    within.client.transaction_id = transaction.id
    commit = within.start()
    info = project.client.finish_transaction(transaction)
    assert [response.commit.id for response in info.responses] == [commit.id]
    with refused(Code.NOT_FOUND):
        project.client.finish_transaction(transaction)
    assert project.info(commit).commit.id == transaction.id


def test_what_changed_meanwhile_makes_it_fail_whole(project: Project) -> None:
    transaction = project.client.start_transaction()
    within = Project(client_of(project.client.address), project.name)
    within.client.transaction_id = transaction.id
    within.client.create_repo("new", project_name=project.name)
    within.start()
    project.start()
    with refused(Code.UNKNOWN, "has not been finished"):
        project.client.finish_transaction(transaction)
    with refused(Code.NOT_FOUND):
        project.client.inspect_repo("new", project_name=project.name)
    project.client.delete_transaction(transaction)


def test_a_batch(project: Project) -> None:
    requests = [
        transaction_pb2.TransactionRequest(create_repo=pfs_pb2.CreateRepoRequest(repo=project.branch("x", "new").repo)),
        transaction_pb2.TransactionRequest(
            start_commit=pfs_pb2.StartCommitRequest(branch=project.branch("master", "new"))
        ),
    ]
    info = project.client.batch_transaction(requests)
    assert info.responses[1].commit.id == info.transaction.id
    with refused(Code.ALREADY_EXISTS):
        project.client.batch_transaction(requests)
    with refused(Code.UNIMPLEMENTED, "in a transaction"):
        project.client.batch_transaction([transaction_pb2.TransactionRequest()])


def test_two_commits_to_a_repo_are_inconsistent(project: Project) -> None:
    with project.client.transaction():
        project.start(branch="a")
        with refused(Code.UNKNOWN, "already has a commit in this transaction"):
            project.start(branch="b")
