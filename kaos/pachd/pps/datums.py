"""Datums: the units of work that a pipeline's input divides its commits into."""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.pfs.files import Describe, describer
from kaos.pachd.pfs.globs import glob
from kaos.pachd.pfs.names import Row, commit_by_id, look_up_branch, look_up_repo
from kaos.pachd.storage.trees import EMPTY, Node

DONE = (pps_pb2.DatumState.SUCCESS, pps_pb2.DatumState.SKIPPED)


@dataclass(frozen=True)
class InputFile:
    """A file or directory that a datum is given: the input's name, the commit (rowid, set) it lies in, its node."""

    name: str
    commit: int
    commit_set: str
    path: str
    kind: Any
    hash: str
    size: int

    @property
    def node(self) -> Node:
        """What lies at the path."""
        return Node(self.kind, self.hash, self.size)


@dataclass(frozen=True)
class Datum:
    """One unit of work. `id` (64 hex) tells which files by name; `hash` also what is in them."""

    id: str
    hash: str
    files: tuple[InputFile, ...]


def divide(
    connection: sqlite3.Connection, given: Any, commits: dict[tuple[str, str, str], int], salt: str
) -> list[Datum]:
    """The datums of an input (pps_v2.Input), in a stable order, each once.

    `commits` tells the commit (rowid) to read for each (project, repo, branch); an input that is not there is empty.
    """
    found: dict[str, Datum] = {}
    for files in _divide(connection, given, commits):
        datum = _datum(files, salt)
        found.setdefault(datum.id, datum)
    return list(found.values())


def heads_below(connection: sqlite3.Connection, given: Any, provenance: list[Row]) -> dict[tuple[str, str, str], int]:
    """For each input, the commit that a job reads: the one of its provenance in that repo, whatever the branch."""
    by_repo = {row["repo"]: row["id"] for row in provenance}
    heads = {}
    for pfs in inputs_of(given):
        repo = look_up_repo(connection, pfs.project, pfs.repo, pfs.repo_type or "user")
        if repo is not None and repo["id"] in by_repo:
            heads[_key(pfs)] = by_repo[repo["id"]]
    return heads


def newest_heads(connection: sqlite3.Connection, given: Any) -> dict[tuple[str, str, str], int]:
    """For each input, the head of its branch now: what a pipeline of this input would begin with."""
    heads = {}
    for pfs in inputs_of(given):
        repo = look_up_repo(connection, pfs.project, pfs.repo, pfs.repo_type or "user")
        branch = look_up_branch(connection, repo["id"], pfs.branch) if repo is not None else None
        if branch is not None and branch["head"]:
            heads[_key(pfs)] = branch["head"]
    return heads


def inputs_of(given: Any) -> Iterator[Any]:
    """Every pps_v2.PFSInput within an input."""
    if given.HasField("pfs"):
        yield given.pfs
    for inner in (*given.cross, *given.union):
        yield from inputs_of(inner)


def insert(connection: sqlite3.Connection, job: int, datums: list[Datum], skipped: dict[str, str]) -> None:
    """Notes the datums of a job; those whose hash is in `skipped` are done, with that output (a root)."""
    connection.executemany(
        "INSERT INTO datums (job, number, id, hash, files, state, root) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                job,
                number,
                datum.id,
                datum.hash,
                json.dumps([asdict(file) for file in datum.files], separators=(",", ":")),
                pps_pb2.DatumState.SKIPPED if datum.hash in skipped else pps_pb2.DatumState.STARTING,
                skipped.get(datum.hash, ""),
            )
            for number, datum in enumerate(datums)
        ),
    )


def find_datum(connection: sqlite3.Connection, job: int, number: int) -> Row | None:
    """A datum's row, or None where its job has been deleted."""
    row: Row | None = connection.execute("SELECT * FROM datums WHERE job = ? AND number = ?", (job, number)).fetchone()
    return row


def files_of(row: Row) -> tuple[InputFile, ...]:
    """The files of a datum's row."""
    return tuple(InputFile(**file) for file in json.loads(row["files"]))


class Describer:
    """Says all that clients see of datums; what their files have in common is looked up once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._describe: dict[int, Describe] = {}

    def datum(self, row: Row, job: pps_pb2.Job) -> pps_pb2.DatumInfo:
        """A datum of a job."""
        info = pps_pb2.DatumInfo(datum=pps_pb2.Datum(id=row["id"], job=job), state=row["state"])
        info.stats.process_time.FromNanoseconds(row["nanoseconds"])
        for file in files_of(row):
            info.data.append(self._file(file))
            info.stats.download_bytes += file.size
        return info

    def hypothetical(self, datum: Datum) -> pps_pb2.DatumInfo:
        """A datum that a pipeline would have."""
        return pps_pb2.DatumInfo(datum=pps_pb2.Datum(id=datum.id), data=[self._file(file) for file in datum.files])

    def _file(self, file: InputFile) -> pfs_pb2.FileInfo:
        if file.commit not in self._describe:
            row = self._connection.execute("SELECT * FROM commits WHERE id = ?", (file.commit,)).fetchone()
            self._describe[file.commit] = describer(self._connection, row) if row is not None else _describe_dropped
        return self._describe[file.commit](file.path, file.node)


def _divide(
    connection: sqlite3.Connection, given: Any, commits: dict[tuple[str, str, str], int]
) -> Iterator[tuple[InputFile, ...]]:
    if given.HasField("pfs"):
        for file in _matches(connection, given.pfs, commits.get(_key(given.pfs))):
            yield (file,)
    elif given.cross:
        # Each side once: a product of iterators would read the later ones again and again.
        sides = [list(_divide(connection, inner, commits)) for inner in given.cross]
        for combination in itertools.product(*sides):
            yield tuple(itertools.chain.from_iterable(combination))
    else:
        for inner in given.union:
            yield from _divide(connection, inner, commits)


def _matches(connection: sqlite3.Connection, pfs: Any, commit: int | None) -> Iterator[InputFile]:
    if commit is None:
        return
    row = commit_by_id(connection, commit)
    for path, node in glob(connection, row["root"], pfs.glob):
        if node.hash != EMPTY or node.kind == "file":  # the root of a commit without files is no datum
            yield InputFile(pfs.name, commit, row["commit_set"], path, node.kind, node.hash, node.size)


def _datum(files: tuple[InputFile, ...], salt: str) -> Datum:
    identity = hashlib.sha256()
    for file in files:
        identity.update(f"{file.name}\0{file.path}\0".encode())
    content = hashlib.sha256(f"{identity.hexdigest()}\0{salt}".encode())
    for file in files:
        content.update(f"\0{file.kind}{file.hash}".encode())
    return Datum(identity.hexdigest(), content.hexdigest(), files)


def _describe_dropped(path: str, node: Node) -> pfs_pb2.FileInfo:
    """A file of a commit that has been dropped since."""
    return pfs_pb2.FileInfo(file=pfs_pb2.File(path=path), size_bytes=node.size, hash=bytes.fromhex(node.hash))


def _key(pfs: Any) -> tuple[str, str, str]:
    return pfs.project, pfs.repo, pfs.branch
