"""Directions in Gaussian codes N(0, C) with the attribute w.z > 0: the mean difference is along C w, the others along w."""

import pytest
import torch
from torch import Tensor

from genarena.tasks.editing.directions import DIRECTIONS, without


def world() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes (N, D), whether they have the attribute, w and C, of condition number 58."""
    generator = torch.Generator().manual_seed(0)
    size = 6
    root = 0.35 * torch.randn(size, size, generator=generator, dtype=torch.float64) + torch.eye(size)
    w = torch.randn(size, generator=generator, dtype=torch.float64)
    z = torch.randn(20_000, size, generator=generator, dtype=torch.float64) @ root.T
    return z, z @ w > 0, w, root @ root.T


def cosine(one: Tensor, two: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one, two, dim=0).item()


@pytest.mark.parametrize(("name", "turned"), [("mean difference", True), ("LDA", False), ("logistic", False)])
def test_each_direction_is_the_one_of_theory(name: str, turned: bool) -> None:
    z, has, w, covariance = world()
    found = DIRECTIONS[name](z.float(), has)
    assert found.norm().item() == pytest.approx(1.0)
    wanted, other = (covariance @ w, w) if turned else (w, covariance @ w)
    assert cosine(found, wanted) > 0.998
    assert cosine(found, other) < 0.9  # the two are not the same here
    assert cosine(DIRECTIONS[name](z.float(), ~has), wanted) < -0.995


def test_a_projection_leaves_what_is_orthogonal() -> None:
    generator = torch.Generator().manual_seed(1)
    direction, *others = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    found = without(direction, others)
    assert found.norm().item() == pytest.approx(1.0)
    assert max(abs((found @ other).item()) for other in others) < 1e-9
    assert torch.equal(without(direction, []), direction)
    with pytest.raises(ValueError, match="nothing is left"):
        without(others[0] + others[1], others)
