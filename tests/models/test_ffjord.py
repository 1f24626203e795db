"""FFJORD: a linear velocity in closed form, densities, the inverse, and the tolerance of the solver."""

import pytest
import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.flow.ffjord import FFJORD, ContinuousFlow, Solver
from genarena.spec import Batch, DataSpec
from tests.models.plane import check_density_on_the_plane

MATRIX = torch.tensor([[0.3, -1.0, 0.2], [1.2, -0.4, 0.0], [0.1, 0.5, 0.6]], dtype=torch.float64)


class Linear(nn.Module):
    def forward(self, x: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        return x @ MATRIX.T


def shaken(model: FFJORD, x: Tensor, scale: float = 0.5) -> FFJORD:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "velocity" in name:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_vectors(num_dims: int, **options: object) -> FFJORD:
    torch.manual_seed(0)
    model = FFJORD(DataSpec((num_dims,)), hidden=(8, 8), **options)
    return shaken(model, 2.0 * torch.randn(64, num_dims) + 1.0)


def test_a_linear_velocity_is_the_matrix_exponential_and_its_trace() -> None:
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flow = ContinuousFlow(Linear(), Solver(1e-3, 1e-9, 8, 1)).eval()
    z, log_det = flow(x)
    torch.testing.assert_close(z, x @ torch.linalg.matrix_exp(MATRIX).T, atol=1e-7, rtol=0.0)
    torch.testing.assert_close(log_det, MATRIX.trace().expand(5), atol=1e-12, rtol=0.0)
    torch.testing.assert_close(flow.inverse(z), x, atol=1e-7, rtol=0.0)


def test_log_det_against_autograd_and_half_the_tolerance_moves_it_little() -> None:
    model, values = on_vectors(3, num_flows=2), []
    x = 2.0 * torch.randn(4, 3) + 1.0
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x]
    z, log_det = model.flow(x)
    assert (log_det - log_det.mean()).abs().max() > 0.01
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(model.flow.inverse(z), x, atol=1e-4, rtol=0.0)
    for tolerance in (1e-5, 5e-6):
        model.solver.tolerance = tolerance
        with torch.no_grad():
            values.append(model.log_prob(x))
    torch.testing.assert_close(*values, atol=1e-4, rtol=0.0)
    assert model.nfe >= 16


def test_density_on_the_plane_integrates_to_one() -> None:
    model = on_vectors(2, tolerance=1e-4)
    check_density_on_the_plane(model)
    assert model.likelihood is Likelihood.EXACT


@torch.no_grad()
def test_the_estimate_is_unbiased_and_says_that_it_is_an_estimate() -> None:
    exact, model = on_vectors(4), on_vectors(4, exact_dims=0)
    x = torch.randn(1, 4)
    torch.manual_seed(0)
    draws = model.log_prob(x.expand(4000, -1))
    assert draws.std() > 0.01
    assert abs(draws.mean() - exact.log_prob(x)) < 3.0 * draws.std() / 4000**0.5
    assert (model.likelihood, model.estimator()["trace_probes"]) == (Likelihood.ESTIMATE, 1)


def test_levels_survive_encoding_and_decoding() -> None:
    torch.manual_seed(0)
    x = torch.randint(4, (16, 1, 3, 3), dtype=torch.uint8)
    model = shaken(FFJORD(DataSpec((1, 3, 3), 4), hidden=(8,)), x, 0.1)
    with torch.no_grad():
        assert torch.equal(model.decode(model.encode(x)), x)
    assert model.likelihood is Likelihood.LOWER_BOUND


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"hidden=\[\]"):
        FFJORD(DataSpec((2,)), hidden=())
    with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
        FFJORD(DataSpec((5,), 4))
