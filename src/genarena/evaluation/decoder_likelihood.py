"""The likelihood of a decoder (a GAN) with a stated observation noise, by annealed importance sampling.

Wu, Burda, Salakhutdinov & Grosse 2017, arXiv 1611.04273: a decoder G with z ~ N(0, I) has a density if observation noise is
added, x = G(z) + sigma N(0, I). Chains from the prior to the posterior of z estimate log p(x) = log E_z p(x|z) (Neal 2001).
Grosse, Ghahramani & Adams 2015, arXiv 1511.02543 (bidirectional Monte Carlo): for data simulated from the model, z is an
exact posterior sample. Reverse chains from there bound log p(x) from above, and the gap shows how good the chains are.

Differs from the papers
- For integers the noise is integrated over the bins of the levels, so that the value is a log-mass, as in all other rows.
- The path is (t/T)^4 (as in Friel & Pettitt 2008, doi 10.1111/j.1467-9868.2007.00650.x) instead of sigmoidal.
- Step sizes come from pilot chains and are then fixed, so that both bounds hold.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.distributions import discretised_gaussian_log_prob
from genarena.files.progress import Bars
from genarena.likelihood import from_space, log_mean_exp, to_unit
from genarena.models.capabilities import Emits
from genarena.models.energy.annealed_importance_sampling import Annealed, anneal, effective_number
from genarena.models.energy.langevin import frozen
from genarena.spec import Batch, DataSpec

LEAPFROG_STEPS = 5


class NoisyDecoder(NamedTuple):
    """p(x|z, y): x = emit(z, y) + sigma N(0, I); for integers, rounded to levels by `from_unit`."""

    emit: Callable[[Tensor, Tensor | None], Tensor]
    spec: DataSpec
    sigma: float

    def log_prob(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x|z, y) (N,) nats."""
        x, mean = batch.x, self.emit(z, batch.y)
        if self.spec.is_discrete:
            unit, log_scale = to_unit(x, self.spec.num_levels), torch.tensor(math.log(self.sigma), device=x.device)
            terms = discretised_gaussian_log_prob(unit, mean, log_scale, self.spec.num_levels)
        else:
            terms = -0.5 * ((x - mean) / self.sigma).square() - math.log(self.sigma * math.sqrt(2.0 * math.pi))
        return terms.double().flatten(1).sum(1)  # with small noise terms reach 1e4 nats: too large for float32

    def sample(self, z: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        """x ~ p(x|z, y) (N, *shape)."""
        mean = self.emit(z, y)
        x = mean + self.sigma * torch.randn(mean.shape, generator=generator, device=mean.device)
        return from_space(x, self.spec)


class Annealing(NamedTuple):
    """Settings of the chains.

    sigma: observation noise. num_chains: per example. num_steps: number of temperatures. rows: most chains in memory at once.
    """

    sigma: float
    num_chains: int
    num_steps: int
    rows: int
    seed: int

    @property
    def path(self) -> list[float]:
        """The temperatures, from 0 to 1."""
        return torch.linspace(0.0, 1.0, self.num_steps + 1, dtype=torch.float64).pow(4).tolist()


class Chains:
    """The chains for one decoder; all draw from one random generator."""

    def __init__(self, decoder: NoisyDecoder, annealing: Annealing, generator: torch.Generator, bars: Bars) -> None:
        self.decoder, self.annealing, self.generator, self.bars = decoder, annealing, generator, bars

    def pilot(self, batch: Batch, start: Tensor) -> list[float]:
        """Step size of each transition, found by one pilot chain per example, from `start` (N, latent_dim)."""
        return self._anneal("AIS: pilot chains", batch, start, self.annealing.path, None).steps

    def log_weights(
        self, title: str, batch: Batch, start: Tensor, path: Sequence[float], steps: Sequence[float]
    ) -> tuple[Tensor, float]:
        """Log weights (num_chains, N) of chains from `start` (N * num_chains, latent_dim), and their acceptance rate."""
        num_chains, rows = self.annealing.num_chains, self.annealing.rows
        num_examples = len(batch.x)
        example = torch.arange(num_examples, device=start.device).repeat_interleave(num_chains)
        parts = [
            self._anneal(title, _rows(batch, index), z, path, steps)
            for index, z in zip(example.split(rows), start.split(rows), strict=True)
        ]
        acceptance = sum(part.acceptance * len(part.log_weights) for part in parts) / len(start)
        return torch.cat([part.log_weights for part in parts]).view(num_examples, num_chains).T, acceptance

    def _anneal(
        self, title: str, batch: Batch, start: Tensor, path: Sequence[float], steps: Sequence[float] | None
    ) -> Annealed:
        def tilt(z: Tensor) -> Tensor:
            return -self.decoder.log_prob(batch, z)

        def track(path: Iterable) -> Iterable:
            return self.bars.track(path, title)

        return anneal(tilt, start, path, self.generator, LEAPFROG_STEPS, steps, track=track)


def _rows(batch: Batch, index: Tensor | slice) -> Batch:
    return Batch(batch.x[index], None if batch.y is None else batch.y[index])


@torch.no_grad()
def decoder_log_prob(
    model: Emits, spec: DataSpec, batch: Batch, annealing: Annealing, bars: Bars
) -> tuple[Tensor, dict[str, Any]]:
    """log p(x) (N,) float64 nats of examples x (N, *shape), given y if there is one, too low on average, and its
    facts. `model` is a module too.

    In addition N examples are simulated from the model. The fact `sandwich` has the means of the lower and the upper bound
    on their log p(x), in nats.
    """
    x = batch.x
    decoder = NoisyDecoder(model.emit, spec, annealing.sigma)
    generator = torch.Generator(x.device).manual_seed(annealing.seed)
    chains, path = Chains(decoder, annealing, generator, bars), annealing.path
    num_chains, rows = annealing.num_chains, annealing.rows

    def codes(number: int) -> Tensor:
        return torch.randn(number, model.latent_dim, generator=generator, device=x.device)

    with frozen(model):
        steps = chains.pilot(_rows(batch, slice(rows)), codes(len(x[:rows])))
        start = codes(len(x) * num_chains)
        forward, acceptance = chains.log_weights("AIS: test data", batch, start, path, steps)
        z = codes(len(x))
        parts = torch.arange(len(x), device=x.device).split(rows)
        drawn = [decoder.sample(z[index], _rows(batch, index).y, generator) for index in parts]
        simulated = Batch(torch.cat(drawn), batch.y)
        start = codes(len(x) * num_chains)
        lower = log_mean_exp(chains.log_weights("AIS: simulated data", simulated, start, path, steps)[0])
        back = [steps[0], *steps[:-1]][::-1]  # transitions at the temperatures below 1, down to 0
        end = z.repeat_interleave(num_chains, 0)
        reverse, _ = chains.log_weights("AIS: back from simulated data", simulated, end, path[::-1], back)
    low, high = lower.mean().item(), -log_mean_exp(reverse).mean().item()
    return log_mean_exp(forward), {
        "method": "annealed importance sampling over the latent code",
        "observation_noise": annealing.sigma,
        "ais_chains": num_chains,
        "ais_steps": annealing.num_steps,
        "leapfrog_steps": LEAPFROG_STEPS,
        "effective_chains": effective_number(forward).mean().item(),
        "acceptance": acceptance,
        "sandwich": {"n": len(x), "lower": low, "upper": high, "gap": high - low},
    }
