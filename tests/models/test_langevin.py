"""The chain and the constant, on energies whose answers are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.energy.annealed_importance_sampling import annealed_importance_sampling
from genarena.models.energy.ebm import EBM
from genarena.models.energy.langevin import energy_and_gradient, frozen, langevin
from genarena.models.energy.reference import Reference
from genarena.spec import DataSpec

PRECISION = torch.tensor([[2.0, 0.8], [0.8, 1.5]])
MEAN = torch.tensor([1.0, -0.5])


def gaussian_energy(x: Tensor) -> Tensor:
    return 0.5 * ((x - MEAN) @ PRECISION * (x - MEAN)).sum(1)


def test_langevin_recovers_a_correlated_gaussian() -> None:
    torch.manual_seed(0)
    x = langevin(gaussian_energy, 3.0 * torch.randn(20_000, 2), num_steps=300, step_size=0.02)
    torch.testing.assert_close(x.mean(0), MEAN, atol=0.03, rtol=0)
    torch.testing.assert_close(x.T.cov(), PRECISION.inverse(), atol=0.04, rtol=0)


def test_clipped_chains_stay_in_the_range_of_pixels() -> None:
    start = torch.linspace(-3.0, 3.0, 50).view(50, 1)
    assert langevin(lambda v: 0.0 * v.sum(1), start, 5, 0.05, clip=True).abs().max() == 1.0
    assert langevin(lambda v: 0.0 * v.sum(1), start, 5, 0.05).abs().max() > 1.5
    model = EBM(DataSpec((1, 4, 4), 5), clip=True, buffer_size=8)
    assert model.advance_chains(8)[0].abs().max() == 1.0
    model.clip = False
    assert model.advance_chains(8)[0].abs().max() > 1.0


def test_drift_is_clamped_per_coordinate() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, 3)
    torch.manual_seed(1)
    moved = langevin(lambda v: 1e6 * v.sum(1), x, 1, step_size=1e-4, drift_clamp=0.25)
    torch.manual_seed(1)
    still = langevin(lambda v: 0.0 * v.sum(1), x, 1, step_size=1e-4)
    torch.testing.assert_close(still - moved, torch.full_like(x, 0.25))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_chain_is_the_same_in_every_gradient_mode_and_leaves_the_network_alone(mode: type) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    net[0].bias.requires_grad_(False)
    net[2].bias.grad = torch.ones(1)
    flags = [p.requires_grad for p in net.parameters()]
    start = torch.randn(5, 2)

    def run() -> Tensor:
        torch.manual_seed(1)
        with frozen(net):
            return langevin(lambda v: net(v).squeeze(1), 1.0 * start, 3, 0.1)

    expected = run()
    with mode():
        start = start * 1.0  # an inference tensor, under inference_mode
        result = run()
    assert torch.equal(result, expected)
    assert [p.requires_grad for p in net.parameters()] == flags
    assert net[0].weight.grad is None and torch.equal(net[2].bias.grad, torch.ones(1))


def test_gradient_is_the_energys() -> None:
    x = torch.randn(7, 2)
    value, gradient = energy_and_gradient(gaussian_energy, x)
    torch.testing.assert_close(value, gaussian_energy(x))
    torch.testing.assert_close(gradient, (x - MEAN) @ PRECISION)


def test_log_z_of_a_quadratic_tilt() -> None:
    """E_{N(0, I)} exp(-a |z - c|^2 / 2) = prod (1 + a)^(-1/2) exp(-a c^2 / (2 (1 + a)))."""
    a, c, dims = 8.0, 1.5, 8
    exact = dims * (-0.5 * math.log(1.0 + a) - a * c**2 / (2.0 * (1.0 + a)))
    result = annealed_importance_sampling(lambda z: 0.5 * a * (z - c).square().sum(1), (dims,), 300, 300)
    assert result.standard_error < 0.1
    assert abs(result.log_z - exact) < 4.0 * result.standard_error
    assert 0.5 < result.acceptance < 0.9


def test_log_z_of_two_modes_against_quadrature() -> None:
    def tilt(z: Tensor) -> Tensor:  # two ridges of unequal weight, not separable
        first, second = z[:, 0], z[:, 1]
        return 3.0 * (first.square() - 1.0).square() + first + 2.0 * (second - first.sin()).square()

    line = torch.linspace(-7.0, 7.0, 1401, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)
    log_terms = -tilt(points) - 0.5 * points.square().sum(1) - math.log(2.0 * math.pi)
    exact = (torch.logsumexp(log_terms, 0) + 2.0 * math.log(line[1] - line[0])).item()
    result = annealed_importance_sampling(tilt, (2,), 2000, 60)
    assert abs(result.log_z - exact) < 0.03


def test_log_z_errs_downwards_with_few_steps() -> None:
    """Weights are unbiased for Z, so single-chain logarithms are too small on average, the more the fewer steps."""

    def average(num_steps: int) -> float:
        result = annealed_importance_sampling(lambda z: 4.0 * (z - 1.0).square().sum(1), (4,), 2000, num_steps)
        return result.log_weights.mean().item()

    exact = 4 * (-0.5 * math.log(9.0) - 8.0 / 18.0)
    assert average(5) < average(25) < exact


def test_estimate_depends_on_its_seed_only() -> None:
    def estimate(seed: int) -> float:
        return annealed_importance_sampling(gaussian_energy, (2,), 20, 10, seed=seed).log_z

    torch.manual_seed(0)
    first, state = estimate(3), torch.get_rng_state()
    torch.manual_seed(1)
    assert estimate(3) == first != estimate(4)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_reference_has_the_moments_of_its_batches_and_stops() -> None:
    torch.manual_seed(0)
    reference = Reference((3,), num_batches=200)
    scale, shift = torch.tensor([0.1, 1.0, 3.0]), torch.tensor([5.0, -1.0, 0.0])
    for _ in range(200):
        reference.observe(scale * torch.randn(64, 3) + shift)
    share = 1.0 / 201.0  # the batch of N(0, I) that is mixed in
    torch.testing.assert_close(reference.mean, (1 - share) * shift, atol=0.1, rtol=0)
    expected = (1 - share) * scale.square() + share + share * (1 - share) * shift.square()
    torch.testing.assert_close(reference.variance, expected, rtol=0.05, atol=0)
    before = reference.mean.clone()
    reference.observe(torch.full((64, 3), 100.0))
    assert torch.equal(reference.mean, before)
    normal = torch.distributions.Normal(reference.mean, reference.variance.sqrt())
    v = torch.randn(4, 3)
    torch.testing.assert_close(reference.energy(v), -normal.log_prob(v).sum(1))
