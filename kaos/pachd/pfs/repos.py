"""Projects and repos: made, described, deleted."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import already_exists, not_found, precondition, unknown
from kaos.pachd.pfs.names import (
    Row,
    find_repo,
    look_up_repo,
    project_of,
    repo_message,
    repo_text,
    valid_name,
    valid_project,
)
from kaos.pachd.storage import trees
from kaos.pachd.transaction import Transaction


def create_project(txn: Transaction, request: Any) -> None:
    """ALREADY_EXISTS unless `update`."""
    name = valid_project(request.project.name)
    if _project(txn.connection, name) is not None:
        if not request.update:
            raise already_exists(f"project {name}")
        txn.connection.execute("UPDATE projects SET description = ? WHERE name = ?", (request.description, name))
        return
    txn.connection.execute("INSERT INTO projects VALUES (?, ?, ?)", (name, request.description, txn.now))


def inspect_project(connection: sqlite3.Connection, request: Any) -> pfs_pb2.ProjectInfo:
    """NOT_FOUND."""
    row = _project(connection, project_of(request.project))
    if row is None:
        raise not_found(f"project {request.project.name}")
    return _project_info(row)


def list_projects(connection: sqlite3.Connection) -> list[pfs_pb2.ProjectInfo]:
    """Oldest first."""
    return [_project_info(row) for row in connection.execute("SELECT * FROM projects ORDER BY created, name")]


def delete_project(txn: Transaction, request: Any) -> None:
    """FAILED_PRECONDITION while it has repos, unless `force`; a missing project is no error."""
    name = project_of(request.project)
    repos = txn.connection.execute("SELECT id FROM repos WHERE project = ?", (name,)).fetchall()
    if repos and not request.force:
        raise precondition(f"cannot delete project {name}: it still has repos")
    if txn.connection.execute("SELECT 1 FROM pipelines WHERE project = ?", (name,)).fetchone():
        raise precondition(f"cannot delete project {name}: it still has pipelines")
    txn.connection.executemany("DELETE FROM repos WHERE id = ?", [(repo["id"],) for repo in repos])
    txn.connection.execute("DELETE FROM projects WHERE name = ?", (name,))


def create_repo(txn: Transaction, request: Any) -> None:
    """ALREADY_EXISTS unless `update`."""
    repo = request.repo
    project, kind = project_of(repo.project), repo.type or "user"
    valid_name("repo", repo.name)
    if _project(txn.connection, project) is None:
        raise not_found(f"project {project}")
    there = look_up_repo(txn.connection, project, repo.name, kind)
    if there is not None:
        if not request.update:
            raise already_exists(f"repo {repo_text(repo)}")
        txn.connection.execute("UPDATE repos SET description = ? WHERE id = ?", (request.description, there["id"]))
        return
    add_repo(txn, project, repo.name, kind, request.description)


def add_repo(txn: Transaction, project: str, name: str, kind: str, description: str = "") -> int:
    """Makes a repo that is known not to be there; returns its rowid."""
    cursor = txn.connection.execute(
        "INSERT INTO repos (project, name, type, description, created) VALUES (?, ?, ?, ?, ?)",
        (project, name, kind, description, txn.now),
    )
    return int(cursor.lastrowid or 0)


def delete_repo(txn: Transaction, request: Any) -> None:
    """A missing repo is no error; one that a pipeline owns or reads is, the latter unless `force`."""
    repo = request.repo
    row = look_up_repo(txn.connection, project_of(repo.project), repo.name, repo.type or "user")
    if row is None:
        return
    owner = txn.connection.execute(
        "SELECT 1 FROM pipelines WHERE project = ? AND name = ?", (row["project"], row["name"])
    ).fetchone()
    if owner:
        raise unknown(f"cannot delete repo {repo_text(repo)}: it belongs to a pipeline of the same name")
    used = txn.connection.execute(
        "SELECT 1 FROM branch_provenance JOIN branches ON branches.id = upstream WHERE branches.repo = ?", (row["id"],)
    ).fetchone()
    if used and not request.force:
        raise unknown(f"cannot delete repo {repo_text(repo)}: a branch of another repo has provenance on it")
    txn.connection.execute("DELETE FROM repos WHERE id = ?", (row["id"],))


def inspect_repo(connection: sqlite3.Connection, request: Any) -> pfs_pb2.RepoInfo:
    """NOT_FOUND."""
    return _repo_info(connection, find_repo(connection, request.repo))


def list_repos(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.RepoInfo]:
    """Newest first; of these projects and this type, all where none is given."""
    projects = {project.name for project in request.projects}
    for row in connection.execute("SELECT * FROM repos ORDER BY created DESC, id DESC").fetchall():
        if (not projects or row["project"] in projects) and request.type in {"", row["type"]}:
            yield _repo_info(connection, row)


def _project(connection: sqlite3.Connection, name: str) -> Row | None:
    row: Row | None = connection.execute("SELECT * FROM projects WHERE name = ?", (name,)).fetchone()
    return row


def _project_info(row: Row) -> pfs_pb2.ProjectInfo:
    info = pfs_pb2.ProjectInfo(project=pfs_pb2.Project(name=row["name"]), description=row["description"])
    info.created_at.FromNanoseconds(row["created"])
    return info


def _repo_info(connection: sqlite3.Connection, row: Row) -> pfs_pb2.RepoInfo:
    repo = repo_message(connection, row["id"])
    branches = connection.execute("SELECT name, head FROM branches WHERE repo = ? ORDER BY id", (row["id"],)).fetchall()
    info = pfs_pb2.RepoInfo(
        repo=repo,
        description=row["description"],
        branches=[pfs_pb2.Branch(repo=repo, name=branch["name"]) for branch in branches],
    )
    info.created.FromNanoseconds(row["created"])
    # Pachyderm's size of a repo is that of master's head.
    root = connection.execute(
        "SELECT root FROM branches JOIN commits ON commits.id = head WHERE branches.repo = ? AND name = 'master'",
        (row["id"],),
    ).fetchone()
    size = trees.root_node(connection, root["root"]).size if root else 0
    info.size_bytes_upper_bound = info.details.size_bytes = size
    return info
