"""Pictures of restorations: truth, observation, draws, their mean and standard deviation, and the best floor; the same test
images for all models."""

import torch
from torch import Tensor

from genarena.tasks.base import COLUMNS
from genarena.tasks.linear.problem import Problem
from genarena.tasks.restoring.images import Images, to_8_bit
from genarena.tasks.restoring.restored import Restored

DRAWS = 3  # shown of each image
MISSING = 0.5  # grey of what a mask hides


def gallery(
    test: Images, problem: Problem, own: Restored, algorithm: str, best: str, floor: Tensor
) -> tuple[dict[str, Tensor], list[str]]:
    """The picture, uint8 (rows * COLUMNS, C, H, W), by its file name; and what its rows are, from above. best: the name of the
    best floor; floor: its first estimates (n, C, H, W)."""
    num = min(COLUMNS, len(test.x))
    rows = {"original": test.x[:num], "observed": seen(problem)[:num]}
    if own.draws is not None:
        rows |= {f"draw {k + 1}": own.draws[:num, k] for k in range(min(DRAWS, own.draws.shape[1]))}
    rows[f"{algorithm}, mean" if own.draws is not None else algorithm] = own.mean[:num]
    if own.draws is not None and own.draws.shape[1] > 1:
        std = own.draws[:num].std(1)
        rows[f"standard deviation (white: {std.max().item():.2g})"] = std / std.max().clamp_min(1e-12)
    rows[f"best floor: {best}"] = floor[:num]
    return {"restored.png": _of_rows(list(rows.values()))}, list(rows)


def seen(problem: Problem) -> Tensor:
    """y as images (N, C, H, W): y itself, grey where nothing is measured; A^+ y, where y has another size."""
    operator = problem.operator
    if operator.observed_shape != operator.shape:
        return operator.pseudo_inverse(problem.y)
    return torch.where(operator.observed, problem.y, MISSING)


def _of_rows(rows: list[Tensor]) -> Tensor:
    """Rows of at most COLUMNS images; a shorter row is filled with grey."""
    images = torch.full((len(rows), COLUMNS, *rows[0].shape[1:]), MISSING, dtype=torch.float64)
    for place, row in enumerate(rows):
        images[place, : len(row)] = row
    return (to_8_bit(images.flatten(0, 1)) * 255).round().to(torch.uint8)
