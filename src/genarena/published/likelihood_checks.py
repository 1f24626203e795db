"""Checks of likelihoods: models with a known density, and probabilities that must sum to one."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genarena.data.digits import Digits
from genarena.distributions import discretised_logistic_log_prob
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import dequantisation_log_det, dequantise, to_unit
from genarena.models.autoregressive.made import MADE
from genarena.models.baseline.uniform import Uniform
from genarena.models.vae.vae import VAE
from genarena.published.checks import Check, normal, of
from genarena.spec import DataSpec


@of("bits_per_dim")
def uniform_model() -> Iterator[Check]:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    found = evaluate(Uniform(data.spec).eval(), data, ["bits_per_dim"], EvaluationSettings(), progress=False)
    value = found.metrics["bits_per_dim"]["value"]
    yield Check("bits/dim of a uniform model on digits", value, "log2(17)", math.log2(17.0), 1e-6)


class _Affine(nn.Module):
    """x -> (weight x + bias, log-variance): the encoder or decoder of a model with a known posterior."""

    def __init__(self, weight: Tensor, bias: Tensor, log_var: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.log_var = weight, bias, log_var

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return torch.cat([x @ self.weight.T + self.bias, self.log_var.expand(len(x), -1)], 1)


@of()
@torch.no_grad()
def bounds_of_a_linear_gaussian_model() -> Iterator[Check]:
    """x = W z + b + s eps has log p(x) = log N(x; b, W W^T + s^2 I); the standard deviation of q is twice the posterior's."""
    torch.manual_seed(0)
    scales, noise, bias = torch.tensor([1.5, 0.4]), 0.6, torch.tensor([0.2, -0.3, 0.1, 0.5])
    weight = torch.linalg.qr(normal(4, 2, seed=6).float()).Q * scales
    variance = 1.0 / (1.0 + scales**2 / noise**2)
    gain = variance.diag() @ weight.T / noise**2
    model = VAE(DataSpec((4,)), latent_dim=2, hidden=4).eval()
    model.decoder = _Affine(weight, bias, torch.full((4,), 2.0 * math.log(noise)))
    model.encoder = _Affine(gain, -gain @ bias, (4.0 * variance).log())
    x = 1.5 * normal(8, 4, seed=7).float()
    covariance = weight @ weight.T + noise**2 * torch.eye(4)
    exact = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x).mean().item()
    repeats, last = 4000, -math.inf
    for k in (1, 10, 100):
        bounds = model.log_prob(x.repeat(repeats, 1), num_samples=k).view(repeats, 8).mean(1)
        error = 4.0 * bounds.std().item() / repeats**0.5
        value = bounds.mean().item()
        yield Check(
            f"importance-weighted bound, k={k}, of a linear-Gaussian model",
            value,
            "exact, 4 standard errors",
            exact,
            error,
            one_sided=True,
        )
        if k == 1:
            gap = 0.5 * 2 * (4.0 - 1.0 - math.log(4.0))
            yield Check("  and its value", value, "exact - KL(q || posterior), 4 standard errors", exact - gap, error)
        else:
            yield Check("  and the bound of the smaller k", last, "the one of this k", value, error, one_sided=True)
        last = value
    # 4 standard errors are 0.008: 4 (1.4 / 50,000 / 8)^(1/2)
    many = model.log_prob(x, num_samples=50_000).mean().item()
    yield Check("  and k=50,000", many, "exact", exact, 0.01)


@of()
def discretised_logistic_masses() -> Iterator[Check]:
    for mean, log_scale, levels in (
        (-1.3, -4.0, 256),
        (0.4, -1.0, 256),
        (0.0, 2.0, 17),
        (0.9, -6.5, 256),
        (0.1, -0.5, 2),
    ):
        x = to_unit(torch.arange(levels), levels).double()
        log_prob = discretised_logistic_log_prob(x, torch.tensor(mean), torch.tensor(log_scale), levels)
        yield Check(
            f"masses of a discretised logistic, {levels} levels, mean {mean}, log-scale {log_scale}",
            log_prob.exp().sum().item(),
            "one",
            1.0,
            1e-6,
        )


@of()
def dequantisation_bound() -> Iterator[Check]:
    """p(u) = 2u on [0, 1) gives level x of L the probability (2x + 1) / L^2; E[log 2u] - log L is a lower bound on its log."""
    levels, repeats = 4, 200_000
    spec = DataSpec((1,), levels)
    torch.manual_seed(0)
    for level in range(levels):
        x = torch.full((repeats, 1), level, dtype=torch.uint8)
        draws = torch.log(2.0 * dequantise(x, levels).double()).squeeze(1) + dequantisation_log_det(spec)
        error = 4.0 * draws.std().item() / repeats**0.5
        exact = math.log((2 * level + 1) / levels**2)
        bound = draws.mean().item()
        yield Check(f"dequantised bound, level {level} of {levels}", bound, "exact mass", exact, 0.0, one_sided=True)
        low, high = level / levels, (level + 1) / levels
        primitive = [u * math.log(2.0 * u) - u if u else 0.0 for u in (low, high)]
        integral = levels * (primitive[1] - primitive[0]) - math.log(levels)
        yield Check("  and its value", bound, "the integral, 4 standard errors", integral, error)


@of()
def autoregressive_masses() -> Iterator[Check]:
    """The probabilities of all binary images of 2x3 pixels under an autoregressive model must sum to one."""
    torch.manual_seed(1)
    model = MADE(DataSpec((1, 2, 3), 2), hidden=[32], num_masks=2, order_agnostic=True).eval()
    images = torch.tensor(list(itertools.product((0, 1), repeat=6)), dtype=torch.uint8).view(-1, 1, 2, 3)
    with torch.no_grad():
        total = model.log_prob(images).double().exp().sum().item()
    yield Check("masses of all 64 images under a MADE", total, "one", 1.0, 1e-6)
