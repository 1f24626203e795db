"""Vector-quantised variational autoencoder (van den Oord, Vinyals & Kavukcuoglu 2017, arXiv 1711.00937).

With averaged codes (appendix A.1), or finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505), which has no codebook
to be learnt.

Differs from the paper: discretised-logistic or Bernoulli pixels, so that the reconstruction is in nats; codes start at centres
found by k-means, and unused ones are put at outputs of the encoder. Without a condition the prior is uniform over codes
(`latent_ar` trains one of the codes of a finished run). With a condition y it is a model p(e | y) that learns beside the
autoencoder, in the same run, and passes it no gradient; encoder and decoder never see y. The paper trains its prior afterwards.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution, PixelHead
from genarena.likelihood import Likelihood, Parts, to_unit
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Quantises, Represents
from genarena.models.sampler import Temperature
from genarena.models.splitting import Splits
from genarena.models.vae.discrete_codes import (
    codes_as_levels,
    estimator_of_bound,
    information_of_codes,
    parts_of_bound,
    rendered_codes,
    spec_of_codes,
)
from genarena.nets.codebook import Codebook, FiniteScalar, Quantised, perplexity, usage
from genarena.nets.layers import recorded
from genarena.nets.resnet import SpatialDecoder, SpatialEncoder
from genarena.nets.sizes import fitting
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class VQVAE(GenerativeModel, Encodes, Decodes, Quantises, Splits):
    """min -log p(x | e(x)) + beta |z(x) - sg[e(x)]|^2, with e(x) the codes nearest to z(x), and the gradient of e passed to z,

    log p(x) >= log p(x | e(x)) + log p(e(x)), and log p(e) = -M log K for a uniform prior of M codes out of K, or learnt:

    max log p(e(x) | y) over the weights of the prior, e(x) fixed. q(e|x) has all its mass on e(x).

    codebook: ema or fsq. num_codes, dim, decay: K, D and the decay of `Codebook`. levels: of `FiniteScalar`.
    beta: weight of the commitment. halvings: how often the sides are halved; None: once below 16 pixels, else twice.
    hidden_channels, num_blocks: width and residual blocks of both networks. pixels, num_mixtures: of `PixelHead`.
    prior: makes the model of codes for a `spec` and a `condition_dropout`. learn_prior: whether there is one; None: with a
        condition only, else the codes are uniform. sampler: how a learnt prior draws codes.

    Terms: `reconstruction` (nats) and `commitment`; `perplexity` and `usage` (share) of the codes in a batch; `prior`, the
    loss of a learnt prior. Raises ValueError for a condition, or a sampler, without a learnt prior.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    paper = "1711.00937"
    conditional = True
    guides = True
    samplers = Temperature | TopP

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        codebook: Literal["ema", "fsq"] = "ema",
        num_codes: Count = 512,
        dim: Count = 16,
        decay: Share = 0.99,
        levels: Sequence[Count] = (8, 5, 5, 5),
        beta: NonNegative = 0.25,
        halvings: Count | None = None,
        hidden_channels: Count = 64,
        num_blocks: Whole = 2,
        pixels: str = "auto",
        num_mixtures: Count = 5,
        prior: Callable[..., GenerativeModel] | None = None,
        learn_prior: bool | None = None,
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
    ) -> None:
        super().__init__(spec, training)
        spec.require_image("vqvae")
        if spec.condition and learn_prior is False:
            raise ValueError(
                f"model.learn_prior=false: a uniform prior over codes does not depend on data.condition={spec.condition.kind}"
            )
        channels, *size = spec.shape
        most, usual = (max(size) - 1).bit_length(), 1 if min(size) < 16 else 2
        halvings = fitting("halvings", halvings, usual, range(1, most + 1), f"images of {size[0]}x{size[1]}")
        self.chosen = {"halvings": halvings}
        self.head, self.beta = PixelHead(pixels, spec, num_mixtures), beta
        self.codebook = Codebook(num_codes, dim, decay) if codebook == "ema" else FiniteScalar(levels)
        sizes = (hidden_channels, num_blocks, halvings)
        self.encoder = SpatialEncoder(channels, self.codebook.dim, *sizes)
        self.decoder = SpatialDecoder(self.codebook.dim, self.head.out_channels, *sizes, tuple(size))
        self.code_size = tuple(-(-side // 2**halvings) for side in size)  # (h, w): M = h w codes
        self.num_codes = self.codebook.num_codes
        self._pending: list[Tensor] = []  # outputs of the encoder since the last step, (positions, D)
        learnt = bool(spec.condition) if learn_prior is None else learn_prior
        self.prior = self._made(prior, condition_dropout) if learnt else None
        self.conditioning = self.prior.conditioning if learnt else None  # it reads y once
        self.use(sampler)

    def _made(self, prior: Callable[..., GenerativeModel] | None, condition_dropout: float) -> GenerativeModel:
        """The prior. Raises ValueError for none, and for one without a bound."""
        if prior is None:
            raise ValueError("model.prior=null: expected the model of codes that is to be learnt, as in vqvae.yaml")
        made = prior(spec=self.code_spec, condition_dropout=condition_dropout)
        if made.likelihood not in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
            raise ValueError(f"model.prior: {type(made).__name__} has no bound on its likelihood")
        return made

    @property
    def code_spec(self) -> DataSpec:
        """Of codes (1, h, w), as levels."""
        return spec_of_codes(self, self.spec)

    @property
    def sampler(self) -> Temperature | TopP:
        """That of the prior; of uniform codes there is one way to draw."""
        return self.prior.sampler if self.prior else Temperature()

    def use(self, sampler: Temperature | TopP) -> None:
        if self.prior:
            self.prior.use(sampler)
        elif sampler != Temperature():
            raise ValueError(
                f"sampler: {sampler} changes nothing where the codes are uniform; set model.learn_prior=true, or leave it"
            )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-log p(x|e) + beta |z - sg[e]|^2, summed over an example and averaged over the batch, nats."""
        z = self.encode(batch.x)
        if self.training:
            self._pending.append(_rows(z.detach()))
        quantised: Quantised = self.codebook(z)
        reconstruction = -self.likelihood_of(quantised.vectors).log_prob(batch.x).flatten(1).sum(1).mean()
        commitment = quantised.gap.flatten(1).sum(1).mean()
        loss = reconstruction + (self.beta * commitment if isinstance(self.codebook, Codebook) else 0.0)
        prior = self._of_prior(quantised.codes, batch.y)
        return {
            "loss": loss + prior.get("prior", 0.0),
            "reconstruction": reconstruction,
            "commitment": commitment.detach(),
            "perplexity": perplexity(quantised.codes, self.codebook.num_codes),
            "usage": usage(quantised.codes, self.codebook.num_codes),
            **prior,
        }

    def _of_prior(self, codes: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """The loss of a learnt prior on codes (N, h, w)."""
        if self.prior is None:
            return {}
        self.prior.progress = self.progress
        return {"prior": self.prior.loss(Batch(codes[:, None].to(self.code_spec.dtype), y))["loss"]}

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
        """log p(x|e(x)) + log p(e(x) | y), (N,) nats; a uniform prior and one of exact likelihood involve no chance."""
        parts = self.parts(x, y, num_samples)
        return -parts.distortion - parts.rate.sum(1)

    def parts(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Parts:
        codes = codes_as_levels(self, x, self.code_spec)
        uniform = torch.full((len(x),), -math.prod(self.code_size) * math.log(self.num_codes), device=x.device)
        return parts_of_bound(self, x, codes, self.prior.log_prob(codes, y, num_samples) if self.prior else uniform)

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return information_of_codes(codes_as_levels(self, x, self.code_spec))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if self.prior:
            return estimator_of_bound(self.prior, num_samples) | {"num_codes": self.num_codes}
        method = "evidence lower bound: one code per place, uniform prior over codes"
        return {"method": method, "num_codes": self.num_codes, "draws_asked": num_samples}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|e) for e ~ p(e | y), the model whose bound is reported; a uniform prior draws all codes alike."""
        if self.prior:
            return rendered_codes(self, self.prior.sample(num_samples, y))
        size = (num_samples, *self.code_spec.shape)
        return rendered_codes(self, torch.randint(self.num_codes, size, device=self.device))

    @property
    def nfe(self) -> int:
        return self.prior.nfe if self.prior else 1

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The encoder's output z(x) (N, D, h, w), before it is quantised."""
        return self.encoder(to_unit(x, self.spec.num_levels)).float()

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`encoder`: the last hidden map, averaged over positions. `code`: z(x), flattened. Those of a learnt prior begin with
        `prior`."""
        own = recorded(lambda: self.encode(x), inputs={"encoder": self.encoder[-1]}) | super().features(x)
        if not isinstance(self.prior, Represents):
            return own
        levels = codes_as_levels(self, x, self.code_spec)
        return own | {f"prior {name}": vectors for name, vectors in self.prior.features(levels, y).items()}

    def codes(self, x: Tensor) -> Tensor:
        """The indices of the codes of images, (N, h, w) int64."""
        return self.codebook(self.encode(x)).codes

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (N, D, h, w) is quantised; the mode of p(x|e), uint8 (N, C, H, W)."""
        return self.likelihood_of(self.codebook(z).vectors).mode()


def _rows(z: Tensor) -> Tensor:
    """(N, D, h, w) to vectors (N h w, D)."""
    return z.movedim(1, -1).flatten(0, -2)
