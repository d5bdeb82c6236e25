"""ModifyFile: appended, overwritten, deleted, copied; all of it or nothing."""

import io
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import wrappers_pb2
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode


def add(path: str, content: bytes) -> pfs_pb2.ModifyFileRequest:
    return pfs_pb2.ModifyFileRequest(add_file=pfs_pb2.AddFile(path=path, raw=wrappers_pb2.BytesValue(value=content)))


def raw(project: Project, commit: pfs_pb2.Commit, *messages: pfs_pb2.ModifyFileRequest) -> None:
    stub = pfs_pb2_grpc.APIStub(project.client._channel)
    stub.ModifyFile(iter([pfs_pb2.ModifyFileRequest(set_commit=commit), *messages]))


def test_a_raw_add_appends(project: Project) -> None:
    commit = project.start()
    raw(project, commit, add("/a", b"1"), add("/b", b"x"), add("/a", b"2"))
    raw(project, commit, add("/a", b"3"), add("/a", b""), add("/a", b"4"))
    assert project.files(commit) == {"/a": b"1234", "/b": b"x"}


def test_the_client_overwrites_unless_told_to_append(project: Project) -> None:
    commit = project.start()
    project.client.put_file_bytes(commit, "/a", b"old")
    project.client.put_file_bytes(commit, "/a", b"new")
    project.client.put_file_bytes(commit, "/a", b"er", append=True)
    assert project.files(commit) == {"/a": b"newer"}


def test_files_come_in_pieces_of_any_size(project: Project) -> None:
    content = bytes(range(256)) * 6_000
    commit = project.start()
    pieces = [add("/a", content[start : start + 100_001]) for start in range(0, len(content), 100_001)]
    raw(project, commit, *pieces, add("/b", b""), add("/c", content))
    assert project.files(commit) == {"/a": content, "/b": b"", "/c": content}


def test_a_branch_gets_a_commit_of_its_own(project: Project) -> None:
    project.client.put_file_bytes(project.named("fresh"), "/a", b"1")
    first = project.info(project.named("fresh"))
    project.client.put_file_bytes(project.named("fresh"), "/b", b"2")
    second = project.info(project.named("fresh"))
    assert second.HasField("finished")
    assert second.parent_commit.id == first.commit.id
    assert project.files(second.commit) == {"/a": b"1", "/b": b"2"}


def test_a_branch_whose_head_is_open_is_written_to(project: Project) -> None:
    commit = project.start()
    project.client.put_file_bytes(project.named("master"), "/a", b"1")
    assert project.info(project.named("master")).commit.id == commit.id
    assert project.files(commit) == {"/a": b"1"}


def test_a_finished_commit_is_not_changed(project: Project) -> None:
    commit = project.commit({"/a": b"1"})
    with refused(Code.UNKNOWN, commit.id, "has already finished"):
        project.client.put_file_bytes(commit, "/a", b"2")
    assert project.files(commit) == {"/a": b"1"}


def test_deleting(project: Project) -> None:
    commit = project.start()
    with project.client.modify_file_client(commit) as changes:
        for path in ("/a", "/d/b", "/d/e/c", "/f"):
            changes.put_file_from_bytes(path, b"x")
        changes.delete_file("/d")  # a directory needs the slash
        changes.delete_file("/f/")  # and a file is none
        changes.delete_file("/none")
        changes.delete_file("/a")
    assert set(project.files(commit)) == {"/d/b", "/d/e/c", "/f"}
    project.client.delete_file(commit, "/d/e/")
    assert set(project.files(commit)) == {"/d/b", "/f"}
    project.client.delete_file(commit, "/d/b")
    project.client.put_file_bytes(commit, "/d", b"a directory without files is none")
    assert set(project.files(commit)) == {"/d", "/f"}
    with project.client.modify_file_client(commit) as changes:
        changes.delete_file("/")
        changes.put_file_from_bytes("/new", b"x")
    assert set(project.files(commit)) == {"/new"}


def test_copying(project: Project) -> None:
    source = project.commit({"/d/a": b"1", "/d/e/b": b"2", "/f": b"3"})
    project.repo("s")
    commit = project.start("s")
    project.client.put_file_bytes(commit, "/g", b"0")
    with project.client.modify_file_client(commit) as changes:
        changes.copy_file(source, "/d", "/copy")
        changes.copy_file(source, "/f", "/g", append=True)
        changes.copy_file(source, "/f", "/h")
    assert project.files(commit) == {"/copy/a": b"1", "/copy/e/b": b"2", "/g": b"03", "/h": b"3"}
    with refused(Code.NOT_FOUND, "file /none not found"):
        project.client.copy_file(source, "/none", commit, "/x")


def test_a_file_is_no_directory(project: Project) -> None:
    commit = project.start()
    project.client.put_file_bytes(commit, "/a", b"1")
    project.client.put_file_bytes(commit, "/d/b", b"1")
    for path in ("/a/b", "/d"):
        with refused(Code.UNKNOWN, "collision", path):
            project.client.put_file_bytes(commit, path, b"2")
    with refused(Code.UNKNOWN):
        project.client.put_file_bytes(commit, "/", b"2")
    assert project.files(commit) == {"/a": b"1", "/d/b": b"1"}


@pytest.mark.parametrize(
    "path",
    ["/ä", "/a\nb", "/a\0b", "/../a", "/a/../b", *(f"/a{c}b" for c in "*?[]{}!()@+^"), "/" + "n" * 256, "/a" * 129],
)
def test_paths_that_are_refused(project: Project, path: str) -> None:
    commit = project.start()
    with refused(Code.UNKNOWN, "path", "invalid"):
        project.client.put_file_bytes(commit, path, b"1")


def test_paths_are_cleaned(project: Project) -> None:
    commit = project.commit({"a//b": b"1", "c d": b"2", "/" + "/".join(["n"] * 100): b"3"})
    assert set(project.files(commit)) == {"/a/b", "/c d", "/" + "/".join(["n"] * 100)}


def test_a_stream_with_one_bad_message_changes_nothing(project: Project) -> None:
    commit = project.start()
    project.client.put_file_bytes(commit, "/kept", b"1")
    for bad in (add("/../x", b""), pfs_pb2.ModifyFileRequest(), pfs_pb2.ModifyFileRequest(set_commit=commit)):
        with refused(Code.UNKNOWN):
            raw(project, commit, add("/a", b"x" * 2_000_000), bad)
    with refused(Code.UNIMPLEMENTED, "URL"):
        project.client.put_file_url(commit, "/u", "http://127.0.0.1/x")
    assert project.files(commit) == {"/kept": b"1"}


def test_a_broken_stream_changes_nothing(project: Project) -> None:
    """What breaks when a client dies looks like the end of a stream for a moment: often, so that the moment is met."""
    commit = project.start()
    project.client.put_file_bytes(commit, "/kept", b"1")
    stub = pfs_pb2_grpc.APIStub(project.client._channel)

    def broken(number: int) -> Iterator[pfs_pb2.ModifyFileRequest]:
        yield pfs_pb2.ModifyFileRequest(set_commit=commit)
        yield add(f"/broken{number}", b"x" * (number % 7) * 1_000)
        raise RuntimeError("the client's own")

    for number in range(150):
        with pytest.raises(grpc.RpcError):
            stub.ModifyFile(broken(number))
    assert project.files(commit) == {"/kept": b"1"}
    with pytest.raises(grpc.RpcError):
        stub.ModifyFile(broken(1), timeout=0.001)
    assert project.files(commit) == {"/kept": b"1"}


def test_a_file_object_that_fails_changes_nothing(project: Project) -> None:
    class Torn(io.RawIOBase):
        def __init__(self) -> None:
            self.left = 3

        def read(self, _size: int = -1) -> bytes:
            self.left -= 1
            if not self.left:
                raise OSError("torn")
            return b"x" * 1_000_000

    with pytest.raises(grpc.RpcError):
        project.client.put_file_bytes(project.named("torn"), "/a", Torn())
    with refused(Code.NOT_FOUND, "torn"):
        project.info(project.named("torn"))
