"""Names of lines that stand close together: none covers another, and no line runs through a name."""

import itertools
import random

import pytest

from genarena.leaderboard.flags import GAP, Flag, place_flags


def crossings(flags: list[Flag]) -> list[tuple[Flag, Flag]]:
    """By the definition of what is drawn: a line runs down from the row of its name, a name fills its row."""
    found = []
    for one, other in itertools.permutations(flags, 2):
        covers = one.row == other.row and one.start < other.end and other.start < one.end
        if covers or (one.row > other.row and other.start < one.x < other.end):
            found.append((one, other))
    return found


@pytest.mark.parametrize(
    "xs", [(10, 14, 18), (150, 153, 170, 340, 424), (5, 430), (212, 214, 216, 218, 220), (438, 439)]
)
def test_names_and_lines_do_not_cross(xs: tuple[float, ...]) -> None:
    flags = place_flags([(x, 100.0) for x in xs], 5, 440.0)
    assert crossings(flags) == []
    assert [flag.x for flag in flags] == list(xs)
    for flag in flags:
        assert 0.0 <= flag.start and flag.end <= 440.0
        assert flag.start - flag.x == GAP or flag.x - flag.end == GAP  # beside its line


def test_any_few_lines_have_a_place() -> None:
    draw = random.Random(0)
    for _ in range(200):
        lines = sorted((draw.uniform(150, 424), draw.choice((24.0, 60.0, 108.0))) for _ in range(5))
        assert crossings(place_flags(lines, 5, 438.0)) == []


def test_lines_far_apart_are_named_in_one_row_and_too_many_still_have_names() -> None:
    assert [flag.row for flag in place_flags([(20, 50), (150, 50), (300, 50)], 5, 440.0)] == [0, 0, 0]
    many = place_flags([(float(i), 200.0) for i in range(200, 240)], 2, 440.0)
    assert len(many) == 40 and all(0.0 <= flag.start and flag.end <= 440.0 for flag in many)
