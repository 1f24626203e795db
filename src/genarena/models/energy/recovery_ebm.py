"""Recovery likelihood: conditional energies along a diffusion (Gao et al. 2021, arXiv 2012.08125).

Differs from the paper: the noise level enters the network by a projection on its last features; noise and step size of a
chain agree, at temperature one; energies of a level are in units of its noise, and so are the gradients of its loss; data has
Gaussian noise, without which the conditional densities are far narrower than a step, and samples are levels drawn from
P(x | x_0); energies have a Gaussian with the moments of the data as reference measure, both as in `ebm`.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.likelihood import Likelihood, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Represents
from genarena.models.energy.langevin import frozen, langevin, like
from genarena.models.energy.level_posterior import LevelPosterior
from genarena.models.energy.reference import Reference
from genarena.models.sampler import Sampler
from genarena.nets.conditioning import in_parts, num_features, pooled
from genarena.nets.energy import energy_of
from genarena.nets.layers import recorded
from genarena.options.values import Count, NonNegative, Positive
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

FIRST_BETA, LAST_BETA, FINE_STEPS = (
    1e-4,
    0.02,
    1000,
)  # the linear schedule of Ho et al. 2020, of which every n-th step is used


@dataclass(frozen=True)
class Recovery(Sampler):
    """Samples of a `RecoveryEBM`. steps: Langevin steps at each of its levels."""

    steps: Count = 30


class RecoveryEBM(GenerativeModel, Represents):
    """p(y_t | x_{t+1}) ~ exp(f(y_t, t) - |x_{t+1} - y_t|^2 / (2 s^2)),   x_{t+1} = y_t + s eps,   y_t = sqrt(1 - s^2) x_t.

    s = s_{t+1}, t = 0 .. T - 1, x_0 = data, x_T nearly N(0, I) (eq. 8 to 10). The conditional density is close to a Gaussian of
    width s, so that a short chain from x_{t+1} reaches it; the marginal exp(f(y_t, t)) need not mix. The loss is
    E f(y_t chain) - E f(y_t data), t uniform.
    num_levels: T. langevin_steps: of a chain in training. step_size: of a step, in units of s^2; b^2 / 2 in the paper.
    drift_clamp: bound on how far the gradient moves a coordinate in one step, in units of s; None: no bound.
    data_noise: of x_0, in units of [-1, 1] for levels; None is 0.2 for levels and 0.05 for continuous data.
    energy_penalty: weight of the squared network outputs.
    """

    family = "energy"
    likelihood = Likelihood.NONE
    paper = "2012.08125"
    conditional = True
    samplers = Recovery

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 32,
        num_blocks: Count = 1,
        spectral_norm: bool = False,
        data_noise: NonNegative | None = None,
        num_levels: Count = 6,
        langevin_steps: Count = 30,
        step_size: Positive = 0.02,
        drift_clamp: Positive | None = 0.3,
        energy_penalty: NonNegative = 0.0,
        sampler: Recovery = Recovery(),
    ) -> None:
        super().__init__(spec, training)
        if spec.is_image and not spec.is_discrete:
            spec.require_image(type(self).__name__)
        if not 2 <= num_levels <= FINE_STEPS:
            raise ValueError(f"num_levels={num_levels}: expected 2 to {FINE_STEPS}, the steps of the diffusion")
        if step_size >= 1.0:
            raise ValueError(
                f"step_size={step_size}: expected below 1, the variance of a conditional; chains diverge at 2"
            )
        self.data_noise = data_noise if data_noise is not None else (0.2 if spec.is_discrete else 0.05)
        if spec.is_discrete and self.data_noise == 0.0:
            raise ValueError("data_noise=0: expected a positive number (0 for continuous data only)")
        self.num_levels, self.langevin_steps, self.step_size = num_levels, langevin_steps, step_size
        self.energy_penalty, self.drift_clamp = energy_penalty, drift_clamp
        context = num_levels + num_features(spec.condition)
        self.reference = Reference(spec.shape)
        self.levels = LevelPosterior(spec.num_levels, self.data_noise) if spec.is_discrete else None
        self.net = energy_of(spec.shape, hidden_channels, num_blocks, spectral_norm, context)
        kept = torch.linspace(FIRST_BETA, LAST_BETA, FINE_STEPS, dtype=torch.float64).neg().add(1.0).cumprod(0)
        places = torch.linspace(0, FINE_STEPS, num_levels + 1).round().long()[1:] - 1
        kept = torch.cat(
            [torch.ones(1, dtype=torch.float64), kept[places]]
        )  # share of the variance of x_0 in x_t, t = 0 .. T
        self.register_buffer("kept", kept.float(), persistent=False)
        self.register_buffer("spread", (1.0 - kept[1:] / kept[:-1]).sqrt().float(), persistent=False)  # s_1 .. s_T
        self.use(sampler)

    # -- energies

    def output(self, y: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """The network (N,) at y (N, *shape), levels t (N,)."""
        level = F.one_hot(t, self.num_levels).float()
        return self.net(y, level if context is None else torch.cat([level, pooled(context)], 1)).float()

    def log_marginal(self, y: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """f(y, t) (N,) nats, up to a constant: minus the network in units of the noise, and the Gaussian of the data's moments
        at this level, without which chains of an energy that grows slowly leave the data."""
        kept, shrink = like(self.kept[t], y), 1.0 - like(self.spread[t], y).square()
        mean = (shrink * kept).sqrt() * self.reference.mean
        variance = shrink * (kept * self.reference.variance + 1.0 - kept)
        gaussian = -0.5 * ((y - mean).square() / variance).flatten(1).sum(1)
        return gaussian - self.output(y, t, context) * self.spec.num_dims**0.5 / self.spread[t]

    def energy(self, y: Tensor, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """-log p(y | x) (N,) nats, up to a constant; x (N, *shape) at level t + 1 (eq. 9)."""
        distance = (x - y).flatten(1).square().sum(1)
        return 0.5 * distance / self.spread[t].square() - self.log_marginal(y, t, context)

    def recovered(self, x: Tensor, t: Tensor, steps: int, context: Tensor | None = None) -> Tensor:
        """y_t ~ p(y_t | x_{t+1} = x), the end of a chain that starts at x (eq. 17)."""
        energy = partial(self.energy, t=t, x=x, context=context)
        with frozen(self.net):
            s = like(self.spread[t], x)
            clamp = None if self.drift_clamp is None else self.drift_clamp * s
            return langevin(energy, x, steps, self.step_size * s.square(), clamp)

    # -- training

    def clean(self, x: Tensor) -> Tensor:
        """x_0 of data (N, *shape), levels in [-1, 1]: with noise."""
        x_0 = to_space(x, self.spec)
        return x_0 + self.data_noise * torch.randn_like(x_0)

    def observe(self, batch: Batch) -> None:
        """Levels, and the moments of the first batches with their noise."""
        x = exchange.whole_batch(batch.x)
        self.reference.observe(self.clean(x))
        if self.levels:
            self.levels.observe(x)

    def pair(self, x_0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """y_t and x_{t+1} (N, *shape) of data at levels t (N,) (eq. 7 and 8)."""
        a, s = like(self.kept[t], x_0), like(self.spread[t], x_0)
        x_t = a.sqrt() * x_0 + (1.0 - a).sqrt() * torch.randn_like(x_0)
        y_t = (1.0 - s.square()).sqrt() * x_t
        return y_t, y_t + s * torch.randn_like(x_0)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`energy_gap`: E f(data) - E f(chains), in units of the noise and of sqrt(D)."""
        t = torch.randint(self.num_levels, (len(batch.x),), device=self.device)
        real, x = self.pair(self.clean(batch.x), t)
        context = self.context(batch.y, len(t))
        fake = self.recovered(x, t, self.langevin_steps, None if context is None else context.detach())
        both = None if context is None else torch.cat([context, context])
        real_output, fake_output = self.output(torch.cat([real, fake]), torch.cat([t, t]), both).chunk(2)
        gap = (real_output - fake_output).mean()
        penalty = self.energy_penalty * (real_output.square().mean() + fake_output.square().mean())
        return {"loss": gap + penalty, "energy_gap": -gap.detach()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The gap, on held-out data."""
        return {"energy_gap": self.loss(batch)["energy_gap"]}

    # -- samples

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): from N(0, I) through all levels (algorithm 2); 500 at a time. Levels: x ~ P(x | x_0)."""
        drawn = [self._drawn(*part) for part in in_parts(self.conditioning, num_samples, 500, y)]
        return self.levels.sample(torch.cat(drawn)) if self.levels else torch.cat(drawn)

    def _drawn(self, num: int, y: Tensor | None) -> Tensor:
        x, context = torch.randn(num, *self.spec.shape, device=self.device), self.context(y, num)
        for level in reversed(range(self.num_levels)):
            t = torch.full((num,), level, device=self.device)
            x = self.recovered(x, t, self.sampler.steps, context) / (1.0 - self.spread[level].square()).sqrt()
        return x

    @property
    def nfe(self) -> int:
        return self.num_levels * self.sampler.steps

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """What the last layer of the energy reads, of data without noise."""
        context = self.context(y, len(x))

        def run() -> Tensor:
            return self.output(to_space(x, self.spec), torch.zeros(len(x), dtype=torch.long, device=x.device), context)

        return recorded(run, inputs={"energy": self.net.head})
