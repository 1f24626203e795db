"""Checks of the metrics of likelihood on Gaussians, as a run measures them: the log-density is a closed form."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genarena.likelihood import Likelihood
from genarena.models.baseline.uniform import Uniform
from genarena.models.capabilities import Emits, Weighs
from genarena.models.diffusion.edm import EDM
from genarena.published.checks import Check, Given, by_evaluation, by_pieces, normal, of
from genarena.spec import DataSpec
from genarena.statistics import mel

PLANE = DataSpec((3,))
NOISE = 0.5  # of the observations


def _points(number: int) -> Given:
    x = 0.8 * normal(number, 3, seed=15).float()
    return Given(PLANE, x, x[:10], x)


class _Zero(nn.Module):
    """A network that has learned nothing."""

    def forward(self, x: Tensor, *others: Tensor | None) -> Tensor:
        return 0.0 * x


@of("ode_nll_nats", "ode_bits_per_dim", "nll_nats", "kl_to_truth_nats")
def flow_of_a_gaussian() -> Iterator[Check]:
    """With a network of zeros EDM's preconditioning is the denoiser of N(0, sigma_data^2 I): c_skip x = E[x_0 | x]."""
    model, data = EDM(PLANE, sigma_data=0.8), _points(64)
    model.network = _Zero()
    exact = MultivariateNormal(torch.zeros(3), 0.64 * torch.eye(3)).log_prob(data.test.x).double()
    value = by_evaluation(model, data, "ode_nll_nats", tolerance=1e-7)
    yield Check("ODE NLL of a Gaussian in 3 dimensions", value, "closed form", -exact.mean().item(), 1e-4)
    pixels = DataSpec((1, 2, 2), 256)
    bits = by_pieces("ode_bits_per_dim", ode_log_prob=exact, spec=pixels)
    expected = -exact.mean().item() / (4.0 * math.log(2.0))
    yield Check("  and bits/dim of such nats in 4 dimensions", bits, "nats / (D log 2)", expected, 1e-9)
    nats = by_pieces("nll_nats", log_prob=exact, likelihood=Likelihood.EXACT, log_prob_error=0.0)
    yield Check("  and their mean", nats, "minus log p", -exact.mean().item(), 1e-9)
    pieces = {"log_prob": exact - 0.25, "likelihood": Likelihood.EXACT, "log_prob_error": 0.0}
    kl = by_pieces("kl_to_truth_nats", true_log_prob=exact, **pieces)
    yield Check("  and the divergence of a density that is 0.25 nats too low", kl, "0.25 nats", 0.25, 1e-9)


@of("nats_per_frame")
def nats_of_frames_of_a_gaussian() -> Iterator[Check]:
    """Clips of 5 and of 9 frames from N(-5, I), silence behind them: the mean over clips of -log p(x) / T."""
    clips = [normal(80, frames, seed=frames).float() - 5.0 for frames in (5, 9)]
    x = torch.cat([mel.padded(clip[None], 12) for clip in clips])
    exact = [-0.5 * (clip + 5.0).double().square().sum(0) - 40.0 * math.log(2.0 * math.pi) for clip in clips]
    pieces = {"spec": DataSpec((80, 12), sample_rate=22_050), "likelihood": Likelihood.EXACT}
    value = by_pieces("nats_per_frame", real=x, log_prob=torch.stack([each.sum() for each in exact]), **pieces)
    expected = -sum(each.mean().item() for each in exact) / 2.0
    yield Check("nats per frame of two clips of a Gaussian", value, "closed form", expected, 1e-9)


class _Linear(Uniform, Emits, Weighs):
    """x = W z + noise. As a decoder alone; and with weights of draws from the prior, p(x|z) p(z) / p(z)."""

    likelihood = Likelihood.LOWER_BOUND
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__(PLANE)
        self.matrix = 0.6 * normal(3, 2, seed=16).float()

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z @ self.matrix.T

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        mean = self.emit(torch.randn(num_samples, len(x), 2))
        return torch.distributions.Normal(mean, NOISE).log_prob(x).sum(2)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return self.log_weights(x, y, num_samples).logsumexp(0) - math.log(num_samples)

    def exact(self, x: Tensor) -> float:
        """-log N(x; 0, W W^T + noise^2 I), the mean in nats."""
        covariance = self.matrix @ self.matrix.T + NOISE**2 * torch.eye(3)
        return -MultivariateNormal(torch.zeros(3), covariance).log_prob(x).mean().item()


@of("ais_nll_nats", "iw_nll_nats", "iw_bounds")
def estimates_of_a_linear_gaussian_model() -> Iterator[Check]:
    """A log-mean of k weights errs by their relative scatter / k^(1/2). Over 8 examples 4 standard errors are 0.1 for 64
    chains, of which 50 are effective, and 0.03 for 5,000 draws, of which one in 3 is."""
    model, data = _Linear(), _points(8)
    expected = model.exact(data.test.x)
    value = by_evaluation(model, data, "ais_nll_nats", chains=64, steps=60, sigma=NOISE)
    yield Check("AIS NLL of a linear decoder, 64 chains", value, "closed form, 4 standard errors", expected, 0.1)
    value = by_evaluation(model, data, "iw_nll_nats", draws=5_000)
    yield Check("IW NLL of a linear-Gaussian model, k=5,000", value, "closed form, 4 standard errors", expected, 0.03)
    value = by_evaluation(model, data, "iw_bounds", k=[1, 100, 5_000])
    yield Check("  and the last of its bounds", value, "closed form, 4 standard errors", expected, 0.03)
    loose = by_evaluation(model, data, "iw_bounds", k=[1])
    yield Check("  and that of k=1, a bound", expected, "the mean of one draw each", loose, 0.0, one_sided=True)
