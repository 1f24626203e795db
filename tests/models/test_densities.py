"""Densities of continuous u: they integrate to one in the space of `to_space`, and agree with the likelihood of data."""

import pytest
import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.gmm import GMM
from genarena.models.capabilities import Differentiates, Emits
from genarena.models.flow.maf import MAF
from genarena.models.flow.nsf import NSF
from genarena.models.flow.realnvp import RealNVP
from genarena.spec import Batch, DataSpec

LEVELS, POINTS = DataSpec((1, 1, 2), 3), DataSpec((2,))
NICE = {"coupling": "additive", "base": "logistic", "multi_scale": False, "hidden_features": 8}
MODELS = [
    (RealNVP, LEVELS, {"num_levels": 1, "hidden_channels": 8}),
    (RealNVP, LEVELS, {"num_levels": 1, "hidden_channels": 8, "pixels": "logit"}),
    (RealNVP, LEVELS, {**NICE, "pixels": "logit"}),
    (MAF, LEVELS, {"hidden": (8,)}),
    (MAF, LEVELS, {"hidden": (8,), "direction": "sampling", "pixels": "logit"}),
    (NSF, LEVELS, {"hidden": (8,), "mode": "autoregressive"}),
    (Gaussian, LEVELS, {}),
    (GMM, LEVELS, {"num_components": 3, "covariance": "full"}),
    (RealNVP, POINTS, {"hidden_features": 8}),
    (RealNVP, POINTS, NICE),
    (NSF, POINTS, {"hidden": (8,)}),
    (Gaussian, POINTS, {}),
    (GMM, POINTS, {"num_components": 3}),
]
EVERY = pytest.mark.parametrize(
    ("make", "spec", "options"),
    MODELS,
    ids=[f"{make.__name__}-{spec.shape}-{list(more)}" for make, spec, more in MODELS],
)


def fitted(make: type[Differentiates], spec: DataSpec, options: dict) -> Differentiates:
    """It has seen three batches, and its weights are shaken."""
    torch.manual_seed(0)
    model = make(spec, **options).train()
    for _ in range(3):
        batch = Batch(examples(spec, 60))
        model.observe(batch)
        model.loss(batch)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def examples(spec: DataSpec, num: int) -> Tensor:
    x = torch.randn(num, *spec.shape) * torch.tensor([0.5, 1.0])
    return (x + 1.5).clamp(0, 2).to(torch.uint8) if spec.is_discrete else x


@EVERY
@torch.no_grad()
def test_a_density_integrates_to_one(make: type[Differentiates], spec: DataSpec, options: dict) -> None:
    """Or, for a flow of levels, to the probability of its interior: beyond [-1.5, 1.5] what it emits is clamped."""
    model = fitted(make, spec, options)
    bounded = spec.is_discrete and isinstance(model, Emits)
    end, step = (1.6, 0.01) if bounded else (8.0, 0.02)
    points = grid(torch.arange(-end + step / 2, end, step)).view(-1, *spec.shape)
    density = torch.cat([model.log_density(part).double().exp() for part in points.split(100_000)])
    expected = (
        (model.emit(torch.randn(40_000, 2)).abs() < 1.5 - 1e-3).flatten(1).all(1).double().mean() if bounded else 1.0
    )
    assert density.sum().item() * step**2 == pytest.approx(float(expected), abs=0.015)
    assert density.max() > 2.0 * density[density > 0].mean()


@EVERY
@torch.no_grad()
def test_a_density_agrees_with_the_likelihood_of_data(
    make: type[Differentiates], spec: DataSpec, options: dict
) -> None:
    """Floats: they are equal. Levels: the mass of a level is the integral over its cell, of which `log_weights` are draws."""
    model = fitted(make, spec, options)
    if not spec.is_discrete:
        x = examples(spec, 50)
        torch.testing.assert_close(model.log_density(x), model.log_prob(x), rtol=1e-4, atol=1e-4)
        return
    x = grid(torch.arange(3)).view(9, *spec.shape).to(torch.uint8)
    inside = (torch.arange(200) + 0.5) / 200 - 0.5  # cells have the side 1
    cells = (to_space(x, spec).view(9, 1, 2) + grid(inside)).view(-1, *spec.shape)
    mass = model.log_density(cells).double().exp().view(9, -1).mean(1)
    draws = torch.cat([model.log_weights(x, num_samples=1000) for _ in range(5)]).double().exp()
    assert ((draws.mean(0) - mass).abs() < 5.0 * draws.std(0) / 5000**0.5 + 1e-4).all()


def grid(axis: Tensor) -> Tensor:
    return torch.cartesian_prod(axis, axis)


def test_outside_of_the_levels_there_is_no_density_and_no_gradient() -> None:
    model = fitted(RealNVP, LEVELS, {"num_levels": 1, "hidden_channels": 8})
    u = torch.tensor([[0.0, 1.6], [-1.51, 0.0], [0.3, -0.2]]).view(3, 1, 1, 2).requires_grad_()
    density = model.log_density(u)
    assert density.isfinite().tolist() == [False, False, True]
    (slope,) = torch.autograd.grad(density[density.isfinite()].sum(), u)
    assert slope.isfinite().all() and not slope[:2].any() and slope[2].any()


@pytest.mark.parametrize("make", [RealNVP, MAF, NSF], ids=lambda make: make.__name__)
def test_a_flow_emits_the_inverse_of_its_code(make: type[Differentiates]) -> None:
    """x = emit(z): z is found again, and the densities differ by log |det dx/dz| (by automatic differentiation)."""
    model = fitted(make, POINTS, {"hidden_features": 8} if make is RealNVP else {"hidden": (8,)})
    z = torch.randn(6, 2)
    x = model.emit(z).detach()
    torch.testing.assert_close(model.encode(x), z, atol=1e-4, rtol=1e-4)
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda v: model.emit(v[None])[0], row) for row in z])
    expected = model.log_prior(z) - torch.linalg.slogdet(jacobians).logabsdet
    torch.testing.assert_close(model.log_density(x), expected, atol=1e-3, rtol=1e-3)
