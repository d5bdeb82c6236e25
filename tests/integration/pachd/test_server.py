"""The server itself: who it is, whom it lets in, what it refuses, how it starts and ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from python_pachyderm.proto.v2.auth import auth_pb2, auth_pb2_grpc
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

from tests.integration.engine import Engine
from tests.integration.pachd.conftest import Project, client_of, refused

Code = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING


def test_it_says_what_it_is(project: Project) -> None:
    version = project.client.get_remote_version()
    assert (version.major, version.minor) == (2, 7)
    assert "embedded" in version.additional
    assert project.client.health_check().status == SERVING
    cluster = project.client.inspect_cluster()
    assert len(cluster.id) == 32
    watched = health_pb2_grpc.HealthStub(project.client._channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watched).status == SERVING
    watched.cancel()


def test_what_it_does_not_do_it_says(project: Project) -> None:
    with refused(Code.UNIMPLEMENTED, "the embedded engine does not support", "DeleteAll"):
        project.client.delete_all_repos()
    with refused(Code.UNIMPLEMENTED, "the embedded engine does not support", "WhoAmI"):
        auth_pb2_grpc.APIStub(project.client._channel).WhoAmI(auth_pb2.WhoAmIRequest())
    stub = pfs_pb2_grpc.APIStub(project.client._channel)
    with refused(Code.UNIMPLEMENTED, "ListTask"):
        list(project.client._channel.unary_stream("/pfs_v2.API/ListTask")(b""))
    with refused(Code.UNIMPLEMENTED, "CreateFileSet"):
        stub.CreateFileSet(iter([pfs_pb2.ModifyFileRequest()]))
    with refused(Code.UNIMPLEMENTED, "/no.Such/Method"):
        project.client._channel.unary_unary("/no.Such/Method")(b"")


def test_without_the_token_nobody_gets_in(tmp_path: Path) -> None:
    engine = Engine(tmp_path, {"PACHD_TOKEN": "s3cret"})
    engine.start()
    try:
        for token in (None, "", "s3cre", "s3cret2", "wrong"):
            client = client_of(engine.address, token)
            with refused(Code.UNAUTHENTICATED):
                client.create_project("p")
            with refused(Code.UNAUTHENTICATED):
                list(client.list_repo())
            with refused(Code.UNAUTHENTICATED):
                client.put_file_bytes(Project(client, "p").named("b"), "/a", b"1")
            with refused(Code.UNAUTHENTICATED):
                client._channel.unary_unary("/no.Such/Method")(b"")
            assert client.health_check().status == SERVING
            assert client.get_remote_version().major == 2
        allowed = client_of(engine.address, "s3cret")
        allowed.create_project("p")
        project = Project(allowed, "p")
        project.repo()
        assert project.files(project.commit({"/a": b"1"})) == {"/a": b"1"}
        assert b"s3cret" not in Path(f"/proc/{engine.pid}/cmdline").read_bytes()
    finally:
        engine.stop()
    assert "s3cret" not in (tmp_path / "log").read_text()


def refusal(home: Path, **settings: str) -> str:
    """What it says when it does not start."""
    environment = os.environ | {
        "PACHD_HOME": str(home),
        "PACHD_IMAGES": str(home),
        "PACHD_RUNTIME": "plain",
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-m", "kaos.pachd"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_home_belongs_to_one_engine(own_engine: Engine, tmp_path: Path) -> None:
    said = refusal(tmp_path / "home")
    assert said.splitlines() == [
        f"Another engine uses the home {tmp_path / 'home'}. Stop it, or set PACHD_HOME to another directory."
    ]
    assert client_of(own_engine.address).health_check().status == SERVING


def test_a_taken_port_is_named(engine: Engine, tmp_path: Path) -> None:
    said = refusal(tmp_path, PACHD_ADDRESS=engine.address)
    assert said.splitlines()[-1].startswith(f"The address {engine.address} is taken")
    assert "Traceback" not in said


@pytest.mark.parametrize("settings", [{"PACHD_WORKERS": "none"}, {"PACHD_RUNTIME": "magic"}])
def test_settings_that_make_no_sense_are_named(tmp_path: Path, settings: dict[str, str]) -> None:
    said = refusal(tmp_path, **settings)
    assert next(iter(settings)) in said
    assert "Traceback" not in said


def test_it_ends_in_order_with_streams_open(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.start()
    client = client_of(engine.address)
    client.create_repo("r")
    stream = client.subscribe_commit("r", "master")
    client.finish_commit(client.start_commit("r", "master"))
    assert next(stream).commit.branch.name == "master"
    assert engine._process is not None
    engine._process.send_signal(signal.SIGTERM)
    assert engine._process.wait(timeout=10) == 0
    with pytest.raises(grpc.RpcError):
        next(stream)
    assert not (tmp_path / "home" / "metadata.db-wal").exists()
    engine._process.stdout.close()  # type: ignore[union-attr]
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_answer_larger_than_clients_like_is_no_error(project: Project) -> None:
    size = 25 * 2**20
    stub = pfs_pb2_grpc.APIStub(project.client._channel)
    message = pfs_pb2.AddFile(path="/large")
    message.raw.value = bytes(size)
    stub.ModifyFile(
        iter(
            [
                pfs_pb2.ModifyFileRequest(set_commit=project.named("large")),
                pfs_pb2.ModifyFileRequest(add_file=message),
            ]
        )
    )
    assert project.client.inspect_file(project.named("large"), "/large").size_bytes == size


def test_garbage_is_refused_and_forgotten(engine: Engine, project: Project) -> None:
    host, _, port = engine.address.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(1000))
        connection.settimeout(5)
        assert connection.recv(100) is not None

    def send(method: str, content: bytes) -> Any:
        return project.client._channel.unary_unary(method)(content)

    with pytest.raises(grpc.RpcError):
        send("/pfs_v2.API/InspectRepo", b"\xff\xff\xff")
    assert project.client.inspect_repo("r", project_name=project.name).repo.name == "r"
