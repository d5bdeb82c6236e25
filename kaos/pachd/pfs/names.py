"""Finds what a request names, and refuses names that Pachyderm refuses."""

import re
import sqlite3
from typing import Any, Final

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import StatusError, not_found, unknown

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_PROJECT_MAX: Final = 51
_COMMIT_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
_ANCESTRY: Final = re.compile(r"(?P<name>[^\^~]*)(?P<steps>[\^~0-9]*)\Z")
_FORBIDDEN: Final = frozenset("*?[]{}!()@+^")
# What jobs read are real files: no file system that matters takes longer names, and no system call longer paths.
_NAME_MAX_BYTES: Final = 255
_PATH_MAX_BYTES: Final = 3_072  # of 4,096, so that a job's directory fits before it
# Trees are walked recursively.
_DEPTH_MAX: Final = 128

Row = sqlite3.Row


def valid_name(kind: str, name: str) -> str:
    """Returns `name`; UNKNOWN where it can't name a repo, branch or pipeline."""
    if not _NAME.match(name):
        raise unknown(
            f"{kind} name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        )
    return name


def valid_project(name: str) -> str:
    """Returns `name`; UNKNOWN where it can't name a project."""
    if len(name) > _PROJECT_MAX:
        excess = len(name) - _PROJECT_MAX
        raise unknown(f'project name "{name}" is {excess} characters longer than the {_PROJECT_MAX} max')
    if not valid_name("project", name)[0].isalnum():
        raise unknown("project names must start with an alphanumeric character")
    return name


def valid_path(path: str) -> str:
    """Returns the path as `/a/b`; UNKNOWN where Pachyderm refuses it, or a file system would."""
    if not path.isascii() or not path.isprintable():
        raise unknown(f"path ({path!r}) invalid: only printable ASCII characters allowed")
    if forbidden := _FORBIDDEN & set(path):
        raise unknown(f"path ({path}) invalid: globbing character ({min(forbidden)}) not allowed in path")
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts:
        raise unknown(f"path ({path}) invalid: relative file paths are not allowed")
    if len(path) > _PATH_MAX_BYTES or len(parts) > _DEPTH_MAX or any(len(part) > _NAME_MAX_BYTES for part in parts):
        raise unknown(
            f"path ({path[:_NAME_MAX_BYTES]}…) invalid: a path has at most {_PATH_MAX_BYTES} characters and"
            f" {_DEPTH_MAX} directories, and a name {_NAME_MAX_BYTES} characters"
        )
    return "/" + "/".join(parts)


def project_of(project: Any) -> str:
    """A request without a project means the default one."""
    return str(project.name) or "default"


def repo_text(repo: Any) -> str:
    """`project/name`, with the type where it is not a user's repo."""
    suffix = f".{repo.type}" if repo.type not in {"", "user"} else ""
    return f"{project_of(repo.project)}/{repo.name}{suffix}"


def find_repo(connection: sqlite3.Connection, repo: Any) -> Row:
    """The repo's row; NOT_FOUND."""
    row = look_up_repo(connection, project_of(repo.project), repo.name, repo.type or "user")
    if row is None:
        raise not_found(f"repo {repo_text(repo)}")
    return row


def look_up_repo(connection: sqlite3.Connection, project: str, name: str, kind: str = "user") -> Row | None:
    """The repo's row, or None."""
    row: Row | None = connection.execute(
        "SELECT * FROM repos WHERE project = ? AND name = ? AND type = ?", (project, name, kind)
    ).fetchone()
    return row


def look_up_branch(connection: sqlite3.Connection, repo: int, name: str) -> Row | None:
    """The branch's row, or None."""
    row: Row | None = connection.execute("SELECT * FROM branches WHERE repo = ? AND name = ?", (repo, name)).fetchone()
    return row


def find_branch(connection: sqlite3.Connection, branch: Any) -> Row:
    """The branch's row; NOT_FOUND."""
    row = look_up_branch(connection, find_repo(connection, branch.repo)["id"], branch.name)
    if row is None:
        raise _branch_not_found(branch.name, branch.repo)
    return row


def repo_of(commit: Any) -> Any:
    """Newer clients name the repo beside the branch, older ones within it."""
    return commit.repo if commit.HasField("repo") and commit.repo.name else commit.branch.repo


def commit_text(commit: Any) -> str:
    """`project/repo@branch=id`, or as much of it as is given."""
    name = "=".join(part for part in (commit.branch.name, commit.id) if part)
    return f"{repo_text(repo_of(commit))}@{name}"


def find_commit(connection: sqlite3.Connection, commit: Any) -> Row:
    """The commit's row: by id, by branch, or by a branch's name given as id, with `^`, `^3`, `~2`; NOT_FOUND.

    The id of a commit set to which the repo's commit does not belong, but which was made from it, names it too.
    """
    repo = find_repo(connection, repo_of(commit))
    matched = _ANCESTRY.match(commit.id or commit.branch.name)
    if matched is None:
        raise not_found(f"commit {commit_text(commit)}")
    row = _by_id(connection, repo["id"], matched["name"]) or _by_branch(connection, repo["id"], matched["name"])
    if row is None and not _COMMIT_ID.match(matched["name"]):
        raise _branch_not_found(matched["name"], repo_of(commit))
    for _ in range(_steps(matched["steps"])):
        row = commit_by_id(connection, row["parent"]) if row is not None and row["parent"] else None
    if row is None:
        raise not_found(f"commit {commit_text(commit)}")
    return row


def commit_by_id(connection: sqlite3.Connection, rowid: int) -> Row:
    """The row of a commit that is there."""
    row: Row = connection.execute("SELECT * FROM commits WHERE id = ?", (rowid,)).fetchone()
    return row


def repo_message(connection: sqlite3.Connection, rowid: int) -> pfs_pb2.Repo:
    """A repo as clients name it."""
    row = connection.execute("SELECT project, name, type FROM repos WHERE id = ?", (rowid,)).fetchone()
    return pfs_pb2.Repo(name=row["name"], type=row["type"], project=pfs_pb2.Project(name=row["project"]))


def commit_message(connection: sqlite3.Connection, row: Row) -> pfs_pb2.Commit:
    """A commit as clients name it."""
    repo = repo_message(connection, row["repo"])
    return pfs_pb2.Commit(repo=repo, id=row["commit_set"], branch=pfs_pb2.Branch(repo=repo, name=row["branch"]))


def _by_id(connection: sqlite3.Connection, repo: int, name: str) -> Row | None:
    if not _COMMIT_ID.match(name):
        return None
    row: Row | None = connection.execute(
        "SELECT * FROM commits WHERE repo = ? AND commit_set = ?", (repo, name)
    ).fetchone()
    return row or next((above for above in made_from(connection, name) if above["repo"] == repo), None)


def _by_branch(connection: sqlite3.Connection, repo: int, name: str) -> Row | None:
    branch = look_up_branch(connection, repo, name)
    return commit_by_id(connection, branch["head"]) if branch is not None and branch["head"] else None


def made_from(connection: sqlite3.Connection, commit_set: str) -> list[Row]:
    """The commits of other sets that a commit set's commits were made from, directly or not, oldest first."""
    return connection.execute(
        """WITH RECURSIVE above (id) AS (
               SELECT upstream FROM commit_provenance JOIN commits ON commits.id = commit_id WHERE commit_set = ?1
               UNION SELECT upstream FROM commit_provenance JOIN above ON commit_id = above.id)
           SELECT commits.* FROM commits JOIN above ON commits.id = above.id WHERE commit_set <> ?1
           ORDER BY commits.id""",
        (commit_set,),
    ).fetchall()


def _branch_not_found(name: str, repo: Any) -> StatusError:
    """Clients compare these words (python-pachyderm's path_exists)."""
    return not_found(f'branch "{name}"', f"in repo {repo_text(repo)}")


def _steps(text: str) -> int:
    """`^^` is 2, `~3` is 3, `^2~1` is 3."""
    return sum(int(count or 1) for count in re.findall(r"[\^~](\d*)", text))
