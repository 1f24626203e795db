"""The structured latent vector of InfoGAN (Chen et al. 2016, arXiv 1606.03657, sec. 4): codes that are found again, and noise.

A sample needs one vector z ~ N(0, I); the codes of the paper are functions of its entries:

    z = [ K_1 entries | K_2 entries | ... | one entry per continuous code | noise ]

A categorical code is the place of the largest of its K entries, hence uniform over K values. A continuous code is
2 Phi(z) - 1 with the distribution function Phi of N(0, 1), hence uniform on (-1, 1).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.models.vae.diagonal_normal import GaussianHead

LIMIT = 1.0 - 1e-3  # largest continuous code that is turned back into an entry: 3.3 standard deviations


class LatentCodes:
    """categories: the number of values of each categorical code. num_continuous, num_noise: numbers of entries.

    Raises ValueError without any code, and for a categorical code with one value.
    """

    def __init__(self, categories: Sequence[int], num_continuous: int, num_noise: int) -> None:
        if min(categories, default=2) < 2:
            raise ValueError(f"categories={list(categories)}: a code has at least 2 values")
        if not categories and not num_continuous:
            raise ValueError("categories=[], num_continuous=0: expected at least one code")
        self.categories, self.num_continuous, self.num_noise = list(categories), num_continuous, num_noise

    @property
    def size(self) -> int:
        """Entries of z that belong to codes."""
        return sum(self.categories) + self.num_continuous

    @property
    def latent_dim(self) -> int:
        return self.size + self.num_noise

    @property
    def num_outputs(self) -> int:
        """Of the network Q: logits, then mean and log-variance of each continuous code."""
        return sum(self.categories) + 2 * self.num_continuous

    @property
    def entropy(self) -> float:
        """H(c) in nats: log K per categorical code, log 2 per continuous one (a differential entropy)."""
        return sum(math.log(values) for values in self.categories) + self.num_continuous * math.log(2.0)

    def inputs(self, z: Tensor) -> Tensor:
        """What the generator reads (N, latent_dim): one-hot codes, continuous codes, noise."""
        *logits, continuous, noise = z.split([*self.categories, self.num_continuous, self.num_noise], 1)
        hot = [F.one_hot(part.argmax(1), part.shape[1]).to(z.dtype) for part in logits]
        return torch.cat([*hot, torch.erf(continuous / math.sqrt(2.0)), noise], 1)

    def log_q(self, z: Tensor, outputs: Tensor) -> Tensor:
        """log Q(c|x) (N,) nats of the codes in z, given the outputs of Q for x = G(z)."""
        *logits, normal = outputs.float().split([*self.categories, 2 * self.num_continuous], 1)
        *codes, continuous, _ = self.inputs(z).split([*self.categories, self.num_continuous, self.num_noise], 1)
        total = GaussianHead()(normal).log_prob(continuous).sum(1)
        for part, code in zip(logits, codes, strict=True):
            total = total + (part.log_softmax(1) * code).sum(1)
        return total

    def entries(self, outputs: Tensor) -> Tensor:
        """The entries (N, size) of z that the outputs of Q tell: probabilities of values, and the quantiles of the means."""
        *logits, normal = outputs.float().split([*self.categories, 2 * self.num_continuous], 1)
        means = normal.chunk(2, 1)[0].clamp(-LIMIT, LIMIT)
        return torch.cat([*(part.softmax(1) for part in logits), math.sqrt(2.0) * torch.erfinv(means)], 1)
