"""kill -9: what was answered is there, what was open goes on, what was half sent is not."""

import os
import signal
import threading
from collections import Counter
from queue import Queue

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.engine import Engine
from tests.integration.pachd.conftest import Project, client_of, project_in


def again(engine: Engine, project: Project) -> Project:
    engine.stop(kill=True)
    engine.start()
    return Project(client_of(engine.address), project.name)


def test_everything_that_was_answered_is_there(own_engine: Engine) -> None:
    project = project_in(client_of(own_engine.address))
    project.repo()
    finished = {project.commit({f"/{number}": bytes([number]) * 1000}).id: number for number in range(10)}
    opened = project.start()
    project.client.put_file_bytes(opened, "/open", b"1")
    transaction = project.client.start_transaction()
    within = Project(client_of(own_engine.address), project.name)
    within.client.transaction_id = transaction.id
    within.repo("later")

    project = again(own_engine, project)
    for commit, number in finished.items():
        files = project.files(project.named(commit))
        assert files == {f"/{below}": bytes([below]) * 1000 for below in range(number + 1)}
    assert list(project.client.fsck()) == []
    project.client.put_file_bytes(opened, "/more", b"2")
    project.client.finish_commit(opened)
    assert project.files(opened)["/open"] + project.files(opened)["/more"] == b"12"
    project.client.finish_transaction(transaction)
    assert project.client.inspect_repo("later", project_name=project.name).repo.name == "later"


def write_on(address: str, project: Project, branch: str, answered: "Queue[str]") -> None:
    """Commits five equal files after five equal files until the engine is gone."""
    mine = Project(client_of(address), project.name)
    try:
        for number in range(10_000):
            with mine.client.modify_file_client(mine.named(branch)) as changes:
                for name in range(5):
                    changes.put_file_from_bytes(f"/{branch}/{name}", bytes([number % 256]) * 3000)
            answered.put(branch)
    except (grpc.RpcError, ConnectionError):
        return


@pytest.mark.parametrize("round_", range(3))
def test_killed_while_it_writes(own_engine: Engine, round_: int) -> None:
    """A commit is answered and whole, or not answered and whole or not there; never something between."""
    project = project_in(client_of(own_engine.address))
    project.repo()
    answered: Queue[str] = Queue()
    writers = [
        threading.Thread(target=write_on, args=(own_engine.address, project, f"w{number}", answered))
        for number in range(3)
    ]
    for writer in writers:
        writer.start()
    told = Counter(answered.get(timeout=20) for _ in range(20 + 10 * round_))
    own_engine.stop(kill=True)
    for writer in writers:
        writer.join(timeout=20)
    own_engine.start()

    project = Project(client_of(own_engine.address), project.name)
    assert list(project.client.fsck()) == []
    while not answered.empty():
        told[answered.get()] += 1
    infos = list(project.client.list_commit("r", project_name=project.name))
    assert all(info.HasField("finished") for info in infos)
    assert all(len(set(project.files(info.commit).values())) == 1 for info in infos)
    there = Counter(info.commit.branch.name for info in infos)
    assert all(there[branch] - count in {0, 1} for branch, count in told.items()), (there, told)


def test_killed_in_the_middle_of_an_upload(own_engine: Engine) -> None:
    project = project_in(client_of(own_engine.address))
    project.repo()
    commit = project.start()
    project.client.put_file_bytes(commit, "/kept", b"1")

    class Endless:
        def __init__(self) -> None:
            self.pieces = 0

        def read(self, size: int) -> bytes:
            self.pieces += 1
            if self.pieces == 5:
                os.kill(own_engine.pid, signal.SIGKILL)
            return bytes(min(size, 1_000_000))

    with pytest.raises((grpc.RpcError, ConnectionError)):
        project.client.put_file_bytes(commit, "/endless", Endless())
    own_engine.stop()
    own_engine.start()
    project = Project(client_of(own_engine.address), project.name)
    assert project.files(commit) == {"/kept": b"1"}
    staging = own_engine._directory / "home" / "files" / "staging"
    assert list(staging.iterdir()) == []


def test_subscribers_find_their_way_back(own_engine: Engine) -> None:
    project = project_in(client_of(own_engine.address))
    project.repo()
    ids = [project.commit({}).id for _ in range(3)]
    project = again(own_engine, project)
    stream = project.client.subscribe_commit(
        "r", "master", state=pfs_pb2.CommitState.FINISHED, project_name=project.name
    )
    assert [next(stream).commit.id for _ in ids] == ids
    later = project.commit({})
    assert next(stream).commit.id == later.id
    stream.cancel()
