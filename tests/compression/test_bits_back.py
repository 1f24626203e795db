"""Bits back: identical pixels, and the evidence lower bound to the bit where it can be computed by quadrature."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from constriction import stream
from scipy import stats
from torch import Tensor

from genarena.compression.bits_back import BitsBackCoder, bin_medians, pop_bins, push_bins
from genarena.distributions import Categorical
from genarena.models.capabilities import Infers
from genarena.spec import DataSpec
from tests.compression.tiny import HEADS, QUIET, images, vae


@dataclass
class Normal:
    mean: Tensor
    log_var: Tensor


class Toy(Infers):
    """One latent dimension, one pixel of five levels: p(x|z) = softmax(slope z x + bias_x), q(z|x) as it is given."""

    latent_dim, spec, device = 1, DataSpec((1, 1, 1), 5), torch.device("cpu")
    bias = torch.tensor([0.5, -1.0, 0.3, 0.0, -0.4])

    def __init__(self, slope: float, mean: list[float], log_var: list[float]) -> None:
        self.slope, self.mean, self.log_var = slope, torch.tensor(mean), torch.tensor(log_var)

    def prior(self, y: None, num: int) -> Normal:
        return Normal(torch.zeros(num, 1), torch.zeros(num, 1))

    def posterior(self, x: Tensor) -> Normal:
        levels = x.flatten(1).long()
        return Normal(self.mean[levels], self.log_var[levels])

    def likelihood_of(self, z: Tensor) -> Categorical:
        logits = self.slope * z * torch.arange(5.0) + self.bias  # (N, 5)
        return Categorical(logits[:, :, None, None, None])

    def cost(self) -> tuple[np.ndarray, np.ndarray]:
        """Per level, mean and variance over q(z|x) of -log2[ p(x|z) p(z) / q(z|x) ], by quadrature."""
        z = torch.linspace(-12.0, 12.0, 100_001, dtype=torch.float64)
        log_p = torch.log_softmax(self.slope * z[:, None] * torch.arange(5.0) + self.bias, 1)  # (Z, 5)
        q = torch.distributions.Normal(self.mean.double(), torch.exp(0.5 * self.log_var.double()))
        log_q = q.log_prob(z[:, None])
        bits = -(log_p + torch.distributions.Normal(0.0, 1.0).log_prob(z)[:, None] - log_q) / math.log(2.0)
        weights = log_q.exp() * (z[1] - z[0])
        mean = (weights * bits).sum(0)
        return mean.numpy(), (weights * (bits - mean) ** 2).sum(0).numpy()


TOYS = {
    "narrow posteriors off the mark": Toy(1.5, [-1.0, -0.7, 0.2, 1.0, 1.3], [-3.0, -1.0, -2.0, -4.0, -1.5]),
    "wider than the prior": Toy(0.7, [0.3, 0.0, 0.0, -0.2, 0.1], [0.5, 0.2, 0.4, 0.3, 0.1]),
    "collapsed": Toy(2.0, [0.0] * 5, [0.0] * 5),  # without clean bits, all images would share one z
    "no information in z": Toy(0.0, [0.0] * 5, [0.0] * 5),  # no variance: exact to the last word
}


@pytest.mark.parametrize("name", TOYS)
@torch.no_grad()
def test_cost_is_the_evidence_lower_bound(name: str) -> None:
    toy, num = TOYS[name], 800
    x = torch.randint(5, (num, 1, 1, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    coder = BitsBackCoder(toy)
    words = coder.encode(x, QUIET)
    assert torch.equal(coder.decode(words, num, QUIET), x)
    mean, variance = (values[x.flatten().numpy()].sum() for values in toy.cost())
    rounding = 64  # of the last word, and of the head of the stack
    assert 32 * len(words) - coder.initial_bits == pytest.approx(mean, abs=4.0 * math.sqrt(variance) + rounding)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.7, 0.05), (-2.5, 0.4), (0.1, 1.3)])
def test_popped_codes_follow_the_posterior_and_cost_its_divergence_from_the_prior(mean: float, std: float) -> None:
    """KS distance of 5,000 codes; 16 bits each less log2 q(z) / p(z), the mean of which is the KL divergence."""
    num = 5_000
    posterior = Normal(torch.full((1, num), mean), torch.full((1, num), 2.0 * math.log(std)))
    words = np.random.default_rng(1).integers(1, 2**32, num, dtype=np.uint32)
    ans = stream.stack.AnsCoder(words)
    bins = pop_bins(ans, posterior)
    z = bin_medians(bins)
    assert stats.kstest(z, stats.norm(mean, std).cdf).pvalue > 1e-3
    paid = 32 * num - ans.num_valid_bits()
    log_ratio = (stats.norm(mean, std).logpdf(z) - stats.norm.logpdf(z)) / math.log(2.0)
    kl = 0.5 * (mean**2 + std**2 - 1.0 - 2.0 * math.log(std)) / math.log(2.0)
    assert 16 * num - paid == pytest.approx(kl * num, abs=4.0 * log_ratio.std() * math.sqrt(num) + 0.001 * num + 32)
    push_bins(ans, bins, posterior)
    assert np.array_equal(ans.get_compressed(), words)


@pytest.mark.parametrize(("shape", "num_levels", "pixels"), HEADS)
@torch.no_grad()
def test_round_trip_is_never_smaller_than_the_bound(shape: tuple[int, ...], num_levels: int, pixels: str) -> None:
    model = vae(shape, num_levels, pixels)
    x, coder = images(model, 40), BitsBackCoder(model)
    words = coder.encode(x, QUIET)
    assert torch.equal(coder.decode(words, len(x), QUIET), x)
    torch.manual_seed(0)
    draws = torch.stack([-model.log_prob(x).double().sum() / math.log(2.0) for _ in range(20)])
    net = 32 * len(words) - coder.initial_bits
    assert net == pytest.approx(draws.mean().item(), abs=4.0 * draws.std().item() + 64)
    assert 32 * len(words) > 0.99 * draws.mean().item()


@torch.no_grad()
def test_a_stack_that_runs_dry_loses_nothing() -> None:
    """Codes far from the prior cost more than the 16 bits per dimension that the first image finds."""
    toy = Toy(1.0, [0.0] * 5, [8.0] * 5)
    x = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
    coder = BitsBackCoder(toy)
    coder.initial_bits = 0
    assert torch.equal(coder.decode(coder.encode(x, QUIET), 5, QUIET), x)
