"""Much at once: memory stays flat with large files, and many small ones take reasonable time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf import wrappers_pb2
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

from tests.integration.engine import Engine
from tests.integration.pachd.conftest import Project, client_of, project_in

MIB = 2**20
LARGE = 300 * MIB
# The client sends 19 MiB at a time: grpc holds a message three times when it comes in, whatever the file's size.
MESSAGE = 19 * MIB
AFTERWARDS = 60 * MIB
MEANWHILE = AFTERWARDS + 3 * MESSAGE


class Source:
    """A file of `size` bytes that takes no memory."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.block = bytes(range(256)) * 4096

    def read(self, size: int) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return (self.block * (size // len(self.block) + 1))[:size]


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@contextmanager
def most(measure: Callable[[], int]) -> Iterator[list[int]]:
    """The largest of what is measured meanwhile."""
    found, over = [measure()], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            found[0] = max(found[0], measure())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def test_memory_stays_flat(own_engine: Engine) -> None:
    project = project_in(client_of(own_engine.address))
    project.repo()
    project.client.put_file_bytes(project.named("warm"), "/f", Source(MIB))
    before = resident(own_engine.pid)
    with most(lambda: resident(own_engine.pid)) as peak:
        project.client.put_file_bytes(project.named("large"), "/f", Source(LARGE))
        read = 0
        with project.client.get_file(project.named("large"), "/f") as file:
            while chunk := file.read(MIB):
                read += len(chunk)
    assert read == LARGE
    assert peak[0] - before < MEANWHILE, f"{(peak[0] - before) / MIB:.0f} MiB"
    assert resident(own_engine.pid) - before < AFTERWARDS, f"{(resident(own_engine.pid) - before) / MIB:.0f} MiB"


def test_many_small_files(project: Project) -> None:
    """A message a file, as an efficient client sends them; python-pachyderm's own helper sends three."""
    count, started = 20_000, time.monotonic()

    def messages() -> Iterator[pfs_pb2.ModifyFileRequest]:
        yield pfs_pb2.ModifyFileRequest(set_commit=project.named("many"))
        for number in range(count):
            content = wrappers_pb2.BytesValue(value=b"%d" % number)
            added = pfs_pb2.AddFile(path=f"/d{number % 100}/f{number}", raw=content)
            yield pfs_pb2.ModifyFileRequest(add_file=added)

    pfs_pb2_grpc.APIStub(project.client._channel).ModifyFile(messages())
    # 6 s here, most of it the client's, and several times that beside other work.
    assert time.monotonic() - started < 60
    info = project.info(project.named("many"))
    assert info.details.size_bytes == sum(len(str(number)) for number in range(count))
    assert len(list(project.client.list_file(info.commit, "/d7"))) == count // 100
    with project.client.get_file_tar(info.commit, "/d7/*") as tar:
        assert sum(member.isfile() for member in tar) == count // 100
