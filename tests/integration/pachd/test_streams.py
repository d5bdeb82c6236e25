"""Streams that wait: subscriptions replay and then go on, and who waits for a commit is told."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode
FINISHED = pfs_pb2.CommitState.FINISHED
SECONDS = 10


class Subscription:
    """What a subscription tells, as it tells it."""

    def __init__(self, project: Project, **options: Any) -> None:
        branch = options.pop("branch", "master")
        self._stream = project.client.subscribe_commit("r", branch, project_name=project.name, **options)
        self._told: Queue[str] = Queue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        self.error: grpc.RpcError | None = None

    def _listen(self) -> None:
        try:
            for info in self._stream:
                self._told.put(info.commit.id)
        except grpc.RpcError as error:
            self.error = error
            self._told.put("")

    def next(self) -> str:
        return self._told.get(timeout=SECONDS)

    def quiet(self) -> bool:
        return self._told.empty()

    def close(self) -> None:
        self._stream.cancel()
        self._thread.join(SECONDS)


@pytest.fixture
def subscribe(project: Project) -> Iterator[Any]:
    opened: list[Subscription] = []

    def subscription(**options: Any) -> Subscription:
        opened.append(Subscription(project, **options))
        return opened[-1]

    yield subscription
    for each in opened:
        each.close()


def test_a_subscription_replays_and_goes_on(project: Project, subscribe: Any) -> None:
    ids = [project.commit({"/n": bytes([number])}).id for number in range(3)]
    subscription = subscribe()
    assert [subscription.next() for _ in ids] == ids
    for _ in range(3):
        assert project.commit({}).id == subscription.next()


def test_one_open_commit_holds_back_those_behind_it(project: Project, subscribe: Any) -> None:
    subscription = subscribe(state=FINISHED, branch="")
    opened, later = project.start(), project.commit({}, branch="other")
    started = subscribe(branch="")
    assert [started.next(), started.next()] == [opened.id, later.id]
    assert subscription.quiet()
    project.client.finish_commit(opened)
    assert [subscription.next(), subscription.next()] == [opened.id, later.id]


def test_from_leaves_out_that_one_commit(project: Project, subscribe: Any) -> None:
    ids = [project.commit({}).id for _ in range(3)]
    subscription = subscribe(from_commit=ids[1])
    assert [subscription.next(), subscription.next()] == [ids[0], ids[2]]


def test_other_branches_and_origins_are_left_out(project: Project, subscribe: Any) -> None:
    project.client.create_branch("r", "empty", project_name=project.name)
    project.commit({}, branch="other")
    mine, every = subscribe(), subscribe(branch="", all=True)
    commit = project.commit({})
    assert mine.next() == commit.id
    assert {every.next() for _ in range(3)} >= {commit.id}


def test_a_dropped_commits_place_is_not_taken(project: Project, subscribe: Any) -> None:
    subscription = subscribe()
    dropped = project.commit({})
    assert subscription.next() == dropped.id
    project.client.drop_commit(dropped.id)
    assert project.commit({}).id == subscription.next()


def test_a_subscription_ends_with_its_repo(project: Project, subscribe: Any) -> None:
    subscription = subscribe()
    project.client.delete_repo("r", project_name=project.name)
    assert subscription.next() == ""
    assert subscription.error is not None
    assert subscription.error.code() == Code.NOT_FOUND


def test_many_subscriptions_and_stalled_streams_hold_up_nobody(project: Project, subscribe: Any) -> None:
    commit = project.commit({f"/d{number}/f": b"x" for number in range(600)})
    stalled = [project.client.walk_file(commit, "/") for _ in range(12)]  # never read
    assert all(next(stream).file.path == "/" for stream in stalled)
    subscriptions = [subscribe() for _ in range(20)]
    assert {subscription.next() for subscription in subscriptions} == {commit.id}
    later = project.commit({})
    assert {subscription.next() for subscription in subscriptions} == {later.id}
    for stream in stalled:
        stream.cancel()


def test_who_waits_for_a_commit_is_told(project: Project) -> None:
    commit = project.start()
    told: Queue[Any] = Queue()
    waiting = threading.Thread(target=lambda: told.put(project.client.wait_commit(commit)))
    waiting.start()
    named = threading.Thread(target=lambda: told.put(project.client.wait_commit(project.named("master"))))
    named.start()
    project.client.put_file_bytes(commit, "/a", b"1")
    assert told.empty()
    project.client.finish_commit(commit)
    for _ in range(2):
        [info] = told.get(timeout=SECONDS)
        assert (info.commit.id, info.HasField("finished")) == (commit.id, True)
    waiting.join(SECONDS)
    named.join(SECONDS)


def test_who_waits_for_a_commit_that_is_dropped_is_told(project: Project) -> None:
    commit = project.start()
    told: Queue[grpc.RpcError] = Queue()

    def wait() -> None:
        try:
            project.client.wait_commit(commit)
        except grpc.RpcError as error:
            told.put(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    project.client.drop_commit(commit.id)
    assert told.get(timeout=SECONDS).code() == Code.NOT_FOUND
    waiting.join(SECONDS)


def test_a_set_is_waited_for(project: Project) -> None:
    project.repo("s")
    with project.client.transaction():
        one, other = project.start("r"), project.start("s")
    told: Queue[Any] = Queue()
    waiting = threading.Thread(target=lambda: told.put(project.client.wait_commit(one.id)))
    waiting.start()
    for commit in (other, one):
        project.client.finish_commit(commit)
    infos = told.get(timeout=SECONDS)
    assert [info.HasField("finished") for info in infos] == [True, True]
    waiting.join(SECONDS)


def test_waiting_has_a_deadline(project: Project) -> None:
    with refused(Code.DEADLINE_EXCEEDED):
        stub = project.client._PFSMixin__stub
        stub.InspectCommit(pfs_pb2.InspectCommitRequest(commit=project.start(), wait=FINISHED), timeout=0.05)
