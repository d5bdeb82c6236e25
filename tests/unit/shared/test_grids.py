"""A space of hyperparameters: read, drawn from, expanded; the same seed draws the same for ever."""

import json

import pytest

from shared.errors import Reject
from shared.grids import Grid, Listed, canonical, draw, expand, read


def grid(**axes: int) -> Grid:
    return Grid({name: list(range(count)) for name, count in axes.items()})


def test_each_number_is_a_combination_and_the_last_axis_turns_fastest() -> None:
    found = [grid(a=2, b=3).at(number) for number in range(6)]
    assert found == [{"a": a, "b": b} for a in range(2) for b in range(3)]
    assert [*found[0]] == ["a", "b"]


def test_a_list_of_combinations_is_tried_as_it_is() -> None:
    space = read(b'[{"degree": 3, "c": [1, 2]}, {"kernel": "rbf"}]')
    assert space == Listed(({"degree": 3, "c": [1, 2]}, {"kernel": "rbf"}))
    assert [json.loads(text) for text in expand(space).values()] == [{"degree": 3, "c": [1, 2]}, {"kernel": "rbf"}]


def test_what_was_drawn_reads_back_as_the_same_trials() -> None:
    drawn = draw(grid(a=50, b=50), 7, seed=3)
    assert expand(read(canonical([*drawn.combinations]))) == expand(drawn)


def test_a_draw_is_decided_by_its_seed() -> None:
    space = grid(a=1000, b=1000, c=1000)
    first, again, other = draw(space, 4, 1), draw(space, 4, 1), draw(space, 4, 2)
    assert first == again != other
    # Written down: a newer kaos must draw the same, or the same command would train other models.
    assert [*draw(grid(a=10, b=10), 3, 0).combinations] == [{"a": 2, "b": 2}, {"a": 8, "b": 0}, {"a": 9, "b": 9}]


def test_a_draw_takes_none_twice_and_all_where_there_are_not_more() -> None:
    assert len(expand(draw(grid(a=100), 99, 0))) == 99
    assert draw(grid(a=3), 5, 0) == Listed(({"a": 0}, {"a": 1}, {"a": 2}))


def test_a_draw_expands_nothing_of_a_huge_grid() -> None:
    assert draw(Grid({name: [*range(1000)] for name in "abcdefgh"}), 10, 0).count == 10


def test_what_is_too_much_says_how_to_have_less() -> None:
    with pytest.raises(Reject, match="--search random") as reason:
        expand(grid(a=101, b=101))
    assert reason.value.code == "params.too-many"
