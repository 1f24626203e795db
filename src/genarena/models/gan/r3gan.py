"""R3GAN: a relativistic pairing loss with R1 and R2, and no tricks (Huang et al. 2024, arXiv 2501.05441).

Differs from the paper: the number of stages depends on the image size; sizes change by bilinear interpolation and by means
over 2x2 pixels; the generator ends in tanh and its images are rounded to the levels of the data; penalties are of the
augmented images, where there is augmentation. Vectors have perceptrons with three hidden layers.

With a condition: the projection discriminator of Miyato & Koyama 2018 (arXiv 1802.05637); the generator reads z and c.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import relativistic_discriminator, relativistic_generator
from genarena.nets.conditioning import num_features
from genarena.nets.gan_mlp import MLPCritic, MLPGenerator
from genarena.nets.r3gan import R3GANDiscriminator, R3GANGenerator
from genarena.options.values import Count, NonNegative, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import warmup_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2e-4, betas=(0.0, 0.99)),
    schedule=partial(warmup_cosine, warmup=0.0, final=0.25),
    batch_size=512,
)


class R3GAN(LatentGAN):
    """min_D E[f(D(G(z)) - D(x))] + gamma (R1 + R2),   min_G E[f(D(x) - D(G(z)))],   f(t) = log(1 + exp(t))   (eq. 2 to 4).

    R1 = E[|grad D(x)|^2] / 2, R2 the same at G(z). gamma goes from gamma_start to gamma_end along half a cosine.
    beta2_start: beta2 of both optimisers goes from here to their own along half a cosine; None: it is constant.
    penalty_share: share of each batch whose gradients are penalised, the first examples: the same in the mean, and cheaper.
    growth, num_blocks, group_width, patch: of `R3GANGenerator` and `R3GANDiscriminator`. hidden: width of both networks for
    vectors. The penalties need second derivatives, so the model trains in float32 and its parameters are not sharded.
    """

    paper = "2501.05441"
    conditional = True
    mixed_precision = False
    shardable = False
    takes_vectors = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        generator_channels: Count = 16,
        discriminator_channels: Count = 16,
        growth: Count = 2,
        num_blocks: Count = 1,
        group_width: Count = 16,
        patch: Count | None = None,
        hidden: Count = 128,
        latent_dim: Count = 64,
        n_critic: Count = 1,
        gamma_start: NonNegative = 0.05,
        gamma_end: NonNegative = 0.005,
        beta2_start: Share | None = None,
        penalty_share: Share = 1.0,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        if penalty_share == 0.0:
            raise ValueError("penalty_share=0: must be above 0; without penalties gamma_start and gamma_end are 0")
        if beta2_start == 1.0:
            raise ValueError("beta2_start=1: must be below 1")
        self.beta2_start = beta2_start
        self.gamma_start, self.gamma_end, self.penalty_share = gamma_start, gamma_end, penalty_share
        context = num_features(spec.condition)
        if spec.is_vector:
            self.generator = MLPGenerator(latent_dim, spec.num_dims, hidden, context)
            self.discriminator = MLPCritic(spec.num_dims, hidden, context)
        else:
            sizes = (growth, num_blocks, group_width, patch, context)
            self.generator = R3GANGenerator(latent_dim, spec.shape, generator_channels, *sizes)
            self.discriminator = R3GANDiscriminator(spec.shape, discriminator_channels, *sizes)

    @property
    def gamma(self) -> float:
        """The weight of R1 + R2 at this point of the training."""
        return self.between(self.gamma_start, self.gamma_end)

    def between(self, start: float, end: float) -> float:
        """On half a cosine from start to end, at this point of the training."""
        return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * self.progress))

    def players(self) -> list[Player]:
        """Both, with the schedule of beta2 if there is one."""
        found = super().players()
        if self.beta2_start is None:
            return found
        return [replace(player, beta2=partial(self.between, self.beta2_start)) for player in found]

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`margin`: mean of D(x) - D(G(z)). `r1`, `r2`: before gamma."""
        with torch.no_grad():
            fake = self.view(self.generate(len(batch.x), batch.y))
        real, context = self.view(self.real(batch.x)), self.context(batch.y, len(batch.x))
        (real_score, r1), (fake_score, r2) = self.scored(real, context), self.scored(fake, context)
        loss = relativistic_discriminator(real_score, fake_score) + self.gamma * (r1 + r2)
        return {"loss": loss, "margin": (real_score - fake_score).mean(), "r1": r1, "r2": r2}

    def scored(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores (N,) of x (N, ...), and R1 or R2: one pass for the examples that are penalised, and one for the rest."""
        part = max(1, round(self.penalty_share * len(x)))
        penalised, rest = (
            partial(self.discriminator, context=None if context is None else context[rows])
            for rows in (slice(part), slice(part, None))
        )
        scores, gradients = penalties.scored(penalised, x[:part])
        scores = scores if part == len(x) else torch.cat([scores, rest(x[part:])])
        return scores, penalties.zero_centred(gradients)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        real_score = self.discriminator(self.view(self.real(batch.x)), context)
        return {"loss": relativistic_generator(real_score, self.discriminator(self.view(fake), context))}
