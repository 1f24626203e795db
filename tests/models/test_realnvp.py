"""RealNVP: exact density on vectors, a bound that adds up on images, and the inverse."""

import itertools

import pytest
import torch

from genarena.likelihood import Likelihood
from genarena.models.flow.realnvp import RealNVP
from genarena.spec import Batch, DataSpec


def perturbed(model: RealNVP, x: torch.Tensor, scale: float) -> RealNVP:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_images(shape: tuple[int, int, int], num_levels: int, scale: float = 0.05, **options: object) -> RealNVP:
    torch.manual_seed(0)
    x = torch.randint(num_levels, (32, *shape), dtype=torch.uint8)
    return perturbed(RealNVP(DataSpec(shape, num_levels), hidden_channels=8, **options), x, scale)


def on_vectors(num_dims: int, scale: float = 0.1) -> RealNVP:
    torch.manual_seed(0)
    model = RealNVP(DataSpec((num_dims,)), num_couplings=6, hidden_features=16)
    return perturbed(model, 2.0 * torch.randn(256, num_dims) + 1.0, scale)


def test_density_on_the_plane_integrates_to_one() -> None:
    model, side, step = on_vectors(2), 500, 0.05
    axis = step * (torch.arange(side) - side / 2 + 0.5)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    with torch.no_grad():
        log_prob = model.log_prob(grid)
        inside = (grid.abs() < 2.0).all(1)
        mass, expected = log_prob.exp().sum() * step**2, log_prob[inside].exp().sum() * step**2
        share = (model.sample(20_000).abs() < 2.0).all(1).float().mean()
    torch.testing.assert_close(mass, torch.tensor(1.0), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(share, expected, atol=0.015, rtol=0.0)  # samples follow that density
    assert model.likelihood is Likelihood.EXACT
    torch.testing.assert_close(model.log_prob(grid[:3], num_samples=7), log_prob[:3])


@pytest.mark.parametrize("num_dims", [2, 5])
def test_vectors_log_det_and_inverse(num_dims: int) -> None:
    model, x = on_vectors(num_dims), torch.randn(3, num_dims)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x]
    z, log_det = model.flow(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), x, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 3)])
def test_images_log_det_against_autograd(shape: tuple[int, int, int]) -> None:
    model, u = on_images(shape, 4), torch.rand(3, *shape)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    torch.testing.assert_close(model.flow(u)[1], torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 8, 8), (1, 7, 5)])
def test_inverse(shape: tuple[int, int, int]) -> None:
    model = on_images(shape, 256, scale=0.03, patch=4)
    x = torch.randint(256, (2, *shape), dtype=torch.uint8)
    with torch.no_grad():
        u = (x + 0.5) / 256
        torch.testing.assert_close(model.flow.inverse(model.flow(u)[0]), u, atol=1e-4, rtol=0.0)
        assert torch.equal(model.decode(model.encode(x)), x)


def test_bound_adds_up_to_a_probability() -> None:
    model = on_images((1, 2, 2), 3, scale=0.05, pixels="logit", logit_margin=1e-4)
    x = torch.tensor(list(itertools.product(range(3), repeat=4)), dtype=torch.uint8).view(-1, 1, 2, 2)
    totals = {}
    with torch.no_grad():
        for k, repeats in ((1, 100), (10, 20), (100, 4)):
            log_prob = model.log_prob(x.repeat(repeats, 1, 1, 1), num_samples=k)
            totals[k] = log_prob.view(repeats, -1).mean(0).exp().sum()
    assert totals[1] < totals[10] < totals[100] < 1.03
    assert totals[100] > 0.9


def test_temperature_zero_is_one_sample() -> None:
    x = on_images((1, 4, 4), 4, temperature=0.0).sample(5)
    assert torch.equal(x, x[:1].expand_as(x))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        RealNVP(DataSpec((1,)))
    with pytest.raises(ValueError, match=r"shape \(3, 4, 4\)"):
        RealNVP(DataSpec((3, 4, 4)))
    with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
        RealNVP(DataSpec((5,), 4))
