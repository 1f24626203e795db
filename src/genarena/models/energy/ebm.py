"""Energy-based model trained with Langevin chains that persist in a replay buffer.

Papers: Du & Mordatch 2019, arXiv 1903.08689; Nijkamp et al. 2019, arXiv 1904.09770 (noise on the data, what makes
chains work); Du et al. 2021, arXiv 2012.01316 (KL term through the sampler, transitions between updates).

Differs from the paper: the temperature is explicit and the noise of a step fits its size, so that the chain samples
the density whose likelihood is reported; a Gaussian reference measure makes that density proper; the noise on the data
is part of the model, and a sample is drawn from P(x | v), the distribution of levels that the likelihood speaks of.
Samples start at noise, and pay for all their steps; `sampler=langevin_buffer` starts at the chains of training. With a
condition the energy has a projection on it, a chain keeps its own, and there is no likelihood: each has another constant Z.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, log_mean_exp, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Differentiates, Represents
from genarena.models.energy import annealed_importance_sampling as ais
from genarena.models.energy.kept_partition import KeptPartition
from genarena.models.energy.langevin import Langevin, energy_and_gradient, frozen, langevin, shifted
from genarena.models.energy.level_posterior import LevelPosterior
from genarena.models.energy.reference import Reference
from genarena.models.energy.replay_buffer import ReplayBuffer
from genarena.models.energy.sampler_kl import sampler_kl
from genarena.nets.conditioning import in_parts, num_features
from genarena.nets.energy import energy_of
from genarena.nets.layers import recorded
from genarena.options.values import Count, NonNegative, Positive, Several, Share
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class EBM(GenerativeModel, Differentiates, Represents):
    """p(v) = N(v; m, S) exp(-f(v)) / Z;  minimise E_data f(v) - E_model f(v),  v = x + data_noise N(0, I).

    data_noise: sigma, in units of [-1, 1] for levels; None is 0.3 for levels and 0.05 for continuous data.
    step_size: of a Langevin step; None is 0.2 sigma^2, which is stable if the density is at least as wide as the noise.
    clip: chains are kept in [-1, 1] after each step (Du & Mordatch's code); the likelihood is that of the density without.
    temperature: f = network / temperature; a small one makes the energy steep from the start. None is D^(-1/2).
    energy_penalty: weight of the squared network outputs, real and fake (Du & Mordatch, sec. 3.3).
    max_gap: guard against divergence, nats per dimension. If the mean energies of real and fake data differ by more, the
        gradient of their difference is scaled down in proportion; the penalty is not.
    kl_weight: of the KL term, through the last step of each chain; 0 leaves it (and its second derivatives) out.
    jitter: share of the image by which a chain is shifted and rescaled at random between updates; images only.
    ais_chains, ais_steps: of the annealed importance sampling; `partition()` gives its result and standard error.
    """

    family = "energy"
    paper = "1903.08689"
    mixed_precision = True
    conditional = True
    samplers = Langevin

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 16,
        num_blocks: Count = 1,
        spectral_norm: bool = False,
        data_noise: NonNegative | None = None,
        temperature: NonNegative | None = None,
        langevin_steps: Count = 10,
        step_size: Positive | None = None,
        drift_clamp: Positive | None = 0.3,
        clip: bool = False,
        buffer_size: Count = 8192,
        restart: Share = 0.05,
        energy_penalty: NonNegative = 0.01,
        max_gap: float = 0.3,
        kl_weight: NonNegative = 0.0,
        jitter: Share = 0.0,
        sampler: Langevin = Langevin(),  # noqa: B008 - frozen
        ais_chains: Several = 32,
        ais_steps: Count = 1500,
    ) -> None:
        super().__init__(spec, training)
        if spec.is_image and not spec.is_discrete:
            spec.require_image("ebm")
        self.sigma = self.noise = data_noise if data_noise is not None else (0.3 if spec.is_discrete else 0.05)
        self.step_size = step_size if step_size is not None else 0.2 * (self.sigma or 0.05) ** 2
        if self.sigma < 0.0 or (spec.is_discrete and self.sigma == 0.0):
            raise ValueError(f"data_noise={self.sigma}: expected a positive number (0 for continuous data only)")
        self.temperature = temperature if temperature is not None else spec.num_dims**-0.5
        if min(self.step_size, self.temperature) <= 0.0:
            raise ValueError(f"step_size={self.step_size}, temperature={self.temperature}: expected positive numbers")
        if ais_chains < 2:
            raise ValueError(f"ais_chains={ais_chains}: expected at least 2, whose scatter is the standard error")
        self.energy_penalty, self.max_gap, self.kl_weight, self.jitter = energy_penalty, max_gap, kl_weight, jitter
        self.langevin_steps, self.drift_clamp, self.clip = langevin_steps, drift_clamp, clip
        self.ais_chains, self.ais_steps = ais_chains, ais_steps
        context = num_features(spec.condition)
        self.net = energy_of(spec.shape, hidden_channels, num_blocks, spectral_norm, context)
        dtype = torch.float16 if spec.is_discrete else torch.float32
        self.buffer = ReplayBuffer(spec.shape, buffer_size, restart, dtype=dtype, condition=spec.condition)
        self.reference = Reference(spec.shape)
        self.levels = LevelPosterior(spec.num_levels, self.sigma) if spec.is_discrete else None
        self.kept = KeptPartition()
        self.use(sampler)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.NONE if self.spec.condition else Likelihood.ESTIMATE

    def use(self, sampler: Langevin) -> None:
        super().use(sampler)
        if sampler.start == "buffer" and self.spec.condition:
            raise ValueError(
                "sampler.start=buffer: the chains of training have conditions of their own; expected noise"
            )

    def tilt(self, v: Tensor, context: Tensor | None = None) -> Tensor:
        """f(v) (N,) nats, float32."""
        return self.net(v, context).float() / self.temperature

    def energy(self, v: Tensor, context: Tensor | None = None) -> Tensor:
        """U(v) = f(v) - log N(v; m, S), (N,) nats, the energy that chains follow. log p(v) = -U(v) - log Z."""
        return self.tilt(v, context) + self.reference.energy(v)

    def log_density(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """-U(u) = log p(u) + log Z, (N,) nats, of noisy data u; levels in [-1, 1]."""
        return -self.energy(u, self.context(y, len(u)))

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """What the last layer of the energy reads, of data without noise."""
        return recorded(lambda: self.log_density(to_space(x, self.spec), y), inputs={"energy": self.net.head})

    def noisy(self, x: Tensor) -> Tensor:
        """Data (N, *shape) to v in R^D."""
        x = to_space(x, self.spec)
        return x + self.sigma * torch.randn_like(x)

    def denoise(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x | v] = v + sigma^2 grad log p(v) (Miyasawa 1961; Saremi & Hyvarinen 2019, eq. 3); (N, *shape)."""
        energy = partial(self.energy, context=self.context(y, len(v)))
        with frozen(self.net):
            return v - self.sigma**2 * energy_and_gradient(energy, v)[1]

    def observe(self, batch: Batch) -> None:
        if self.levels:
            self.levels.observe(exchange.whole_batch(batch.x))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """In training mode the reference and the chains of the buffer advance; in eval mode no buffer changes."""
        v = self.noisy(batch.x)
        if self.training:  # not in `observe`: it takes the noise of this step
            self.reference.observe(exchange.whole_batch(v))
        fake, given = self.advance_chains(len(v), batch.y)
        contexts = [self.context(batch.y, len(v)), self.context(given, len(fake))]
        outputs = self.net(torch.cat([v, fake.detach()]), None if contexts[0] is None else torch.cat(contexts)).float()
        real_output, fake_output = outputs[: len(v)], outputs[len(v) :]
        gap = real_output.mean() - fake_output.mean()
        brake = (self.max_gap * self.spec.num_dims * self.temperature / gap.detach().abs()).clamp(max=1.0)
        penalty = self.energy_penalty * (real_output.square().mean() + fake_output.square().mean())
        terms = {
            "loss": brake * gap + penalty,
            "energy_gap": gap.detach() / self.temperature,
            "energy_scale": outputs.detach().std() / self.temperature,
            "brake": brake,
        }
        if self.kl_weight:
            energy = partial(self.energy, context=contexts[1].detach() if self.conditioning else None)
            terms["kl"] = sampler_kl(energy, self.net, fake, self.step_size)
            terms["loss"] = terms["loss"] + self.kl_weight * self.temperature * terms["kl"]
        return terms

    def advance_chains(self, num: int, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Run chains of the buffer and return them (n, *shape) with their conditions, n = min(num, capacity). In training mode
        the buffer keeps them. Chains that restart take conditions of y (num, ...)."""
        index, chains, y = self.buffer.draw(num, self.reference.sample, self.training, y)
        if self.jitter and self.spec.is_image:
            chains = shifted(chains, self.jitter)
        chains = self._walked(chains, y, self.langevin_steps)
        if self.training:
            self.buffer.write(index, chains, y)
        return torch.where(torch.isfinite(chains), chains, 0.0), y

    def _walked(self, v: Tensor, y: Tensor | None, steps: int) -> Tensor:
        """The ends of chains (N, *shape) under their conditions."""
        with torch.no_grad():
            energy = partial(self.energy, context=self.context(y, len(v)))
        with frozen(self.net):
            return langevin(energy, v, steps, self.step_size, self.drift_clamp, self.clip)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Energy of held-out data against that of the chains, in nats: no chain is moved and no constant estimated."""
        _, chains, y = self.buffer.pick(len(batch.x))
        real = self.tilt(self.noisy(batch.x), self.context(batch.y, len(chains)))
        fake = self.tilt(chains, self.context(y, len(chains)))
        return {"energy_gap": real.mean() - fake.mean(), "energy_real": real.mean(), "energy_fake": fake.mean()}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): the ends v of chains; for levels, x ~ P(x | v)."""
        v = (
            self.buffer.pick(num_samples).state
            if self.sampler.start == "buffer"
            else self.reference.sample(num_samples)
        )
        given = [part for _, part in in_parts(self.conditioning, num_samples, 500, y)]
        v = torch.cat([self._walked(*part, self.sampler.steps) for part in zip(v.split(500), given, strict=True)])
        return self.levels.sample(v) if self.spec.is_discrete else v

    @property
    def nfe(self) -> int:
        return max(1, self.sampler.steps)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats, with log Z estimated (once for these weights). Continuous data: log p(x).

        Levels: log P(x) >= E_v[log p(v) + log P(x | v) - log N(v; x, sigma^2 I)] over v ~ N(x, sigma^2 I), where
        P(x | v) is Bayes' rule per dimension under the histogram of training levels; `num_samples` draws tighten it.
        """
        if self.spec.condition:
            return super().log_prob(x, y)  # raises TypeError
        log_z = self.partition().log_z
        if not self.spec.is_discrete:
            return -self.energy(x.float()) - log_z
        noisy = (self.noisy(x) for _ in range(num_samples))
        return log_mean_exp(torch.stack([self.levels.log_weight(x, v) - self.energy(v) - log_z for v in noisy]))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        """If all chains agree on log Z, `effective_chains` is near `ais_chains`. The likelihood is too high on average, and an
        evaluation shows none where fewer than a quarter of the chains are effective."""
        transitions = {"leapfrog_steps": ais.LEAPFROG_STEPS}
        made = ais.facts(self.partition(), self.ais_chains, self.ais_steps, transitions)
        return made | ({"data_noise": self.sigma, "noise_draws": num_samples} if self.spec.is_discrete else {})

    def partition(self) -> ais.Partition:
        """log Z and its standard error; estimated anew only if the weights have changed."""
        weights = [*self.net.state_dict().values(), self.reference.mean, self.reference.variance]
        return self.kept.of(weights, self.estimate_partition)

    def estimate_partition(self, seed: int = 0) -> ais.Partition:
        """Annealed importance sampling from the reference measure, `ais_chains` chains over `ais_steps` steps."""
        with frozen(self.net), torch.autocast(self.device.type, enabled=False):
            sizes = self.spec.shape, self.ais_chains, self.ais_steps
            return ais.annealed_importance_sampling(
                lambda z: self.tilt(self.reference.place(z)), *sizes, seed=seed, device=self.device
            )
