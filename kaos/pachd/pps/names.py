"""Finds the pipelines that requests name."""

import sqlite3
from typing import Any

from kaos.pachd.errors import not_found
from kaos.pachd.pfs.names import Row, project_of


def look_up_pipeline(connection: sqlite3.Connection, project: str, name: str) -> Row | None:
    """The pipeline's row, or None."""
    row: Row | None = connection.execute(
        "SELECT * FROM pipelines WHERE project = ? AND name = ?", (project, name)
    ).fetchone()
    return row


def find_pipeline(connection: sqlite3.Connection, pipeline: Any) -> Row:
    """The pipeline's row; NOT_FOUND."""
    row = look_up_pipeline(connection, project_of(pipeline.project), pipeline.name)
    if row is None:
        raise not_found(f"pipeline {project_of(pipeline.project)}/{pipeline.name}")
    return row
