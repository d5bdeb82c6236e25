"""Much at once: memory stays flat with large files, and many small ones take reasonable time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
    count, started = 20_000, time.monotonic()
    with project.client.modify_file_client(project.named("many")) as changes:
        for number in range(count):
            changes.put_file_from_bytes(f"/d{number % 100}/f{number}", b"%d" % number)
    info = project.info(project.named("many"))
    assert info.details.size_bytes == sum(len(str(number)) for number in range(count))
    # Two thirds of it is the client, which sends three messages a file: 10 s here, and 4 times that under load.
    assert time.monotonic() - started < 60
    listed = list(project.client.list_file(info.commit, "/d7"))
    assert len(listed) == count // 100
    with project.client.get_file_tar(info.commit, "/d7/*") as tar:
        assert sum(member.isfile() for member in tar) == count // 100
