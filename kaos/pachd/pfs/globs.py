"""Paths by pattern, with Pachyderm's globs: `*` and `?` within a name, `**` across, `[a-z]`, `{one,other}`."""

import re
import sqlite3
from collections.abc import Iterator

from kaos.pachd.errors import unknown, unsupported
from kaos.pachd.storage import trees
from kaos.pachd.storage.trees import Node

_SPECIAL = frozenset("*?[{")


def glob(connection: sqlite3.Connection, root: str, pattern: str) -> Iterator[tuple[str, Node]]:
    """Every file and directory whose whole path matches, in the order of the names; a directory before its content.

    `/` is the root, which is not there while there are no files. UNIMPLEMENTED for Pachyderm's `@(one|other)` and its
    kin, UNKNOWN for what is no pattern.
    """
    if "(" in pattern:
        raise unsupported(f"patterns with parentheses ({pattern})")
    if root == trees.EMPTY:
        return
    parts = trees.parts_of(pattern)
    top = trees.root_node(connection, root)
    if not parts:
        yield "/", top
    elif any("**" in part or ("{" in part) != ("}" in part) for part in parts):
        # Only the whole path can be matched: `**`, or alternatives with a slash in them.
        matcher = _compile("/".join(parts))
        for path, node in trees.walk(connection, top, ""):
            if path != "/" and matcher.match(path[1:]):
                yield path, node
    else:
        yield from _match(connection, top, "", parts)


def _match(connection: sqlite3.Connection, node: Node, path: str, parts: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
    """Name by name, entering only directories that match so far."""
    if not parts:
        yield path, node
        return
    if node.kind != "dir":
        return
    entries = trees.read(connection, node.hash)
    if not _SPECIAL & set(parts[0]):
        names = [parts[0]] if parts[0] in entries else []
    else:
        matcher = _compile(parts[0])
        names = [name for name in entries if matcher.match(name)]
    for name in names:
        yield from _match(connection, entries[name], f"{path}/{name}", parts[1:])


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(f"{_translate(pattern)}\\Z")
    except re.error as error:
        raise unknown(f"pattern {pattern} invalid: {error}") from error


def _translate(pattern: str) -> str:
    """A glob as a regular expression."""
    found, alternatives = "", 0
    for token in re.findall(r"\*\*|\\.|\[[^\]]*\]|.", pattern):
        match token:
            case "**":
                found += ".*"
            case "*":
                found += "[^/]*"
            case "?":
                found += "[^/]"
            case "{":
                alternatives += 1
                found += "(?:"
            case "}" if alternatives:
                alternatives -= 1
                found += ")"
            case "," if alternatives:
                found += "|"
            case _ if token.startswith("[") and len(token) > 1:
                # It never matches a slash; and what Python would read more into is escaped.
                negated = "^" if token[1] == "!" else ""
                members = re.sub(r"([\\\[&|~])", r"\\\1", token[1:-1].removeprefix("!"))
                found += f"(?!/)[{negated}{members}]"
            case _:
                found += re.escape(token.removeprefix("\\") or token)
    return found
