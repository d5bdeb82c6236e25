"""Merkle trees: equal content has equal roots, however it came to be; drafts, and trees joined."""

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaos.pachd.storage import trees
from kaos.pachd.storage.trees import EMPTY, CollisionError, Draft, Node
from tests.unit.pachd.conftest import MakeTree

NAMES = st.sampled_from(["a", "b", "c", "[]"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
CHANGES = st.lists(st.tuples(PATHS, st.none() | st.sampled_from([b"1", b"[]", b""])), max_size=20)


def content(connection: sqlite3.Connection, root: str) -> dict[str, str]:
    return {path: node.hash for path, node in trees.files(connection, root)}


@given(changes=CHANGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_a_draft_is_what_a_dictionary_would_be(
    connection: sqlite3.Connection, changes: list[tuple[str, bytes]]
) -> None:
    """Whatever is put, deleted and saved in between: the root is that of the same files put at once."""
    expected: dict[str, Node] = {}
    root = EMPTY
    draft = Draft(connection, root)
    for number, (path, written) in enumerate(changes):
        if written is None:
            draft.delete(path)
            expected = {
                each: node for each, node in expected.items() if each != path and not each.startswith(f"{path}/")
            }
        elif not any(each.startswith(f"{path}/") or path.startswith(f"{each}/") for each in expected):
            node = Node("file", f"{written.hex():0>64}", len(written))
            draft.put(path, node)
            expected[path] = node
        if number % 3 == 0:
            draft = Draft(connection, draft.save())
    root = draft.save()
    assert content(connection, root) == {path: node.hash for path, node in expected.items()}
    assert trees.root_node(connection, root).size == sum(node.size for node in expected.values())
    once = Draft(connection, EMPTY)
    for path, node in expected.items():
        once.put(path, node)
    assert once.save() == root


def test_what_is_emptied_is_gone(connection: sqlite3.Connection, tree: MakeTree) -> None:
    draft = Draft(connection, tree({"/a/b/c": b"1"}))
    draft.delete("/a/b/c")
    assert draft.get("/a") is None
    assert draft.save() == EMPTY


def test_a_file_is_in_the_way(connection: sqlite3.Connection, tree: MakeTree) -> None:
    draft = Draft(connection, tree({"/a": b"1"}))
    for path in ("/a/b", "/"):
        with pytest.raises(NotADirectoryError):
            draft.put(path, Node("file", "0" * 64, 0))


def test_trees_are_joined(connection: sqlite3.Connection, tree: MakeTree) -> None:
    one, two, three = tree({"/d/a": b"1", "/x": b"2"}), tree({"/d/b": b"3"}), tree({"/d/e/f": b"4"})
    joined = trees.merge(connection, [one, two, three, EMPTY])
    assert joined == tree({"/d/a": b"1", "/d/b": b"3", "/d/e/f": b"4", "/x": b"2"})
    assert trees.merge(connection, []) == EMPTY
    assert trees.merge(connection, [one]) == one


@pytest.mark.parametrize(("other", "path"), [({"/d/a": b"1"}, "/d/a"), ({"/d": b"1"}, "/d"), ({"/x/y": b"1"}, "/x")])
def test_the_same_path_twice_is_a_collision(
    connection: sqlite3.Connection, tree: MakeTree, other: dict[str, bytes], path: str
) -> None:
    with pytest.raises(CollisionError) as caught:
        trees.merge(connection, [tree({"/d/a": b"1", "/x": b"2"}), tree(other)])
    assert caught.value.path == path


def test_a_thousand_trees_are_joined_in_one_go(connection: sqlite3.Connection, tree: MakeTree) -> None:
    roots = [tree({f"/{number}/f": b"1"}) for number in range(1000)]
    rows = connection.execute("SELECT count(*) FROM trees").fetchone()[0]
    root = trees.merge(connection, roots)
    assert len(trees.read(connection, root)) == 1000
    assert connection.execute("SELECT count(*) FROM trees").fetchone()[0] == rows + 1
