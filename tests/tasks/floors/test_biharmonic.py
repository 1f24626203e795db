"""The biharmonic equation against polynomials that solve it, its optimality, and scikit-image."""

import pytest
import torch

from genarena.tasks.floors.biharmonic import Biharmonic, biharmonic, inpaint
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def hole(side: int = 14) -> torch.Tensor:
    known = torch.ones(1, side, side, dtype=torch.bool)
    known[:, 4:10, 3:9] = False
    return known


def test_polynomials_that_solve_the_equation_come_back() -> None:
    """Laplace Laplace p = 0 for all polynomials of degree 3, and for x^3 y; not for x^2 y^2."""
    v, u = torch.meshgrid(*2 * [torch.linspace(-1, 1, 14, dtype=torch.float64)], indexing="ij")
    solves = torch.stack([u, u * v, u**2 + v**2, u**3 - 2 * u * v**2, u**3 * v])
    known = hole().expand(5, -1, -1)
    assert torch.allclose(inpaint(solves * known, known), solves, atol=1e-10)
    other = (u**2 * v**2)[None]
    assert (inpaint(other * hole(), hole()) - other).abs().max() > 1e-3


def test_what_is_filled_in_is_the_smoothest_and_what_is_known_stays() -> None:
    x, known = rand(3, 7, 9), rand(3, 7, 9) > 0.6
    filled = inpaint(x * known, known)
    assert torch.equal(filled[known], x[known])
    slope = torch.from_numpy(biharmonic(7, 9) @ filled.flatten(1).numpy().T).T.view(3, 7, 9)
    assert slope[~known].abs().max() < 1e-10 < slope[known].abs().max()


def test_a_floor_of_many_masks_is_that_of_each() -> None:
    shape = (2, 7, 9)
    m = rand(6, 1, 7, 9).expand(-1, 2, -1, -1) > 0.6
    m = torch.cat([m, torch.zeros(1, *shape, dtype=torch.bool)])  # of the last nothing is measured
    y = rand(7, *shape) * m
    problem = Problem(Mask(m), y, 0.1, Noise.of([(k,) for k in range(7)]))
    floor = Biharmonic(y)
    filled = floor.restore(problem, 0.0)
    assert torch.allclose(filled[2:3], floor.restore(problem.rows(slice(2, 3)), 0.0), atol=1e-12)
    assert filled[:6].isfinite().all() and filled[6].isnan().all()
    assert floor.fits(Mask(m), 0.1) and not floor.fits(identity(shape), 0.1)


def test_it_is_that_of_scikit_image() -> None:
    """Which clips the result to the range of what is known."""
    restoration = pytest.importorskip("skimage.restoration")
    x = rand(1, 14, 14)
    for known in (hole(), rand(1, 14, 14) > 0.3, rand(1, 14, 14) > 0.7):
        wanted = restoration.inpaint_biharmonic((x * known)[0].numpy(), ~known[0].numpy())
        low, high = x[known].aminmax()
        assert torch.allclose(inpaint(x * known, known)[0].clamp(low, high), torch.from_numpy(wanted), atol=1e-10)
