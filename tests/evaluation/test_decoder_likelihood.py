"""Annealed importance sampling of decoders against likelihoods that are known: linear-Gaussian, and quadrature."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from genarena.evaluation.decoder_likelihood import Annealing, NoisyDecoder, decoder_log_prob
from genarena.files.progress import Bars
from genarena.models.capabilities import Emits
from genarena.spec import Batch, DataSpec


class Decoder(nn.Module, Emits):
    """x = tanh(W z + b), or without the tanh; remembers how many rows it was given at most."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, squash: bool = False, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shape, self.latent_dim, self.squash, self.rows = shape, latent_dim, squash, 0
        self.linear = nn.Linear(latent_dim, math.prod(shape))
        nn.init.normal_(self.linear.weight, std=0.5)

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.rows = max(self.rows, len(z))
        out = self.linear(z)
        return (out.tanh() if self.squash else out).unflatten(1, self.shape)

    @torch.no_grad()
    def marginal(self, sigma: float) -> torch.distributions.MultivariateNormal:
        weight = self.linear.weight.double()
        covariance = weight @ weight.T + sigma**2 * torch.eye(len(weight))
        return torch.distributions.MultivariateNormal(self.linear.bias.double(), covariance)


def run(
    decoder: Decoder,
    spec: DataSpec,
    x: Tensor,
    sigma: float,
    num_chains: int,
    num_steps: int,
    rows: int = 500,
    seed: int = 0,
) -> tuple[Tensor, dict]:
    return decoder_log_prob(decoder, spec, Batch(x), Annealing(sigma, num_chains, num_steps, rows, seed), Bars(False))


def assert_unbiased(log_ratios: Tensor) -> None:
    """The mean of p_estimated / p over the first dimension is 1, to four standard errors."""
    ratios = log_ratios.exp()
    error = ratios.std(0) / len(ratios) ** 0.5
    assert ((ratios.mean(0) - 1.0).abs() < 4.0 * error).all()
    assert (error < 0.1).all()


def test_linear_gaussian_decoder_is_exact_and_sandwiched() -> None:
    """x = W z + b + sigma noise has the density N(b, W W^T + sigma^2 I)."""
    decoder, sigma = Decoder((6,), 3), 0.5
    marginal = decoder.marginal(sigma)
    x = marginal.sample((3,)).float()
    values, facts = run(decoder, DataSpec((6,)), x.repeat(30, 1), sigma, num_chains=16, num_steps=150, rows=1440)
    errors = (values - marginal.log_prob(x.double()).repeat(30)).view(30, 3)
    assert_unbiased(errors)
    assert errors.std() < 0.3
    assert 0.0 < facts["sandwich"]["gap"] < 0.2
    assert 8.0 < facts["effective_chains"] < 16.0
    assert 0.5 < facts["acceptance"] < 0.9
    assert {key: facts[key] for key in ("ais_chains", "ais_steps", "observation_noise")} == {
        "ais_chains": 16,
        "ais_steps": 150,
        "observation_noise": sigma,
    }
    assert all(parameter.requires_grad for parameter in decoder.parameters())


def test_bounds_stand_on_both_sides_of_the_truth_when_chains_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few temperatures the forward chains err downwards, the reverse ones upwards, by nats."""
    decoder, sigma, seen = Decoder((6,), 3), 0.1, []
    original = NoisyDecoder.sample
    monkeypatch.setattr(NoisyDecoder, "sample", lambda *args: seen.append(original(*args)) or seen[-1])
    marginal = decoder.marginal(sigma)
    x = marginal.sample((60,)).float()
    values, facts = run(decoder, DataSpec((6,)), x, sigma, num_chains=2, num_steps=8)
    simulated = marginal.log_prob(torch.cat(seen).double()).mean().item()
    assert facts["sandwich"]["lower"] + 0.3 < simulated < facts["sandwich"]["upper"] - 0.3
    assert (values - marginal.log_prob(x.double())).mean() < -0.3


def test_weights_of_single_short_chains_are_unbiased() -> None:
    decoder, sigma = Decoder((2,), 1), 0.7
    marginal = decoder.marginal(sigma)
    x = marginal.sample((1,)).float()
    values, _ = run(decoder, DataSpec((2,)), x.expand(3000, -1), sigma, num_chains=1, num_steps=4, rows=3000)
    errors = values - marginal.log_prob(x.double())
    assert_unbiased(errors.unsqueeze(1))
    assert errors.std() > 0.1


def test_levels_are_masses_that_sum_to_one_and_agree_with_quadrature() -> None:
    spec, sigma = DataSpec((1, 1, 2), 3), 0.4
    decoder = Decoder(spec.shape, 1, squash=True)
    x = torch.tensor(list(itertools.product(range(3), repeat=2)), dtype=torch.uint8).view(9, 1, 1, 2)
    z = torch.linspace(-8.0, 8.0, 2001).unsqueeze(1)
    log_prior = -0.5 * z.squeeze(1) ** 2 - 0.5 * math.log(2.0 * math.pi)
    density = NoisyDecoder(decoder.emit, spec, sigma)
    with torch.no_grad():
        joint = torch.stack([density.log_prob(Batch(row.expand(len(z), -1, -1, -1)), z) for row in x]) + log_prior
    exact = torch.logsumexp(joint.double(), 1) + math.log(16.0 / 2000)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-4)
    values, _ = run(decoder, spec, x.repeat(60, 1, 1, 1), sigma, num_chains=8, num_steps=25, rows=4320)
    assert_unbiased((values - exact.repeat(60)).view(60, 9))


def test_simulated_levels_follow_the_masses() -> None:
    spec, sigma = DataSpec((1, 1, 1), 4), 0.5
    density = NoisyDecoder(lambda z, y: 0.3 + 0.0 * z.view(-1, 1, 1, 1), spec, sigma)
    z = torch.zeros(40_000, 1)
    counts = torch.bincount(density.sample(z, None, torch.Generator().manual_seed(0)).flatten(), minlength=4) / len(z)
    levels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    torch.testing.assert_close(counts.double(), density.log_prob(Batch(levels), z[:4]).exp(), atol=0.01, rtol=0)


def test_memory_is_bounded_and_the_seed_decides() -> None:
    decoder, spec = Decoder((4,), 2), DataSpec((4,))
    x = torch.randn(7, 4)
    first, facts = run(decoder, spec, x, 0.5, num_chains=5, num_steps=5, rows=8)
    assert decoder.rows == 8
    torch.manual_seed(99)
    again, _ = run(decoder, spec, x, 0.5, num_chains=5, num_steps=5, rows=8)
    assert torch.equal(first, again)
    assert not torch.equal(first, run(decoder, spec, x, 0.5, 5, 5, 8, seed=1)[0])
    assert facts["sandwich"]["n"] == 7
