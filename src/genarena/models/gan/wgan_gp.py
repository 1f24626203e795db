"""Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028).

Differs from the paper: the number of residual blocks depends on the image size; unless the options say otherwise, the
generator's batch is as large as the critic's, the learning rate is constant and then a cosine, and samples come from an
averaged generator; generated images are rounded to the levels of the data. The critic has no normalisation, as in the authors'
code for CIFAR-10 (for larger images they use layer normalisation). Vectors, as their points in the plane, have perceptrons
with three hidden layers.

With a condition: the projection critic and conditional batch normalisation of Miyato & Koyama 2018 (arXiv 1802.05637)
instead of the paper's auxiliary classifier.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import wasserstein_critic, wasserstein_generator
from genarena.nets.conditioning import num_features
from genarena.nets.gan_mlp import MLPCritic, MLPGenerator
from genarena.nets.gan_resnet import ResNetDiscriminator, ResNetGenerator
from genarena.options.values import Count, NonNegative
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9)), schedule=warmup_constant_cosine, batch_size=64
)


class WGANGP(LatentGAN):
    """min_D E[D(G(z))] - E[D(x)] + lambda E[(|grad D(u)| - 1)^2],   min_G -E[D(G(z))],   u between x and G(z).

    halvings: of `ResNetDiscriminator`. generator_batch: examples in a step of the generator, as a multiple of the batch of
    data. penalty_weight: lambda. hidden: width of both networks for vectors; images use the options of channels. The
    penalty needs second derivatives, so the model trains in float32 and its parameters are not sharded.
    """

    paper = "1704.00028"
    conditional = True
    mixed_precision = False
    shardable = False
    takes_vectors = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        generator_channels: Count = 32,
        discriminator_channels: Count = 32,
        growth: Count = 2,
        halvings: Count | None = None,
        hidden: Count = 128,
        latent_dim: Count = 128,
        n_critic: Count = 5,
        generator_batch: Count = 1,
        penalty_weight: NonNegative = 10.0,
        discriminator_optimizer: Callable | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, None)
        self.penalty_weight, self.generator_batch = penalty_weight, generator_batch
        context = num_features(spec.condition)
        if spec.is_vector:
            self.generator = MLPGenerator(latent_dim, spec.num_dims, hidden, context)
            self.discriminator = MLPCritic(spec.num_dims, hidden, context)
        else:
            self.generator = ResNetGenerator(latent_dim, spec.shape, generator_channels, growth, context)
            self.discriminator = ResNetDiscriminator(
                spec.shape, discriminator_channels, growth, context, spectral=False, halvings=halvings
            )

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`wasserstein`: E[D(x)] - E[D(G(z))], the critic's estimate of the distance; `penalty`: before lambda."""
        with torch.no_grad():
            fake = self.generate(len(batch.x), batch.y)
        real, context = self.real(batch.x), self.context(batch.y, len(batch.x))
        critic = partial(self.discriminator, context=context)
        distance = wasserstein_critic(critic(real), critic(fake))
        penalty = penalties.two_sided(critic, real, fake)
        return {"loss": distance + self.penalty_weight * penalty, "wasserstein": -distance, "penalty": penalty}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        return {"loss": wasserstein_generator(self.discriminator(fake, context))}
