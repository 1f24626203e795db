"""The lines of `scripts/bench.py` about the evaluation: what is timed gives the numbers of the package it is compared with."""

import re

import pytest

from genarena.errors import UserError
from genarena.published.speed import evaluation
from scripts import bench

LINES = {
    "neighbours": lambda: evaluation.neighbours(((60, 8),)),
    "kernel_distance": lambda: evaluation.kernel_distance(60, 8),
    "frechet": lambda: evaluation.frechet(60, 8),
}


@pytest.mark.parametrize("name", LINES)
def test_both_give_the_same_number(name: str) -> None:
    (apart,) = re.findall(r"apart by (\S+) of the value", LINES[name]())
    assert float(apart) < 1e-8


def test_a_line_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match="unknown benchmark kdi: choose from start_time, neighbours, kernel_distance"):
        bench.main(["kdi"])
