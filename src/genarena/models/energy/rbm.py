"""Restricted Boltzmann machine, trained with persistent chains (Tieleman 2008, doi 10.1145/1390156.1390290).

The constant: annealed importance sampling from the base-rate model (Salakhutdinov & Murray 2008, doi
10.1145/1390156.1390266), or the sum over all hidden states where they are few.

Differs from the paper: levels are the counts of L - 1 tied binary units (Teh & Hinton 2001, rate-coded machines), which for two
levels is the binary machine; visible biases start at the base rates of the first batch; Adam and averaged weights by default.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import bernoulli
from genarena.likelihood import Likelihood, as_levels
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Represents
from genarena.models.energy import annealed_importance_sampling as ais
from genarena.models.energy.kept_partition import KeptPartition
from genarena.models.energy.replay_buffer import ReplayBuffer
from genarena.models.sampler import Sampler
from genarena.options.values import Count, NonNegative, Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

ENUMERABLE = 14  # hidden units whose 2^H states are summed


@dataclass(frozen=True)
class Gibbs(Sampler):
    """Chains of a restricted Boltzmann machine.

    steps: turns of both layers from the start of a chain to a sample. start: "noise" is the base-rate model; "buffer" the
        chains of training, which are repeated if more samples are asked for than there are chains.
    """

    steps: Whole = 1000
    start: Literal["buffer", "noise"] = "noise"


class RBM(GenerativeModel, Represents):
    """p(v) = sum_h exp(b^T v + c^T h + v^T W h) prod_i C(K, v_i) / Z,   v in {0 .. K}^D, h in {0, 1}^H, K = levels - 1.

    The loss is F(data) - F(chains), with the free energy F(v) = -b^T v - sum_j softplus(c_j + v^T W_j) - sum_i log C(K, v_i)
    in nats: its gradient is that of -log p(v) where the chains follow p.
    num_hidden: H; up to 14 the likelihood is exact, else an estimate. num_chains, gibbs_steps: of the persistent chains.
    weight_penalty: of the squared weights W. ais_chains, ais_steps: of the estimate.
    Raises ValueError for continuous data.
    """

    family = "energy"
    paper = "10.1145/1390156.1390290"
    samplers = Gibbs

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_hidden: Count = 500,
        num_chains: Count = 128,
        gibbs_steps: Count = 1,
        weight_penalty: NonNegative = 0.0,
        sampler: Gibbs = Gibbs(),
        ais_chains: Count = 100,
        ais_steps: Count = 1000,
    ) -> None:
        super().__init__(spec, training)
        if not spec.is_discrete:
            raise ValueError(f"RBM models integer levels, and this data set has shape {spec.shape} of real numbers")
        if ais_chains < 2:
            raise ValueError(f"ais_chains={ais_chains}: expected at least 2, whose scatter is the standard error")
        self.copies, self.gibbs_steps, self.weight_penalty = spec.num_levels - 1, gibbs_steps, weight_penalty
        self.num_chains, self.ais_chains, self.ais_steps = num_chains, ais_chains, ais_steps
        dims = spec.num_dims
        self.weight = nn.Parameter(torch.randn(dims, num_hidden) * 0.01 / self.copies**0.5)
        self.visible_bias = nn.Parameter(torch.zeros(dims))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))
        self.register_buffer("base", torch.zeros(dims))  # logits of the base rates
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.buffer = ReplayBuffer((dims,), num_chains, restart=0.0)
        self.kept = KeptPartition()
        self.use(sampler)

    @property
    def enumerable(self) -> bool:
        return len(self.hidden_bias) <= ENUMERABLE

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.EXACT if self.enumerable else Likelihood.ESTIMATE

    def visible(self, x: Tensor) -> Tensor:
        """Levels (N, *shape) as v (N, D) floats."""
        return x.flatten(1).float()

    def observe(self, batch: Batch) -> None:
        """The first batch sets the base rates, and the visible biases to them."""
        if not self.started:
            v = self.visible(exchange.whole_batch(batch.x))
            self.base.copy_(torch.logit((v.sum(0) + self.copies) / (self.copies * (len(v) + 2.0))))
            self.visible_bias.data.copy_(self.base)
            self.started.fill_(True)

    # -- the density --------------------------------------------------------------------------------------------------

    def tempered(self, v: Tensor, weight: float = 1.0) -> Tensor:
        """log f_b(v) (N,) nats, b = weight: 0 is the base-rate model, 1 the machine (Salakhutdinov & Murray, eq. 11)."""
        bias = torch.lerp(self.base, self.visible_bias, weight)
        hidden = F.softplus(weight * (self.hidden_bias + v @ self.weight)).sum(1)
        return v @ bias + hidden + self.log_arrangements(v)

    def log_arrangements(self, v: Tensor) -> Tensor:
        """sum_i log C(K, v_i) (N,): how many states of the tied units are v; 0 for two levels."""
        whole = math.lgamma(self.copies + 1.0)
        return (whole - torch.lgamma(v + 1.0) - torch.lgamma(self.copies - v + 1.0)).sum(1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) (N,) nats; log p(v) = -F(v) - log Z."""
        return -self.tempered(v)

    @cached_property
    def hidden_states(self) -> Tensor:
        """All h (2^H, H)."""
        num = len(self.hidden_bias)
        return (torch.arange(2**num)[:, None] >> torch.arange(num) & 1).float()

    def log_hidden(self) -> Tensor:
        """log of the sum over v of exp(-E(v, h)), (2^H,) nats of every h."""
        h = self.hidden_states.to(self.weight)
        return h @ self.hidden_bias + self.copies * F.softplus(self.visible_bias + h @ self.weight.T).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats, with log Z by enumeration, or estimated once for these weights."""
        log_z = self.log_hidden().double().logsumexp(0).item() if self.enumerable else self.partition().log_z
        return (-self.free_energy(self.visible(x)).double() - log_z).float()

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        """Exact: the number of states. Else the facts of the estimate, which draws of x cannot tighten."""
        if self.enumerable:
            return {"method": "sum over all hidden states", "states": 2 ** len(self.hidden_bias)}
        made = ais.facts(self.partition(), self.ais_chains, self.ais_steps, {"gibbs_steps": 1})
        return made | {"method": f"{made['method']}; x without chance"}

    def partition(self) -> ais.Partition:
        """log Z and its standard error; estimated anew only if the weights have changed."""
        return self.kept.of([*(p.detach() for p in self.parameters()), self.base], self.estimate_partition)

    @torch.no_grad()
    def estimate_partition(self, seed: int = 0) -> ais.Partition:
        """Annealed importance sampling from the base-rate model, whose constant is known."""
        generator = torch.Generator(self.device).manual_seed(seed)
        path = torch.linspace(0.0, 1.0, self.ais_steps + 1, dtype=torch.float64).tolist()
        weights = self.annealed(self.base_rate_samples(self.ais_chains, generator), path, generator)
        return ais.partition_of(weights, 1.0, self.log_base())

    def annealed(self, v: Tensor, path: list[float], generator: torch.Generator) -> Tensor:
        """log-weights (N,) of chains from v ~ f of path[0]; from 1 to 0 they are reverse chains (Grosse et al. 2015)."""

        def log_ratio(v: Tensor, previous: float, now: float) -> Tensor:
            return self.tempered(v, now) - self.tempered(v, previous)

        return ais.importance_weights(path, v, log_ratio, lambda v, now: self.gibbs(v, now, generator))

    def log_base(self) -> float:
        """log Z of the base-rate model, with its H free hidden units."""
        return (self.copies * F.softplus(self.base).double().sum() + len(self.hidden_bias) * math.log(2.0)).item()

    # -- chains -------------------------------------------------------------------------------------------------------

    def counts(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """v ~ Binomial(K, sigmoid(logits)), of the shape of the logits."""
        return self.drawn(torch.sigmoid(logits), self.copies, generator)

    @staticmethod
    def drawn(p: Tensor, copies: int, generator: torch.Generator | None = None) -> Tensor:
        """Binomial(copies, p); NaN where p is."""
        if copies == 1:
            return bernoulli(p, generator)
        known = p.nan_to_num()
        return torch.binomial(torch.full_like(known, copies), known, generator=generator) + 0.0 * p

    def gibbs(self, v: Tensor, weight: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """A turn of both layers, which leaves f_b invariant: h given v, then v given h."""
        h = self.drawn(torch.sigmoid(weight * (self.hidden_bias + v @ self.weight)), 1, generator)
        bias = torch.lerp(self.base, self.visible_bias, weight)
        return self.counts(bias + weight * (h @ self.weight.T), generator)

    def base_rate_samples(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """v (num, D)."""
        return self.counts(self.base.expand(num, -1), generator)

    @torch.no_grad()
    def walked(self, v: Tensor, steps: int) -> Tensor:
        for _ in range(steps):
            v = self.gibbs(v)
        return v

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """In training mode the persistent chains advance; in eval mode no buffer changes."""
        index, chains, _ = self.buffer.draw(self.num_chains, self.base_rate_samples, self.training)
        chains = self.walked(chains, self.gibbs_steps)
        if self.training:
            self.buffer.write(index, chains)
        gap = self.free_energy(self.visible(batch.x)).mean() - self.free_energy(chains).mean()
        return {"loss": gap + self.weight_penalty * self.weight.square().sum(), "energy_gap": gap.detach()}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape) levels: the ends of chains."""
        stored = self.sampler.start == "buffer"
        v = self.buffer.pick(num_samples).state if stored else self.base_rate_samples(num_samples)
        return as_levels(self.walked(v, self.sampler.steps).unflatten(1, self.spec.shape), self.spec.num_levels)

    @property
    def nfe(self) -> int:
        return max(1, self.sampler.steps)

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`hidden`: p(h_j = 1 | v)."""
        return {"hidden": torch.sigmoid(self.hidden_bias + self.visible(x) @ self.weight)}
