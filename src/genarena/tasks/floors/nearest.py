"""The training images that fit the observation best, by |y - A x|."""

import torch
from torch import Tensor

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem

AT_ONCE = 8192  # training images
SPARE = 10  # neighbours beyond those asked for whose distances are computed again in float64


class Nearest(Floor):
    """The training image with the smallest |y - A x|."""

    name = "nearest"
    k = 1

    def restore(self, problem: Problem, strength: float) -> Tensor:
        found = nearest(problem.y, problem.operator, self.train, self.k)
        return torch.stack([self.train[each].mean(0, dtype=torch.float64) for each in found])


class TenNearest(Nearest):
    """The mean of the ten training images with the smallest |y - A x|."""

    name = "ten_nearest"
    k = 10


def nearest(y: Tensor, operator: Operator, train: Tensor, k: int) -> Tensor:
    """Indices (N, k) of the training images with the smallest |y - A x|, the nearest first; of equal ones, the first in order.

    The search is in float32, and the order of those that it finds in float64.
    """
    wanted = min(k + SPARE, len(train))
    m, flat = operator.observed.flatten(1), y.flatten(1)
    squared, index = torch.empty(len(y), 0), torch.empty(len(y), 0, dtype=torch.long)
    for first in range(0, len(train), AT_ONCE):
        seen = _seen(operator, train[first : first + AT_ONCE]).flatten(1)
        block = m.float() @ seen.square().T - 2.0 * flat.float() @ seen.T  # |y - A x|^2 - |y|^2
        found = block.topk(min(wanted, len(seen)), largest=False)
        squared, index = torch.cat([squared, found.values], 1), torch.cat([index, found.indices + first], 1)
        squared, order = squared.topk(min(wanted, squared.shape[1]), largest=False)
        index = index.gather(1, order)
    index = index.sort(1).values
    gaps = [
        ((_seen(operator, train[each].double()).flatten(1) - row) * mask).square().sum(1)
        for each, row, mask in zip(index, flat, m.expand(len(y), -1), strict=True)
    ]
    return index.gather(1, torch.stack(gaps).sort(dim=1, stable=True).indices)[:, :k]


def _seen(operator: Operator, x: Tensor) -> Tensor:
    """A x of training images; where each example has a mask of its own, x itself."""
    return operator(x) if len(operator.observed) == 1 else x
