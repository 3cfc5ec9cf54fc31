"""Values that lie in columns are the same as those that lie one beside the other."""

from dataclasses import dataclass

import pytest

from mainspring.model.columns import Columns
from mainspring.model.value import Value


@dataclass(frozen=True)
class Point(Value):
    x: int
    y: int = 0


POINTS = [Point(1, 2), Point(3, 4), Point(5, 6)]
COLUMNS = Columns.of(Point, ("x", "y"), [(1, 2), (3, 4), (5, 6)])


def test_they_are_a_sequence_of_values() -> None:
    assert list(COLUMNS) == POINTS
    assert [COLUMNS[number] for number in range(len(COLUMNS))] == POINTS
    assert COLUMNS[1:] == POINTS[1:]
    assert POINTS[2] in COLUMNS


def test_others_take_the_place_of_some_fields() -> None:
    assert list(COLUMNS.changed(y=(0, 0, 0))) == [Point(1), Point(3), Point(5)]
    assert list(COLUMNS) == POINTS


def test_copies_of_one_value_have_of_their_own_what_is_given() -> None:
    assert list(Columns.alike(Point(1, 2), 2, y=[3, 4])) == [Point(1, 3), Point(1, 4)]
    assert Columns.alike(Point(1), 2)[1] == Point(1)


def test_columns_have_to_be_of_one_length() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(COLUMNS.changed(y=(0,)))
