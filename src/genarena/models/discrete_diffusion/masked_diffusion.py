"""Masked diffusion: MDLM (Sahoo et al. 2024, arXiv 2406.07524) and MD4 (Shi et al. 2024, arXiv 2406.04329), on pixels.

Differs from the papers
- A fixed number of dimensions is masked at each time instead of each with a probability: the same bound, with the integral
  over times of equal counts done exactly (`masking.py`). The schedule alpha does not enter.
- The network is told the share of masked dimensions. It could count them, and MDLM does not tell it.
- The network is any of `conf/net`: the U-Net folds blocks of pixels into channels, the transformer has patches as tokens.
- A condition is added to the embedding of the time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.data.batches import seeded_generator
from genarena.likelihood import Likelihood, as_levels, bits_per_dim
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Represents
from genarena.models.discrete_diffusion.masking import draw_counts, draw_masks
from genarena.models.discrete_diffusion.unmasking import Logits, Unmasking
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.conditioning import in_parts, sizes
from genarena.nets.layers import layers_of, recorded
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

MOST_LEVELS = 4096  # one logit per level and dimension
AT_ONCE = 2**25  # logits in memory at once when sampling
SAMPLE_CHUNK = 512  # images drawn together, at most
SHARES, DRAWS = (0.05, 0.3, 0.6), 4  # of `features`: of masked dimensions, and draws of masks


class MaskedDiffusion(GenerativeModel, Represents):
    """-log p(x) <= E_{t ~ U[0, 1]} D/k E_{|M| = k} sum_{i in M} -log p_theta(x_i | x without M),  k = ceil(t D).

    D: dimensions; M: the masked ones. Per dimension it is the mean cross-entropy of the masked levels.
    Raises ValueError for data that is not images of at most 4096 levels, and for a sampler with more evaluations than D.
    """

    family = "discrete_diffusion"
    likelihood = Likelihood.LOWER_BOUND
    paper = "2406.07524"
    mixed_precision = True
    conditional = True
    guides = True
    samplers = Unmasking

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        net: Callable[..., nn.Module] = unet_or_mlp,
        sampler: Unmasking = Unmasking(),  # noqa: B008 - frozen
        level_embedding: Count = 8,
        condition_dropout: Share = 0.0,
    ) -> None:
        """net: a network of `conf/net`. level_embedding: size of the learned embedding of each level and of the mask."""
        super().__init__(spec, training, condition_dropout)
        spec.require_image("masked_diffusion")
        if spec.num_levels > MOST_LEVELS:
            raise ValueError(f"masked_diffusion: {spec.num_levels} levels; expected at most {MOST_LEVELS}")
        channels = spec.shape[0]
        self.embedding = nn.Embedding(spec.num_levels + 1, level_embedding)
        ends = (channels * level_embedding, channels * spec.num_levels)
        self.network = net(*ends, spec.shape, *sizes(spec.condition, condition_dropout))
        self.use(sampler)

    def use(self, sampler: Unmasking) -> None:
        super().use(sampler)
        sampler.num_steps(self.spec.num_dims)  # raises ValueError

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` in bits/dim, one draw of the bound; `nll` in nats."""
        counts = draw_counts(len(batch.x), self.spec.num_dims, device=batch.x.device)
        nll = self._drawn_bound(batch.x, counts, self.context(batch.y, len(batch.x))).mean()
        return {"loss": bits_per_dim(-nll, self.spec.num_dims), "nll": nll}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.loss(batch)
        return terms | {"bits_per_dim": terms["loss"]}  # the loss is the bound

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int | None = 1) -> Tensor:
        """(N,) nats: an unbiased estimate of the bound, whose *expectation* is at most log p(x); a single value may be above.

        `num_samples` times are drawn per example, stratified. With None, or at least D, every count of masked dimensions is
        evaluated once, and only their places are random.
        """
        dims, context = self.spec.num_dims, self.context(y, len(x))
        if num_samples is None or num_samples >= dims:
            draws = [torch.full((len(x),), count, device=x.device) for count in range(1, dims + 1)]
        else:
            draws = [draw_counts(len(x), dims, part, num_samples, x.device) for part in range(num_samples)]
        return -sum(self._drawn_bound(x, counts, context) for counts in draws) / len(draws)

    def estimator(self, num_samples: int | None = 1) -> dict[str, Any]:
        dims = self.spec.num_dims
        drawn = dims if num_samples is None else min(num_samples, dims)
        return {"method": "continuous-time bound, unbiased in times and masks", "times_drawn": drawn, "num_dims": dims}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, C, H, W) levels."""
        chunk = max(1, min(SAMPLE_CHUNK, AT_ONCE // (self.spec.num_dims * self.spec.num_levels)))
        drawn = [
            self.sampler.draw(self.guided_logits(given, num), num, self.spec.num_dims, self.device)
            for num, given in in_parts(self.conditioning, num_samples, chunk, y)
        ]
        levels = torch.cat(drawn).view(num_samples, *self.spec.shape)
        return as_levels(levels, self.spec.num_levels)

    def guided_logits(self, y: Tensor | None, num: int) -> Logits:
        """`logits` given y, under the sampler's guidance: u + s (c - u) of logits with and without the condition."""
        s = self.sampler.guidance
        given = partial(self.logits, context=self.context(y if s else None, num))
        if self.sampler.predictions == 1:
            return given
        without = partial(self.logits, context=self.context(None, num))

        def mixed(levels: Tensor, masked: Tensor) -> Tensor:
            unconditional = without(levels, masked)
            return unconditional + s * (given(levels, masked) - unconditional)

        return mixed

    def logits(self, levels: Tensor, masked: Tensor, context: Tensor | None = None) -> Tensor:
        """Of p(x_i | visible), (N, L, D) float32; levels (N, D) int64, of which those where `masked` (N, D) are not seen."""
        spec = self.spec
        seen = levels.masked_fill(masked, spec.num_levels).view(-1, *spec.shape)
        inputs = self.embedding(seen).movedim(-1, 2).flatten(1, 2)  # (N, C E, H, W)
        share = masked.float().mean(1)
        outputs = self.network(inputs, share, context)
        return outputs.float().unflatten(1, (spec.num_levels, spec.shape[0])).flatten(2)

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Layers of the network with the shares `SHARES` of the dimensions masked, maps averaged over positions, vectors over
        `DRAWS` masks, which are the same for every example. A network that names no layers gives its outputs."""
        layers, context, levels, found = layers_of(self.network), self.context(y, len(x)), x.flatten(1).long(), {}
        for share in SHARES:
            draws = []
            for draw in range(DRAWS):
                order = torch.randperm(self.spec.num_dims, generator=seeded_generator("features", draw))
                masked = (order < max(1, round(share * len(order)))).to(x.device).expand(levels.shape)
                run = partial(self.logits, levels, masked, context)
                draws.append(recorded(run, layers or {"outputs": self.network}))
            found |= {f"{name} at {share:g}": sum(each[name] for each in draws) / DRAWS for name in draws[0]}
        return found

    def _drawn_bound(self, x: Tensor, counts: Tensor, context: Tensor | None) -> Tensor:
        """(N,) nats: D/k times the cross-entropy of k masked dimensions, drawn at random; counts k (N,)."""
        dims, levels = self.spec.num_dims, x.flatten(1).long()
        masked = draw_masks(counts, dims)
        nats = F.cross_entropy(self.logits(levels, masked, context), levels, reduction="none")
        return dims / counts * nats.masked_fill(~masked, 0.0).sum(1)

    @property
    def nfe(self) -> int:
        return self.sampler.num_steps(self.spec.num_dims) * self.sampler.predictions
