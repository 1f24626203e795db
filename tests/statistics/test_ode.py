"""The solver against solutions in closed form and SciPy's, and its gradient."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import torch
from torch import Tensor

from genarena.statistics.ode import flow, integrate
from genarena.statistics.traces import axes

MATRIX = torch.tensor([[0.3, -1.0], [1.2, -0.4]], dtype=torch.float64)


def test_a_linear_field_is_the_matrix_exponential_in_both_directions() -> None:
    x = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for times in ((0.0, 1.5), (1.5, 0.0)):
        errors = []
        exact = x @ torch.linalg.matrix_exp(MATRIX * (times[1] - times[0])).T
        for tolerance in (1e-4, 1e-6, 1e-8, 1e-10):
            found, _ = integrate(lambda state, _: state @ MATRIX.T, x, times, tolerance)
            errors.append((found - exact).abs().max().item())
        assert errors[-1] < 1e-8
        assert all(later < 0.2 * earlier for earlier, later in pairwise(errors))


def test_steps_are_those_of_scipy() -> None:
    """y' = y cos(t + y), which depends on the time: the same numbers from as many evaluations."""
    start = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    found, nfe = integrate(lambda y, t: y * torch.cos(t + y), start, (0.2, 3.0), 1e-6)
    theirs = scipy.integrate.RK45(lambda t, y: y * np.cos(t + y), 0.2, start.numpy(), 3.0, rtol=1e-6, atol=1e-6)
    while theirs.status == "running":
        theirs.step()
    assert nfe == theirs.nfev
    torch.testing.assert_close(found, torch.from_numpy(theirs.y), atol=1e-12, rtol=0.0)


def test_gradients_through_the_steps_are_those_of_the_solution() -> None:
    """d/dA of |exp(A) x|^2 and of the log-determinant, tr A."""
    x = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = MATRIX.clone().requires_grad_()
    found = flow(lambda state, _: state @ matrix.T, x, (0.0, 1.0), 1e-9, axes(x))
    exact = (x @ torch.linalg.matrix_exp(matrix).T).square().sum()
    (slope,) = torch.autograd.grad(found.x.square().sum() + found.log_det.sum(), matrix)
    (expected,) = torch.autograd.grad(exact + 3.0 * matrix.trace(), matrix)
    torch.testing.assert_close(slope, expected, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(found.log_det, matrix.trace().expand(3), atol=1e-9, rtol=0.0)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_field_that_breaks_gives_nan_and_ends(broken: float) -> None:
    def field(state: Tensor, time: float) -> Tensor:
        return state * (broken if time > 0.5 else 1.0)

    assert integrate(field, torch.ones(2, 1), (0.0, 1.0), 1e-5).state.isnan().all()


def test_a_solution_that_explodes_gives_nan_and_ends() -> None:
    found = integrate(lambda state, _: state.square(), torch.ones(1, 1, dtype=torch.float64), (0.0, 2.0), 1e-6)
    assert found.state.isnan().all()
