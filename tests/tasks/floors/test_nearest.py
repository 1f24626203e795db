"""Nearest training images against all distances in float64."""

import pytest
import torch

from genarena.tasks.floors import nearest
from genarena.tasks.floors.nearest import Nearest, TenNearest
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.convolution import Convolution, gaussian_kernel
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise

SHAPE = (2, 4, 6)


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


OPERATORS = {
    "identity": identity(SHAPE),
    "shared_mask": Mask(rand(1, *SHAPE, seed=1) > 0.5),
    "masks": Mask(rand(7, *SHAPE, seed=1) > 0.5),
    "block_mean": BlockMean(SHAPE, 2),
    "convolution": Convolution(SHAPE, gaussian_kernel(3, 1.0)),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=list(OPERATORS))
def test_they_are_the_nearest(operator: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "AT_ONCE", 64)  # 5 parts
    train, x = rand(300, *SHAPE, seed=2).float(), rand(7, *SHAPE)
    asked = Problem(operator, operator(x), 0.1, Noise.of([(k,) for k in range(7)]))
    gaps = [asked.rows(slice(k, k + 1)).residual(train.double()).flatten(1).square().sum(1) for k in range(7)]
    order = torch.stack(gaps).argsort(1)
    assert torch.equal(nearest.nearest(asked.y, operator, train, 10), order[:, :10])
    assert torch.equal(Nearest(train).restore(asked, 0.0), train[order[:, 0]].double())
    ten = TenNearest(train).restore(asked, 0.0)
    assert torch.allclose(ten, train[order[:, :10]].double().mean(1), atol=1e-12)


def test_equal_ones_keep_their_order_and_few_images_are_enough() -> None:
    values = (0.9, 0.5, 0.1, 0.5, 0.5, 0.2, 0.5, 0.5)
    train = torch.stack([torch.full(SHAPE, value) for value in values])
    y = torch.full((1, *SHAPE), 0.5, dtype=torch.float64)
    assert nearest.nearest(y, identity(SHAPE), train, 7).tolist() == [[1, 3, 4, 6, 7, 5, 0]]
    asked = Problem(identity(SHAPE), y, 0.1, Noise.of([(0,)]))
    assert torch.allclose(TenNearest(train).restore(asked, 0.0), train.double().mean(0))


def test_near_ties_are_told_apart_in_double_precision() -> None:
    """The distances differ by 1e-6 of |y|^2, below what single precision holds."""
    y = torch.full((1, *SHAPE), 100.0, dtype=torch.float64)
    train = torch.full((6, *SHAPE), 100.0)
    for k, gap in enumerate((0.05, 0.04, 0.01, 0.02, 0.03, 0.06)):
        train[k, 0, 0, 0] += gap
    assert nearest.nearest(y, identity(SHAPE), train, 4).tolist() == [[2, 3, 4, 1]]
