"""The engine as its own process, driven by the unmodified client; a project for each test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from tests.integration.engine import Engine


def client_of(address: str, token: str | None = None) -> Client:
    host, _, port = address.rpartition(":")
    return Client(host, int(port), auth_token=token)


@contextmanager
def refused(code: grpc.StatusCode, *words: str) -> Iterator[None]:
    """Expects an error of this code whose sentence has these words."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert (caught.value.code(), [word for word in words if word not in caught.value.details()]) == (code, []), (
        caught.value.details()
    )


@dataclass(frozen=True)
class Project:
    """A project and its client."""

    client: Client
    name: str

    def repo(self, name: str = "r") -> str:
        self.client.create_repo(name, project_name=self.name)
        return name

    def start(self, repo: str = "r", branch: str = "master", **options: Any) -> pfs_pb2.Commit:
        return self.client.start_commit(repo, branch, project_name=self.name, **options)

    def commit(self, files: dict[str, bytes], repo: str = "r", branch: str = "master") -> pfs_pb2.Commit:
        """A finished commit with these files beside its parent's."""
        commit = self.start(repo, branch)
        with self.client.modify_file_client(commit) as changes:
            for path, content in files.items():
                changes.put_file_from_bytes(path, content)
        self.client.finish_commit(commit)
        return commit

    def named(self, name: str, repo: str = "r") -> pfs_pb2.Commit:
        """A commit as the head of a branch, or by anything else that names one."""
        repository = pfs_pb2.Repo(name=repo, type="user", project=pfs_pb2.Project(name=self.name))
        branch = pfs_pb2.Branch(repo=repository, name=name if name.isidentifier() else "")
        return pfs_pb2.Commit(repo=repository, branch=branch, id="" if name.isidentifier() else name)

    def branch(self, name: str, repo: str = "r") -> pfs_pb2.Branch:
        repository = pfs_pb2.Repo(name=repo, type="user", project=pfs_pb2.Project(name=self.name))
        return pfs_pb2.Branch(repo=repository, name=name)

    def files(self, commit: pfs_pb2.Commit) -> dict[str, bytes]:
        """Every file of a commit, from its tar."""
        with self.client.get_file_tar(commit, "/") as tar:
            found = {}
            for member in tar:
                if member.isfile():
                    content = tar.extractfile(member)
                    assert content is not None
                    found[f"/{member.name}"] = content.read()
            return found

    def info(self, commit: pfs_pb2.Commit) -> pfs_pb2.CommitInfo:
        [info] = self.client.inspect_commit(commit)
        return info


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    started = Engine(tmp_path_factory.mktemp("pachd"))
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """One that the test may kill."""
    started = Engine(tmp_path)
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def client(engine: Engine) -> Client:
    return client_of(engine.address)


def project_in(client: Client) -> Project:
    project = Project(client, f"t{uuid.uuid4().hex[:12]}")
    client.create_project(project.name)
    return project


@pytest.fixture
def project(client: Client) -> Project:
    """A project with an empty repo `r`."""
    made = project_in(client)
    made.repo()
    return made
