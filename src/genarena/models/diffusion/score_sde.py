"""Score-based generative modelling through stochastic differential equations (Song et al. 2021, arXiv 2011.13456).

With few noise levels of a variance-exploding process it is a noise-conditional score network (NCSN: Song & Ermon 2019, arXiv
1907.05600), the model `ncsn`. The score is grad log p_t(x) = -eps / s. Samples are drawn by any sampler; the paper's is
`predictor_corrector`.

Differs from the papers
- The network sees x / sqrt(a^2 + s^2) instead of x, and time in [0, 1], which of a variance-exploding process is ln s.
- The times of a training batch are spread evenly from one random start.
- `weighting: likelihood` draws ln(s / a) evenly instead of weighing the losses of even times by g^2 / s^2: the same mean with
  less variance (Song, Durkan, Murray & Ermon 2021, arXiv 2101.09258, sec. 4.4). Both agree where the process explodes.
- Levels are in [-1, 1] for all processes; the paper has [0, 1] for exploding ones, so that its s are half of those here.
- Integer levels get uniform noise in training, so that the likelihood has a bounded density to integrate.
- Samplers clip the predicted data to its range, and step to the data from the least noise (`clip: false` for the former).
- The likelihood takes x for the variable at time 1e-5, as the paper does, and the last marginal for N(0, I) in
  x / sqrt(a^2 + s^2).
- A condition is dropped for some training examples, for guidance (Ho & Salimans 2022, arXiv 2207.12598).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.models.diffusion.noise_prediction import NoisePrediction
from genarena.models.diffusion.paths import DATA, Level, levels
from genarena.models.diffusion.samplers import DiffusionSampler, DPMSolver
from genarena.models.diffusion.sdes import SubVP, VarianceExploding, VariancePreserving
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.options.values import Count, Positive, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

LEAST_TIME = 1e-5  # of training and of the likelihood (appendix C)


class ScoreSDE(NoisePrediction):
    """min_theta E_t lambda(t) E |s_theta(x_t, t) - grad log p(x_t | x_0)|^2,  x_t = a x_0 + s eps,  s_theta = -eps_theta / s,

    with lambda = s^2 (weighting: sigma) or g(t)^2 (weighting: likelihood): the mean squared error of eps, with even times or
    even ln(s / a).

    sde: vp, sub_vp or ve. beta_min, beta_max: of the first two. sigma_min, sigma_max: of `ve`, for levels in [-1, 1].
    num_levels: of training, even in time, and the most that a sampler visits; null: continuous. dequantisation: noise on
    integer levels in training, none or uniform. net: a network of `conf/net`. Raises ValueError for ends in the wrong order,
    for one level, and for a sampler of more levels than `num_levels`.
    """

    paper = "2011.13456"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: DiffusionSampler = DPMSolver(),  # noqa: B008 - frozen
        sde: Literal["vp", "sub_vp", "ve"] = "vp",
        weighting: Literal["sigma", "likelihood"] = "sigma",
        beta_min: Positive = 0.1,
        beta_max: Positive = 20.0,
        sigma_min: Positive = 0.02,
        sigma_max: Positive = 100.0,
        num_levels: Count | None = None,
        dequantisation: Literal["none", "uniform"] = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        for name, low, high in (("beta", beta_min, beta_max), ("sigma", sigma_min, sigma_max)):
            if low >= high:
                raise ValueError(f"{name}_min={low:g}: expected less than {name}_max, {high:g}")
        if num_levels == 1:
            raise ValueError("num_levels=1: expected at least 2, or null for continuous time")
        self.num_levels = num_levels
        super().__init__(spec, net, training, sampler, dequantisation, condition_dropout)
        self.sde = {
            "vp": VariancePreserving(beta_min, beta_max),
            "sub_vp": SubVP(beta_min, beta_max),
            "ve": VarianceExploding(sigma_min, sigma_max),
        }[sde]
        self.weighting = weighting

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of eps, per dimension."""
        x_0 = self.training_points(batch.x)
        eps, sigma = torch.randn_like(x_0), self.training_sigmas(len(x_0))
        phi = column(sigma.atan(), x_0)
        z = phi.cos() * x_0 + phi.sin() * eps
        found = self.noise_in(z, sigma, self.context(batch.y, len(x_0)))
        return {"loss": (found - eps).square().mean()}

    def training_sigmas(self, num: int) -> Tensor:
        """s / a (num,) of a training batch."""
        u = even_times(num, self.device)
        return self._sigma(u if self.num_levels is None else (u * self.num_levels).floor() / (self.num_levels - 1))

    def _sigma(self, u: Tensor) -> Tensor:
        """s / a at u in [0, 1], of which training draws it evenly."""
        if self.weighting == "likelihood":
            least, most = self.ends_of_sigma
            return least * (most / least) ** u
        return self.sde.sigma(LEAST_TIME + u * (1.0 - LEAST_TIME))

    @property
    def most_steps(self) -> int | None:
        return self.num_levels

    @property
    def ends_of_sigma(self) -> tuple[float, float]:
        return tuple(self.sde.sigma(torch.tensor([LEAST_TIME, 1.0], dtype=torch.float64)).tolist())

    def time_of(self, sigma: Tensor) -> Tensor:
        return self.sde.time(sigma)

    def levels(self, num_steps: int) -> list[Level]:
        """Even times from 1 to 1e-5 for a process that explodes, else to the data; with `num_levels` those of training, as
        evenly as they can be chosen, and the data."""
        if self.num_levels is None:
            return levels(self._level, num_steps)
        kept = torch.linspace(self.num_levels - 1, 0, num_steps, dtype=torch.float64).round()
        sigma = self._sigma(kept / (self.num_levels - 1))
        a = self.sde.signal(sigma)
        return [*(Level(*pair) for pair in zip(a.tolist(), (a * sigma).tolist(), strict=True)), DATA]

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s (N,) at times t (N,)."""
        sigma = self.sde.sigma(t)
        a = self.sde.signal(sigma)
        return a, a * sigma

    def _level(self, t: float) -> Level:
        a, s = self.marginal(torch.tensor(t, dtype=torch.float64))
        return Level(a.item(), s.item())
