"""Files read: one, as a tar, listed, walked, matched, compared."""

import io
import tarfile
from typing import Any

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

from tests.integration.pachd.conftest import Project, refused

Code = grpc.StatusCode
FILE, DIR = pfs_pb2.FileType.FILE, pfs_pb2.FileType.DIR
FILES = {"/a": b"1", "/d/b": b"22", "/d/c.csv": b"333", "/d/e/f.csv": b"4444", "/empty": b""}


@pytest.fixture
def commit(project: Project) -> pfs_pb2.Commit:
    return project.commit(FILES)


def paths(found: Any) -> list[str]:
    return [info.file.path for info in found]


def test_one_file(project: Project, commit: pfs_pb2.Commit) -> None:
    assert project.client.get_file(commit, "/d/b").read() == b"22"
    assert project.client.get_file(commit, "/d/c.csv", offset=1).read() == b"33"
    assert project.client.get_file(commit, "d//e/*").read() == b"4444"
    assert project.client.get_file(project.named("master"), "/a").read() == b"1"


def test_of_an_empty_file_nothing_comes(project: Project, commit: pfs_pb2.Commit) -> None:
    stub = pfs_pb2_grpc.APIStub(project.client._channel)
    request = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit, path="/empty"))
    assert list(stub.GetFile(request)) == []


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/none", Code.NOT_FOUND, "file /none not found in repo"),
        ("/d/*", Code.UNKNOWN, "GetFileTAR"),
        ("/d", Code.UNKNOWN, "GetFileTAR"),
        ("/@(a|b)", Code.UNIMPLEMENTED, "the embedded engine does not support patterns with parentheses"),
    ],
)
def test_what_is_not_one_file(
    project: Project, commit: pfs_pb2.Commit, path: str, code: grpc.StatusCode, words: str
) -> None:
    with pytest.raises(ConnectionError) as caught:
        project.client.get_file(commit, path)
    error = caught.value.__cause__
    assert isinstance(error, grpc.RpcError)
    assert (error.code(), words in error.details()) == (code, True)


def test_a_tar_has_absolute_names_and_directories(project: Project, commit: pfs_pb2.Commit) -> None:
    stub = pfs_pb2_grpc.APIStub(project.client._channel)
    request = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit, path="/"))
    content = b"".join(message.value for message in stub.GetFileTAR(request))
    assert content.endswith(bytes(1024))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [(member.name, member.isdir(), member.size) for member in tar]
    assert members == [
        ("/", True, 0) if members[0][0] == "/" else ("", True, 0),
        ("/a", False, 1),
        ("/d", True, 0),
        ("/d/b", False, 2),
        ("/d/c.csv", False, 3),
        ("/d/e", True, 0),
        ("/d/e/f.csv", False, 4),
        ("/empty", False, 0),
    ]
    assert project.files(commit) == FILES


def test_a_tar_of_matches_has_each_file_once(project: Project, commit: pfs_pb2.Commit) -> None:
    for pattern, expected in {
        "/d": {"/d/b", "/d/c.csv", "/d/e/f.csv"},
        "/**": set(FILES),
        "/d/*": {"/d/b", "/d/c.csv", "/d/e/f.csv"},
        "/{a,d/b}": {"/a", "/d/b"},
    }.items():
        with project.client.get_file_tar(commit, pattern) as tar:
            names = [f"/{member.name}" for member in tar if member.isfile()]
        assert (sorted(names), len(names)) == (sorted(expected), len(expected))


def test_a_tar_carries_long_names(project: Project) -> None:
    files = {"/" + "/".join([f"{number:060}" for number in range(8)]): b"x" * 100_000, "/" + "n" * 255: b"y"}
    assert project.files(project.commit(files)) == files


def test_a_tar_of_nothing(project: Project, commit: pfs_pb2.Commit) -> None:
    with pytest.raises(ConnectionError) as caught:
        project.client.get_file_tar(commit, "/none/*")
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert caught.value.__cause__.code() == Code.NOT_FOUND


def test_a_directory_is_listed(project: Project, commit: pfs_pb2.Commit) -> None:
    listed = list(project.client.list_file(commit, "/d"))
    assert [(info.file.path, info.file_type, info.size_bytes) for info in listed] == [
        ("/d/b", FILE, 2),
        ("/d/c.csv", FILE, 3),
        ("/d/e/", DIR, 4),
    ]
    assert listed[0].file.commit.id == commit.id
    assert listed[0].committed.seconds > 0
    assert paths(project.client.list_file(commit, "/a")) == ["/a"]
    assert paths(project.client.list_file(commit, "/none")) == []
    assert paths(project.client.list_file(commit, "/", number=2)) == ["/a", "/d/"]
    marker = pfs_pb2.File(commit=commit, path="/a1")
    assert paths(project.client.list_file(commit, "/", pagination_marker=marker)) == ["/d/", "/empty"]
    assert paths(project.client.list_file(commit, "/", number=2, reverse=True)) == ["/empty", "/d/"]
    with refused(Code.UNKNOWN, "number must be > 0 when reverse is true"):
        list(project.client.list_file(commit, "/", reverse=True))


def test_everything_is_walked(project: Project, commit: pfs_pb2.Commit) -> None:
    every = ["/", "/a", "/d/", "/d/b", "/d/c.csv", "/d/e/", "/d/e/f.csv", "/empty"]
    assert paths(project.client.walk_file(commit, "/")) == every
    assert paths(project.client.walk_file(commit, "/d/e")) == ["/d/e/", "/d/e/f.csv"]
    marker = pfs_pb2.File(commit=commit, path="/d/c.csv")
    assert paths(project.client.walk_file(commit, "/", pagination_marker=marker, number=2)) == ["/d/e/", "/d/e/f.csv"]
    with refused(Code.NOT_FOUND, "file /none not found"):
        list(project.client.walk_file(commit, "/none"))


def test_an_empty_commit_holds_nothing(project: Project) -> None:
    commit = project.commit({})
    assert paths(project.client.walk_file(commit, "/")) == []
    assert paths(project.client.list_file(commit, "/")) == []
    assert paths(project.client.glob_file(commit, "/")) == []
    assert not project.client.path_exists(commit, "/")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("/*", ["/a", "/d/", "/empty"]),
        ("/d/*.csv", ["/d/c.csv"]),
        ("/**.csv", ["/d/c.csv", "/d/e/f.csv"]),
        ("/?", ["/a", "/d/"]),
        ("/[a-c]", ["/a"]),
        ("/[!a]", ["/d/"]),
        ("/{a,empty}", ["/a", "/empty"]),
        ("/d/{b,e/f.csv}", ["/d/b", "/d/e/f.csv"]),
        ("/none*", []),
    ],
)
def test_patterns(project: Project, commit: pfs_pb2.Commit, pattern: str, expected: list[str]) -> None:
    assert paths(project.client.glob_file(commit, pattern)) == expected


def test_a_pattern_that_is_none(project: Project, commit: pfs_pb2.Commit) -> None:
    with refused(Code.UNKNOWN, "pattern [b-a] invalid"):
        list(project.client.glob_file(commit, "/[b-a]"))


def test_a_range_of_paths(project: Project, commit: pfs_pb2.Commit) -> None:
    some = pfs_pb2.PathRange(lower="/d", upper="/empty")
    assert paths(project.client.glob_file(commit, "/*", some)) == ["/d/"]


def test_what_exists(project: Project, commit: pfs_pb2.Commit) -> None:
    assert project.client.path_exists(commit, "/d/b")
    assert project.client.path_exists(commit, "/d")
    assert not project.client.path_exists(commit, "/d/none")
    assert not project.client.path_exists(commit, "/a/")
    with pytest.raises(ValueError, match="nonexistent commit"):
        project.client.path_exists(project.named("none"), "/a")
    info = project.client.inspect_file(commit, "/d")
    assert (info.file.path, info.file_type, info.size_bytes) == ("/d/", DIR, 9)


def test_equal_content_has_an_equal_hash(project: Project) -> None:
    commit = project.commit({"/a": b"same", "/b": b"same", "/c": b"other"})
    hashes = [project.client.inspect_file(commit, path).hash for path in ("/a", "/b", "/c")]
    assert (hashes[0] == hashes[1], hashes[0] == hashes[2], len(hashes[0])) == (True, False, 32)


def test_differences(project: Project, commit: pfs_pb2.Commit) -> None:
    with project.client.modify_file_client(project.named("master")) as changes:
        changes.put_file_from_bytes("/a", b"changed")
        changes.put_file_from_bytes("/d/e/new", b"")
        changes.delete_file("/d/b")
    new = project.info(project.named("master")).commit

    def changed(**options: Any) -> list[tuple[str, str]]:
        found = project.client.diff_file(new, options.pop("path", "/"), **options)
        return [(response.old_file.file.path, response.new_file.file.path) for response in found]

    every = [("/", "/"), ("/a", "/a"), ("/d/", "/d/"), ("/d/b", ""), ("/d/e/", "/d/e/"), ("", "/d/e/new")]
    assert changed() == every
    assert changed(old_commit=commit, old_path="/") == every
    assert changed(shallow=True) == [("/", "/"), ("/a", "/a"), ("/d/", "/d/")]
    assert changed(path="/d/e") == [("/d/e/", "/d/e/"), ("", "/d/e/new")]
    assert changed(old_commit=new, old_path="/") == []


def test_the_store_is_whole(project: Project, commit: pfs_pb2.Commit) -> None:
    assert commit.id
    assert list(project.client.fsck()) == []
