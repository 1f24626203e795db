"""D3PM (Austin, Johnson, Ho, Tarlow & van den Berg 2021, arXiv 2107.03006): diffusion of levels in T steps, by three chains.

Differs from the paper
- p(x_0 | x_1) is eq. 4 too, as in all other steps; the authors' code takes the prediction of the network for it.
- The network sees a learned embedding of each level beside its value; any network of `conf/net` will do.
- The steps of a batch are stratified over 1 .. T.
- beta_t of the Gaussian chain is times 1000 / T for other T than 1000.
- A condition is added to the embedding of the time.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.likelihood import Likelihood, as_levels, bits_per_dim, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.discrete_diffusion.corruption import Kind, chain, usual
from genarena.models.discrete_diffusion.level_predictions import AnyLevels, LevelPrediction, Logistic
from genarena.models.discrete_diffusion.masking import draw_counts
from genarena.models.discrete_diffusion.reverse_chain import Predicted, ReverseChain
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.conditioning import in_parts, sizes
from genarena.options.values import Count, NonNegative, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

MOST_LEVELS = 256  # matrices of levels times levels for each step
AT_ONCE = 2**25  # probabilities in memory at once when sampling
SAMPLE_CHUNK = 512  # images drawn together, at most
VALIDATION_DRAWS = 4  # of steps: one of them differs much from another
LEAST = 1e-30  # of a probability


class D3PM(GenerativeModel):
    """-log p(x_0) <= L_T + sum_{t = 1..T} L_{t-1},   L_T = KL(q(x_T | x_0) | p(x_T)),

    L_{t-1} = E_q KL(q(x_{t-1} | x_t, x_0) | p_theta(x_{t-1} | x_t)), which is -log p_theta(x_0 | x_1) at t = 1, with
    p_theta(x_{t-1} | x_t) ~ sum_{x_0} q(x_{t-1}, x_t | x_0) p_theta(x_0 | x_t)   (eq. 4).
    The loss is the bound plus `auxiliary` sum_t E -log p_theta(x_0 | x_t)   (eq. 5).

    corruption: the chain, gaussian, uniform or absorbing; null: gaussian from 16 levels on, else absorbing. num_steps: T.
    head: p_theta(x_0 | x_t), a discretised logistic around x_t ("logistic") or any masses ("categorical").
    net: a network of `conf/net`. level_embedding: size of the embedding of a level.
    Raises ValueError for data that is not images of at most 256 levels, a Gaussian chain on levels that it does not forget,
    and a sampler with more evaluations than T.
    """

    family = "discrete_diffusion"
    likelihood = Likelihood.LOWER_BOUND
    paper = "2107.03006"
    mixed_precision = True
    conditional = True
    guides = True
    samplers = ReverseChain

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        net: Callable[..., nn.Module] = unet_or_mlp,
        sampler: ReverseChain = ReverseChain(),  # noqa: B008 - frozen
        corruption: Kind | None = None,
        num_steps: Count = 100,
        head: Literal["logistic", "categorical"] = "logistic",
        auxiliary: NonNegative = 0.001,
        level_embedding: Count = 8,
        condition_dropout: Share = 0.0,
    ) -> None:
        super().__init__(spec, training, condition_dropout)
        spec.require_image("d3pm")
        if spec.num_levels > MOST_LEVELS:
            raise ValueError(f"d3pm: {spec.num_levels} levels; expected at most {MOST_LEVELS}")
        self.chain = chain(corruption or usual(spec.num_levels), num_steps, spec.num_levels)
        self.head, self.auxiliary = head, auxiliary
        channels, outputs = spec.shape[0], 2 if head == "logistic" else spec.num_levels
        self.embedding = nn.Embedding(self.chain.num_states, level_embedding)
        ends = (channels * (level_embedding + 1), channels * outputs)
        self.network = net(*ends, spec.shape, *sizes(spec.condition, condition_dropout))
        self.use(sampler)

    def use(self, sampler: ReverseChain) -> None:
        super().use(sampler)
        sampler.num_steps(self.chain.num_steps)  # raises ValueError

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Bits/dim of one draw: `loss`, with the auxiliary term; `bound`, without."""
        t = draw_counts(len(batch.x), self.chain.num_steps, device=batch.x.device)
        bound, entropy = self._drawn(batch.x, t, self.context(batch.y, len(batch.x)))
        terms = {"loss": -bound + self.auxiliary * entropy, "bound": -bound}
        return {name: bits_per_dim(-value, self.spec.num_dims).mean() for name, value in terms.items()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        log_prob = self.log_prob(batch.x, batch.y, VALIDATION_DRAWS)
        return self.loss(batch) | {"bits_per_dim": bits_per_dim(log_prob, self.spec.num_dims).mean()}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int | None = 1) -> Tensor:
        """(N,) nats: an unbiased estimate of the bound, whose *expectation* is at most log p(x); a single value may be above.

        `num_samples` steps are drawn per example, stratified. With None, or at least T, every step is evaluated once.
        """
        steps, context = self.chain.num_steps, self.context(y, len(x))
        if num_samples is None or num_samples >= steps:
            draws = [torch.full((len(x),), t, device=x.device) for t in range(1, steps + 1)]
        else:
            draws = [draw_counts(len(x), steps, part, num_samples, x.device) for part in range(num_samples)]
        return sum(self._drawn(x, t, context)[0] for t in draws) / len(draws)

    def estimator(self, num_samples: int | None = 1) -> dict[str, Any]:
        steps = self.chain.num_steps
        drawn = steps if num_samples is None else min(num_samples, steps)
        return {"method": "bound of the chain, unbiased in steps and states", "steps_drawn": drawn, "num_steps": steps}

    def _drawn(self, x: Tensor, t: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(N,) nats each, T times those of steps t (N,): the bound, at most 0, with L_T; and -log p(x_0 | x_t)."""
        x_0, steps = x.flatten(1).long(), self.chain.num_steps
        x_t = self.chain.draw(x_0, t)
        predicted = self.predicted(x_t, t, context)
        entropy = -predicted.log_prob(x_0).sum(1)
        bound = self.chain.prior_term.to(x.device)[x_0].sum(1) + steps * self.step_term(
            x_0, x_t, t, self.states(predicted)
        )
        return -bound, steps * entropy

    def step_term(self, x_0: Tensor, x_t: Tensor, t: Tensor, p: Tensor) -> Tensor:
        """KL(q(x_{t-1} | x_t, x_0) | p_theta(x_{t-1} | x_t)), (N,) nats, of p_theta(x_0 | x_t) (N, D, K)."""
        given, predicted = self.chain.marginal(x_0, t - 1), self.chain.spread(p, t - 1)
        seen = self.chain.seen(x_t, t - 1, t)  # it cancels in the ratio of both
        joint = seen * given
        mass, other = joint.sum(-1), (seen * predicted).sum(-1).clamp_min(LEAST)
        own = torch.special.xlogy(joint, given).sum(-1)
        return ((own - (joint * predicted.clamp_min(LEAST).log()).sum(-1)) / mass + (other / mass).log()).sum(1)

    def states(self, predicted: LevelPrediction) -> Tensor:
        """Probabilities (N, D, K) of all states of the chain; the mask has none."""
        return F.pad(predicted.probs(), (0, self.chain.num_states - self.spec.num_levels))

    def predicted(self, x_t: Tensor, t: Tensor, context: Tensor | None = None) -> LevelPrediction:
        """p_theta(x_0 | x_t) of states x_t (N, D) int64 at steps t (N,)."""
        spec, states = self.spec, x_t.view(-1, *self.spec.shape)
        masked = states >= spec.num_levels
        value = to_unit(states.clamp_max(spec.num_levels - 1), spec.num_levels).masked_fill(masked, 0.0)
        inputs = torch.cat([self.embedding(states).movedim(-1, 2).flatten(1, 2), value], 1)
        outputs = self.network(inputs, t / self.chain.num_steps, context).float()
        outputs = outputs.unflatten(1, (-1, spec.shape[0])).flatten(2)  # (N, 2 or L, D)
        if self.head == "categorical":
            return AnyLevels(outputs.mT)
        return Logistic(value.flatten(1) + outputs[:, 0], outputs[:, 1].clamp(-7.0, 3.0), spec.num_levels)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, C, H, W) levels."""
        chunk = max(1, min(SAMPLE_CHUNK, AT_ONCE // (self.spec.num_dims * self.chain.num_states)))
        drawn = [
            self.sampler.draw(self.guided(given, num), self.chain, num, self.spec.num_dims, self.device)
            for num, given in in_parts(self.conditioning, num_samples, chunk, y)
        ]
        return as_levels(torch.cat(drawn).view(num_samples, *self.spec.shape), self.spec.num_levels)

    def guided(self, y: Tensor | None, num: int) -> Predicted:
        """p(x_0 | x_t) given y, under the sampler's guidance: log p moved to u + s (c - u), and normalised."""
        s = self.sampler.guidance
        given = self.context(y if s else None, num)
        if self.sampler.predictions == 1:
            return lambda x_t, t: self.states(self.predicted(x_t, t, given))
        without = self.context(None, num)

        def mixed(x_t: Tensor, t: Tensor) -> Tensor:
            u, c = (self.states(self.predicted(x_t, t, each)).clamp_min(LEAST).log() for each in (without, given))
            return (u + s * (c - u))[..., : self.spec.num_levels].softmax(-1)

        return lambda x_t, t: F.pad(mixed(x_t, t), (0, self.chain.num_states - self.spec.num_levels))

    @property
    def nfe(self) -> int:
        return self.sampler.num_steps(self.chain.num_steps) * self.sampler.predictions
