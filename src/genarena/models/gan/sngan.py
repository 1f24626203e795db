"""Spectrally normalised GAN with residual networks and the hinge loss (Miyato et al. 2018, arXiv 1802.05957).

Differs from the paper: the number of blocks depends on the image size; by default one discriminator step per generator
step, with a higher learning rate (Heusel et al. 2017, arXiv 1706.08500), instead of five; the learning rate decays to zero
and samples come from an averaged generator; generated images are rounded to the levels of the data.

With a condition: the projection discriminator and conditional batch normalisation of Miyato & Koyama 2018 (arXiv
1802.05637). Generated images have the conditions of the real ones in their batch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import hinge_discriminator, hinge_generator
from genarena.nets.conditioning import num_features
from genarena.nets.gan_resnet import ResNetDiscriminator, ResNetGenerator
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2e-4, betas=(0.0, 0.9)), schedule=warmup_constant_cosine, batch_size=64
)


class SNGAN(LatentGAN):
    """min_D E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))],   min_G -E[D(G(z))],   each layer of D of spectral norm 1.

    growth, halvings: of `ResNetGenerator` and `ResNetDiscriminator`. generator_batch: images in a step of the generator, as
    a multiple of the batch of data.

    With a condition c: D(x, c) = w^T h(x) + (V c)^T h(x) (Miyato & Koyama 2018, eq. 3), and G(z, c).
    """

    paper = "1802.05957"
    conditional = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        generator_channels: Count = 32,
        discriminator_channels: Count = 32,
        growth: Count = 2,
        halvings: Count | None = None,
        latent_dim: Count = 128,
        n_critic: Count = 1,
        generator_batch: Count = 1,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        self.generator_batch = generator_batch
        context = num_features(spec.condition)
        self.generator = ResNetGenerator(latent_dim, spec.shape, generator_channels, growth, context)
        self.discriminator = ResNetDiscriminator(spec.shape, discriminator_channels, growth, context, halvings=halvings)

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generate(len(batch.x), batch.y)
        # One pass: D has no batch statistics, and the power iterations of spectral normalisation advance once per step.
        seen, context = self.view(torch.cat([self.real(batch.x), fake])), self.context(batch.y, len(batch.x))
        context = None if context is None else torch.cat([context, context])
        real_score, fake_score = self.discriminator(seen, context).float().chunk(2)
        return {
            "loss": hinge_discriminator(real_score, fake_score),
            "real": real_score.mean(),
            "fake": fake_score.mean(),
        }

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        return {"loss": hinge_generator(self.discriminator(self.view(fake), context))}
