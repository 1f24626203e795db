"""Completions by autoregressive models against posteriors by enumeration."""

import functools
import itertools

import pytest
import torch
from torch import Tensor

from genarena.models.autoregressive.gaussian_mixture import GaussianMixture
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.capabilities import Factorises
from genarena.spec import DataSpec
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior import particles
from genarena.tasks.posterior.ancestral import Ancestral
from genarena.tasks.posterior.clamp import Clamp
from genarena.tasks.posterior.measured import Levels, Mixture, independent
from genarena.tasks.posterior.particles import sweep, systematic
from genarena.tasks.posterior.smc import SequentialMonteCarlo

SPEC = DataSpec((1, 3, 3), 2)
CORNER = torch.tensor([0, 0, 0, 0, 1, 0, 1, 0, 1], dtype=torch.bool).view(1, 3, 3)  # measured late in the order
HALF = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=torch.bool).view(1, 3, 3)  # a prefix
MODELS = {
    "made": (MADE, {"hidden": (24,)}),
    "pixelcnn": (PixelCNN, {"hidden_channels": 4, "num_blocks": 2, "first_kernel_size": 3}),
    "image_gpt": (ImageGPT, {"hidden_channels": 8, "num_blocks": 1, "num_heads": 2}),
}


@functools.cache
def model(name: str = "made", spec: DataSpec = SPEC) -> Factorises:
    make, options = MODELS[name]
    torch.manual_seed(4)
    made = make(spec, **options).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return made


def world(spec: DataSpec = SPEC) -> Tensor:
    every = list(itertools.product(range(spec.num_levels), repeat=spec.num_dims))
    return torch.tensor(every, dtype=torch.uint8).view(-1, *spec.shape)


def problem(m: Tensor, x: Tensor, sigma: float, num: int) -> Problem:
    """x: one example of levels 0, 1; measured exactly."""
    y = (2.0 * x.float() - 1.0) * m
    return Problem(Mask(m[None]), y.expand(num, *x.shape), sigma, Noise.of([(7, k) for k in range(num)]))


@torch.no_grad()
def exact(made: Factorises, asked: Problem) -> Tensor:
    """p(x | y) of all x, by enumeration."""
    log_prob = made.log_prob(world()).double()
    off = (asked.y[:1] - asked.operator(2.0 * world() - 1.0)).flatten(1).double().square().sum(1)
    fit = torch.where(off == 0, 0.0, -torch.inf) if asked.sigma == 0 else -0.5 * off / asked.sigma**2
    return (log_prob + fit).softmax(0)


def marginals(posterior: Tensor) -> Tensor:
    return posterior @ world().flatten(1).double()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_particles_converge_to_the_posterior(name: str, sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lanes of 20,000 particles, resampled whenever their weights differ: pasts change places."""
    monkeypatch.setattr(particles, "FEW", 0.999)
    asked = problem(CORNER, world()[77], sigma, 3)
    cloud = sweep(model(name), asked, 20_000)
    found = (cloud.log_weights.softmax(1)[:, None] @ cloud.x.flatten(2).double()).squeeze(1).mean(0) / 2 + 0.5
    assert (found - marginals(exact(model(name), asked))).abs().max() < 0.01
    assert cloud.resamplings.min() >= 3
    ones = 2.0 * world() - 1.0
    off = (asked.y[:1] - asked.operator(ones)).flatten(1).double().square().sum(1)
    fit = torch.where(off == 0, 0.0, -torch.inf) if sigma == 0 else -0.5 * off / sigma**2
    with torch.no_grad():
        evidence = (model(name).log_prob(world()).double() + fit).logsumexp(0)
    assert (cloud.log_evidence - evidence).abs().max() < 0.05


def test_clamping_is_biased_and_a_draw_of_particles_less_and_less() -> None:
    """The largest error of a marginal, pinned: measured .187 for clamping, .104, .062 and .009 for 2, 4 and 16 particles."""
    asked = problem(CORNER, world()[77], 0.0, 4000)
    expected, found = marginals(exact(model(), asked)), {}
    for sampler in (Clamp(), *(SequentialMonteCarlo(num_particles=num) for num in (2, 4, 16))):
        x = sampler.draw(model(), asked).x
        known = asked.operator.observed.expand_as(x)
        assert torch.equal(x[known], asked.y[known])
        found[sampler] = ((x.flatten(1).double().mean(0) + 1.0) / 2.0 - expected).abs().max().item()
    clamped, two, four, sixteen = found.values()
    assert 0.15 < clamped < 0.22
    assert 0.07 < two < 0.14
    assert 0.03 < four < 0.09
    assert sixteen < 0.04


@pytest.mark.parametrize("m", [HALF, torch.zeros_like(HALF)])
def test_a_known_beginning_and_nothing_known_are_exact_with_one_particle(m: Tensor) -> None:
    asked = problem(m, world()[400], 0.0, 6000)
    made = SequentialMonteCarlo().draw(model(), asked)
    assert made.nfe == model().nfe
    assert torch.equal(made.x, Ancestral().draw(model(), asked_again(asked)).x)
    posterior = exact(model(), asked)
    powers = 2 ** torch.arange(8, -1, -1)
    shares = ((made.x.flatten(1) > 0).long() @ powers).bincount(minlength=512).double() / 6000
    assert (shares - posterior).abs().sum() < 2.0 * (posterior * 2 / (torch.pi * 6000)).sqrt().sum()


def asked_again(asked: Problem) -> Problem:
    return problem(asked.operator.m[0], world()[400], asked.sigma, len(asked))


def test_what_is_not_exact_is_refused() -> None:
    corner, half = problem(CORNER, world()[77], 0.0, 2), problem(HALF, world()[77], 0.1, 2)
    with pytest.raises(ValueError, match="must come first in the model's order; try smc"):
        Ancestral().draw(model(), corner)
    assert "smc" in Ancestral().refusal(half.operator, 0.1)
    assert Ancestral().refusal(half.operator, 0.0) == ""


def test_all_measured_is_the_data() -> None:
    asked = problem(torch.ones_like(HALF), world()[333], 0.0, 2)
    assert torch.equal(SequentialMonteCarlo().draw(model("pixelcnn"), asked).x, asked.y)


@pytest.mark.parametrize("name", MODELS)
def test_a_lane_is_the_same_alone_and_in_a_batch(name: str) -> None:
    """Lanes with other masks, some of them known beginnings, in any order."""
    spec = DataSpec((2, 2, 4), 4)
    generator = torch.Generator().manual_seed(0)
    m = torch.rand(16, *spec.shape, generator=generator) < 0.5
    m[::5] = False
    y = torch.randint(0, 4, (16, *spec.shape), generator=generator) * 2 / 3 - 1
    noise = [Noise.of([(k,) for k in range(16)]) for _ in range(3)]
    asked = [Problem(Mask(m), y * m, 0.2, each) for each in noise]
    sampler = SequentialMonteCarlo(num_particles=4)
    together = sampler.draw(model(name, spec), asked[0]).x
    alone = [sampler.draw(model(name, spec), asked[1].rows(slice(k, k + 1))).x[0] for k in (0, 7, 15)]
    assert torch.equal(torch.stack(alone), together[[0, 7, 15]])
    order = torch.randperm(16, generator=generator)
    assert torch.equal(sampler.draw(model(name, spec), asked[2].rows(order)).x, together[order])


def test_a_mixture_of_gaussians_is_measured_in_closed_form() -> None:
    """Against sums over a fine grid, and draws against the distribution function."""
    torch.manual_seed(0)
    mixture = independent(GaussianMixture(torch.randn(1, 3, 2), torch.randn(1, 3, 2), 0.5 * torch.randn(1, 3, 2) - 1.0))
    assert isinstance(mixture, Mixture)
    y, grid = torch.tensor([[0.4, -0.7]]), torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    evidence, found = mixture.given(y, 0.3, torch.tensor([[True, True]]))
    density, wanted = (density_of(each, grid) for each in (mixture, found))
    joint = density * (-0.5 * ((grid[:, None] - y) / 0.3) ** 2).exp() / 0.3
    total = joint.sum(0) * (grid[1] - grid[0]) / (2 * torch.pi) ** 0.5
    assert torch.allclose(evidence[0] - 0.0, (total * (2 * torch.pi) ** 0.5).log(), atol=1e-6)
    assert torch.allclose(joint / joint.sum(0), wanted / wanted.sum(0), atol=1e-8)
    u = torch.linspace(0, 1, 50_001, dtype=torch.float64)[1:-1]
    drawn = Mixture(*(part.expand(len(u), -1, -1) for part in (found.logits, found.mean, found.variance))).draw(
        u[:, None].expand(-1, 2)
    )
    cumulative = (wanted / wanted.sum(0)).cumsum(0)
    for place in (-0.3, 0.2, 0.5):
        share = (drawn <= place).double().mean(0)
        assert torch.allclose(share, cumulative[(grid <= place).sum() - 1], atol=1e-3)


def density_of(mixture: Mixture, grid: Tensor) -> Tensor:
    weights, deviation = mixture.logits.softmax(1), mixture.variance.sqrt()
    off = (grid[:, None, None] - mixture.mean) / deviation
    return (weights / deviation * (-0.5 * off**2).exp()).sum(1) / (2 * torch.pi) ** 0.5


def test_levels_are_drawn_by_inversion() -> None:
    masses = torch.tensor([0.2, 0.0, 0.5, 0.3], dtype=torch.float64).view(1, 4, 1).log()
    u = torch.tensor([0.0, 0.19, 0.2, 0.69, 0.71, 0.999], dtype=torch.float64)
    assert Levels(masses.expand(6, -1, -1)).draw(u[:, None]).flatten().tolist() == [0, 0, 2, 2, 3, 3]
    assert Levels(masses.expand(6, -1, -1) * torch.nan).draw(u[:, None]).isnan().all()


def test_systematic_resampling_takes_each_particle_as_often_as_its_weight_says() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(200, 10, generator=generator, dtype=torch.float64).softmax(1)
    chosen = systematic(weights, torch.rand(200, 1, generator=generator, dtype=torch.float64))
    counts = torch.nn.functional.one_hot(chosen, 10).sum(1)
    assert ((counts >= (10 * weights).floor()) & (counts <= (10 * weights).ceil())).all()
