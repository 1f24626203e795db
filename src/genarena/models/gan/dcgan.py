"""Deep convolutional GAN (Radford, Metz & Chintala 2016, arXiv 1511.06434).

Differs from the paper: Gaussian instead of uniform latent vector; 4x4 kernels, unless `kernel` is 5; the number of layers
depends on the image size; the learning rate decays to zero and samples come from an averaged generator, both by default;
generated images are rounded to the levels of the data.

With a condition: the projection discriminator and conditional batch normalisation of Miyato & Koyama 2018 (arXiv 1802.05637).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import log_loss_discriminator, non_saturating_generator
from genarena.nets.conditioning import num_features
from genarena.nets.dcgan import DCGANDiscriminator, DCGANGenerator
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)), schedule=warmup_constant_cosine, batch_size=128
)


class DCGAN(LatentGAN):
    """min_D -E[log sigma(D(x))] - E[log(1 - sigma(D(G(z))))],   min_G -E[log sigma(D(G(z)))],   z ~ N(0, I)."""

    paper = "1511.06434"
    conditional = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        channels: Count = 64,
        kernel: Literal[4, 5] = 4,
        latent_dim: Count = 100,
        n_critic: Count = 1,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        context = num_features(spec.condition)
        self.generator = DCGANGenerator(latent_dim, spec.shape, channels, kernel, context)
        self.discriminator = DCGANDiscriminator(spec.shape, channels, kernel, context)

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generate(len(batch.x), batch.y)
        context = self.context(batch.y, len(batch.x))
        # Two passes, so that batch normalisation treats real and fake images as separate batches.
        real_logits = self.discriminator(self.view(self.real(batch.x)), context)
        fake_logits = self.discriminator(self.view(fake), context)
        return {
            "loss": log_loss_discriminator(real_logits, fake_logits),
            "real": torch.sigmoid(real_logits.float()).mean(),
            "fake": torch.sigmoid(fake_logits.float()).mean(),
        }

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        return {"loss": non_saturating_generator(self.discriminator(self.view(fake), context))}
