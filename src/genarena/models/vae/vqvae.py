"""Vector-quantised variational autoencoder (van den Oord, Vinyals & Kavukcuoglu 2017, arXiv 1711.00937).

With averaged codes (appendix A.1), or finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505), which has no codebook
to be learnt.

Differs from the paper: discretised-logistic or Bernoulli pixels, so that the reconstruction is in nats; codes start at centres
found by k-means, and unused ones are put at outputs of the encoder; the prior is uniform over codes, and no second model of
them is trained here (`latent_ar` does that).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution, PixelHead
from genarena.likelihood import Likelihood, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Quantises
from genarena.nets.codebook import Codebook, FiniteScalar, Quantised, perplexity, usage
from genarena.nets.layers import recorded
from genarena.nets.resnet import SpatialDecoder, SpatialEncoder
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

ROWS = 256  # images decoded at once where none is needed for a gradient


class VQVAE(GenerativeModel, Encodes, Decodes, Quantises):
    """min -log p(x | e(x)) + beta |z(x) - sg[e(x)]|^2, with e(x) the codes nearest to z(x), and the gradient of e passed to z,

    log p(x) >= log p(x | e(x)) - M log K, for M codes out of K: q(e|x) has all its mass on e(x), and the prior is uniform.

    codebook: ema or fsq. num_codes, dim, decay: K, D and the decay of `Codebook`. levels: of `FiniteScalar`.
    beta: weight of the commitment. halvings: how often the sides are halved; None: once below 16 pixels, else twice.
    hidden_channels, num_blocks: width and residual blocks of both networks. pixels, num_mixtures: of `PixelHead`.

    Terms: `reconstruction` (nats) and `commitment`; `perplexity` and `usage` (share) of the codes in a batch.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    paper = "1711.00937"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        codebook: Literal["ema", "fsq"] = "ema",
        num_codes: Count = 512,
        dim: Count = 16,
        decay: Share = 0.99,
        levels: Sequence[int] = (8, 5, 5, 5),
        beta: NonNegative = 0.25,
        halvings: Count | None = None,
        hidden_channels: Count = 64,
        num_blocks: Whole = 2,
        pixels: str = "auto",
        num_mixtures: Count = 5,
    ) -> None:
        super().__init__(spec, training)
        spec.require_image("vqvae")
        channels, *size = spec.shape
        halvings = halvings or (1 if min(size) < 16 else 2)
        self.head, self.beta = PixelHead(pixels, spec, num_mixtures), beta
        self.codebook = Codebook(num_codes, dim, decay) if codebook == "ema" else FiniteScalar(levels)
        sizes = (hidden_channels, num_blocks, halvings)
        self.encoder = SpatialEncoder(channels, self.codebook.dim, *sizes)
        self.decoder = SpatialDecoder(self.codebook.dim, self.head.out_channels, *sizes, tuple(size))
        self.code_size = tuple(-(-side // 2**halvings) for side in size)  # (h, w): M = h w codes
        self.num_codes = self.codebook.num_codes
        self._pending: list[Tensor] = []  # outputs of the encoder since the last step, (positions, D)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-log p(x|e) + beta |z - sg[e]|^2, summed over an example and averaged over the batch, nats."""
        z = self.encode(batch.x)
        if self.training:
            self._pending.append(_rows(z.detach()))
        quantised: Quantised = self.codebook(z)
        reconstruction = -self.likelihood_of(quantised.vectors).log_prob(batch.x).flatten(1).sum(1).mean()
        commitment = quantised.gap.flatten(1).sum(1).mean()
        return {
            "loss": reconstruction + (self.beta * commitment if isinstance(self.codebook, Codebook) else 0.0),
            "reconstruction": reconstruction,
            "commitment": commitment.detach(),
            "perplexity": perplexity(quantised.codes, self.codebook.num_codes),
            "usage": usage(quantised.codes, self.codebook.num_codes),
        }

    def observe(self, batch: Batch) -> None:
        """Before the first step the codes are put at centres of the encoder's outputs, of all ranks."""
        if self.batches_seen % self.settings.accumulate == 0:
            self._pending.clear()  # of a step that was skipped
        if isinstance(self.codebook, Codebook) and not self.codebook.updates:
            self.codebook.start(exchange.whole_batch(_rows(self.encode(batch.x))))

    def after_step(self) -> None:
        """The codes follow the encoder's outputs of the step, of all accumulated batches and all ranks."""
        self.codebook.update(exchange.whole_batch(torch.cat(self._pending)))
        self._pending.clear()

    def likelihood_of(self, vectors: Tensor) -> PixelDistribution:
        """p(x|e) of code vectors (N, D, h, w)."""
        return self.head(self.decoder(vectors))

    def likelihood_of_codes(self, codes: Tensor) -> PixelDistribution:
        """p(x|e) of the indices of codes (N, h, w)."""
        return self.likelihood_of(self.codebook.lookup(codes))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x|e(x)) - M log K, (N,) nats; it involves no chance, so `num_samples` changes nothing. `y` is not used."""
        log_prior = -math.prod(self.code_size) * math.log(self.num_codes)
        parts = [self.likelihood_of_codes(self.codes(part)).log_prob(part) for part in x.split(ROWS)]
        return torch.cat(parts).flatten(1).sum(1) + log_prior

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound: one code per place, uniform prior over codes"
        return {"method": method, "num_codes": self.num_codes, "draws_asked": num_samples}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|e) for uniformly drawn codes, the model whose bound is reported; `y` is not used."""
        codes = torch.randint(self.num_codes, (num_samples, *self.code_size), device=self.device)
        return torch.cat([self.likelihood_of_codes(part).sample() for part in codes.split(ROWS)])

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The encoder's output z(x) (N, D, h, w), before it is quantised."""
        return self.encoder(to_unit(x, self.spec.num_levels)).float()

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`encoder`: the last hidden map, averaged over positions. `code`: z(x), flattened."""
        return recorded(lambda: self.encode(x), inputs={"encoder": self.encoder[-1]}) | super().features(x)

    def codes(self, x: Tensor) -> Tensor:
        """The indices of the codes of images, (N, h, w) int64."""
        return self.codebook(self.encode(x)).codes

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (N, D, h, w) is quantised; the mode of p(x|e), uint8 (N, C, H, W)."""
        return self.likelihood_of(self.codebook(z).vectors).mode()


def _rows(z: Tensor) -> Tensor:
    """(N, D, h, w) to vectors (N h w, D)."""
    return z.movedim(1, -1).flatten(0, -2)
