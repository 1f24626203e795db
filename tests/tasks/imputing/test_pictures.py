"""The picture of completed rows."""

import torch

from genarena.tasks.imputing.completed import Completed
from genarena.tasks.imputing.pictures import COLUMNS, chosen, filled


def test_columns_with_the_most_holes_are_shown() -> None:
    hidden = torch.zeros(9, 8, dtype=torch.bool)
    for column, count in enumerate((1, 0, 5, 9, 2, 3, 0, 7)):
        hidden[:count, column] = True
    assert chosen(hidden) == [2, 3, 4, 5, 7] and COLUMNS == 5
    assert chosen(hidden[:, :2]) == [0] and chosen(hidden[:, 1:2]) == []


def test_a_row_per_method() -> None:
    truth, hidden = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.ones(20, 3, dtype=torch.bool)
    right = Completed(truth, None, 0, 0.0)
    wide = Completed(truth, torch.stack([truth - 1, truth + 1]), 0, 0.0)
    one, two = filled({"a": right}, truth, hidden), filled({"a": right, "b": wide}, truth, hidden)
    assert one.dtype == torch.uint8 and one.shape[:2] == (1, 3) and one.shape[3] == two.shape[3]
    assert two.shape[2] > 1.7 * one.shape[2]
    assert (filled({"a": wide}, truth, hidden) != one).any()  # the ranges of draws are seen
    assert filled({"a": right}, truth, ~hidden).shape[1] == 3  # nothing to show
