"""Residual flows: the estimate of the log-determinant, the inverse, and Lipschitz constants."""

import pytest
import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.flow.residual_flow import ResidualBlock, ResidualFlow
from genarena.nets.lipschitz import limited, lipschitz_convolutions
from genarena.spec import Batch, DataSpec
from tests.models.plane import check_density_on_the_plane


def perturbed(model: ResidualFlow, x: Tensor, scale: float = 0.5) -> ResidualFlow:
    """After the data-dependent initialisation on `x`, with large weights, so that limits bind."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "network" in name:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_vectors(num_dims: int, **options: object) -> ResidualFlow:
    torch.manual_seed(0)
    model = ResidualFlow(DataSpec((num_dims,)), num_blocks=3, hidden=(8, 8), **options)
    return perturbed(model, 2.0 * torch.randn(64, num_dims) + 1.0)


def jacobians(model: ResidualFlow, x: Tensor) -> Tensor:
    return torch.stack([torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x])


def test_density_on_the_plane_integrates_to_one() -> None:
    model = on_vectors(2)
    check_density_on_the_plane(model)
    assert model.likelihood is Likelihood.EXACT


def test_brute_force_is_the_determinant_and_the_fixed_point_the_inverse() -> None:
    model = on_vectors(3).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    z, log_det = model.flow(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobians(model, x)).logabsdet, atol=1e-9, rtol=0.0)
    torch.testing.assert_close(model.flow.inverse(z), x, atol=1e-5, rtol=0.0)


@torch.no_grad()
def test_the_estimate_is_unbiased_and_says_that_it_is_an_estimate() -> None:
    """In two dimensions: the mean of many draws is within 3 standard errors of the density, for few and many terms."""
    exact = on_vectors(2)
    x, spread = torch.tensor([[0.7, -0.4]]), []
    truth = exact.log_prob(x)
    for terms in (1, 8):
        model = on_vectors(2, exact_dims=0, evaluation_terms=terms)
        torch.manual_seed(0)
        draws = torch.stack([model.log_prob(x.expand(40, -1)).mean() for _ in range(80)])  # one roulette each
        spread.append(draws.std())
        assert abs(draws.mean() - truth) < 3.0 * draws.std() / 80**0.5
        assert model.likelihood is Likelihood.ESTIMATE
        assert (model.estimator()["terms"], model.estimator()["stop"]) == (terms, 0.5)
    assert all(1e-4 < each < 0.1 for each in spread)


def test_the_gradient_of_a_training_step_is_unbiased() -> None:
    model, x = on_vectors(2), torch.tensor([[0.7, -0.4]])
    weight = next(block for block in model.modules() if isinstance(block, ResidualBlock)).network.layers[0].bias
    (truth,) = torch.autograd.grad(model.log_prob(x).sum(), weight)
    model.series.exact_dims = 0
    torch.manual_seed(0)
    found = [torch.autograd.grad(model.log_prob(x.expand(30, -1)).mean(), weight)[0] for _ in range(80)]
    error = torch.stack(found).std(0) / 80**0.5
    assert ((torch.stack(found).mean(0) - truth).abs() < 4.0 * error + 1e-6).all()


@torch.no_grad()
def test_images_invert_and_their_bound_is_one() -> None:
    torch.manual_seed(0)
    spec = DataSpec((1, 4, 4), 4)
    x = torch.randint(4, (16, 1, 4, 4), dtype=torch.uint8)
    model = perturbed(ResidualFlow(spec, num_steps=2, hidden_channels=6), x, 0.2)
    assert torch.equal(model.decode(model.encode(x)), x)
    u = (x[:3] + 0.5) / 4
    torch.testing.assert_close(model.flow.inverse(model.flow(u)[0]), u, atol=1e-5, rtol=0.0)
    with torch.enable_grad():
        rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    torch.testing.assert_close(model.flow(u)[1], torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-3, rtol=0.0)
    assert model.likelihood is Likelihood.LOWER_BOUND


@pytest.mark.parametrize("kernel", [0, 1, 3])
def test_a_layer_has_the_largest_singular_value_that_it_may_have(kernel: int) -> None:
    """Of the matrix of the whole map, by its singular values, for weights above the limit; below it nothing changes."""
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, kernel, padding=kernel // 2, bias=False) if kernel else nn.Linear(18, 7, bias=False)
    shape = (2, 3, 3) if kernel else (18,)
    with torch.no_grad():
        layer.weight.mul_(5.0)
    before = layer.weight.detach().clone()
    limit = 0.9
    small = torch.linalg.matrix_norm(dense(limited(layer, limit, (3, 3) if kernel else None), shape), 2)
    torch.testing.assert_close(small, torch.tensor(limit), atol=2e-4, rtol=0.0)
    large = nn.Linear(18, 7, bias=False)
    with torch.no_grad():
        large.weight.mul_(0.01)
    kept = large.weight.detach().clone()
    torch.testing.assert_close(limited(large, limit).weight, kept)
    assert not torch.allclose(before, layer.weight)


def dense(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a linear map of (1, *shape)."""
    size = torch.zeros(shape).numel()
    return torch.stack([layer(axis.view(1, *shape)).flatten() for axis in torch.eye(size)], 1).detach()


def test_every_branch_contracts() -> None:
    """The largest singular value of its Jacobian at many points, by power iteration of the whole network in full."""
    torch.manual_seed(0)
    network = lipschitz_convolutions((2, 4, 4), 5, 0.9).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(6, 2, 4, 4)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: network(row[None]).flatten()))(x).flatten(2)
    largest = torch.linalg.matrix_norm(jacobian, 2)
    assert 0.01 < largest.max() < 0.9


def test_refusals() -> None:
    with pytest.raises(ValueError, match="lipschitz=1.0: expected a number between 0 and 1"):
        ResidualFlow(DataSpec((2,)), lipschitz=1.0)
    with pytest.raises(ValueError, match="stop=0.0"):
        ResidualFlow(DataSpec((2,)), stop=0.0)
    with pytest.raises(ValueError, match="7x7: expected even sizes"):
        ResidualFlow(DataSpec((1, 7, 7), 4))
    with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
        ResidualFlow(DataSpec((5,), 4))
