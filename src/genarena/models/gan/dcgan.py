"""Deep convolutional GAN (Radford, Metz & Chintala 2016, arXiv 1511.06434).

Differs from the paper: Gaussian instead of uniform latent vector; 4x4 kernels, unless `kernel` is 5; the number of layers
depends on the image size; the learning rate decays to zero and samples come from an averaged generator, both by default;
generated images are rounded to the levels of the data.

`objective=least_squares` is the least-squares GAN of Mao et al. 2017 (arXiv 1611.04076, eq. 9) on the same networks. Vectors
have perceptrons with three hidden layers.

With a condition: the projection discriminator and conditional batch normalisation of Miyato & Koyama 2018 (arXiv 1802.05637).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import (
    Objective,
    least_squares_discriminator,
    least_squares_generator,
    log_loss_discriminator,
    non_saturating_generator,
)
from genarena.nets.conditioning import num_features
from genarena.nets.dcgan import DCGANDiscriminator, DCGANGenerator
from genarena.nets.gan_mlp import MLPCritic, MLPGenerator
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)), schedule=warmup_constant_cosine, batch_size=128
)
OBJECTIVES = {
    "log": Objective(log_loss_discriminator, non_saturating_generator),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator),
}


class DCGAN(LatentGAN):
    """min_D -E[log sigma(D(x))] - E[log(1 - sigma(D(G(z))))],   min_G -E[log sigma(D(G(z)))],   z ~ N(0, I).

    objective: "log" is this game. "least_squares": min_D E[(D(x) - 1)^2] + E[D(G(z))^2], min_G E[(D(G(z)) - 1)^2], whose best D
    is p_data / (p_data + p_G). channels, kernel: of images. hidden: width of both networks for vectors.
    """

    paper = "1511.06434"
    conditional = True
    takes_vectors = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        channels: Count = 64,
        kernel: Literal[4, 5] = 4,
        hidden: Count = 128,
        latent_dim: Count = 100,
        n_critic: Count = 1,
        objective: Literal["log", "least_squares"] = "log",
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        self.objective = OBJECTIVES[objective]
        context = num_features(spec.condition)
        if spec.is_vector:
            self.generator = MLPGenerator(latent_dim, spec.num_dims, hidden, context)
            self.discriminator = MLPCritic(spec.num_dims, hidden, context, bias=True)
        else:
            self.generator = DCGANGenerator(latent_dim, spec.shape, channels, kernel, context)
            self.discriminator = DCGANDiscriminator(spec.shape, channels, kernel, context)

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`real`, `fake`: mean of sigma(D), the probability of being real, under either objective."""
        with torch.no_grad():
            fake = self.generate(len(batch.x), batch.y)
        context = self.context(batch.y, len(batch.x))
        # Two passes, so that batch normalisation treats real and fake images as separate batches.
        real_logits = self.discriminator(self.view(self.real(batch.x)), context)
        fake_logits = self.discriminator(self.view(fake), context)
        return {
            "loss": self.objective.discriminator(real_logits, fake_logits),
            "real": torch.sigmoid(real_logits.float()).mean(),
            "fake": torch.sigmoid(fake_logits.float()).mean(),
        }

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        return {"loss": self.objective.generator(self.discriminator(self.view(fake), context))}
