"""The base of image GANs with a Gaussian latent vector: draws images, and prepares the discriminator's inputs."""

from collections.abc import Callable

import torch
from torch import Tensor

from genarena.likelihood import from_unit, nearest_level, to_unit
from genarena.models.capabilities import Emits
from genarena.models.gan.adversarial import AdversarialModel
from genarena.models.gan.augmentation import DiffAugment
from genarena.spec import DataSpec
from genarena.training.module import Training


class LatentGAN(AdversarialModel, Emits):
    """x = G(z), z ~ N(0, I): a subclass sets `generator` and `discriminator` and writes the two losses."""

    mixed_precision = True
    shardable = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training,
        discriminator_optimizer: Callable | None,
        n_critic: int,
        latent_dim: int,
        augmentation: DiffAugment | None,
    ) -> None:
        super().__init__(spec, training, discriminator_optimizer, n_critic)
        spec.require_image(type(self).__name__)
        self.latent_dim = latent_dim
        self.augmentation = augmentation

    def generate(self, num_samples: int) -> Tensor:
        """(num_samples, C, H, W) in [-1, 1], rounded to the levels of the data with a straight-through gradient."""
        x = self.emit(torch.randn(num_samples, self.latent_dim, device=self.device))
        return x + (to_unit(nearest_level(x, self.spec.num_levels), self.spec.num_levels) - x).detach()

    def emit(self, z: Tensor) -> Tensor:
        """G(z) (N, C, H, W) in [-1, 1], before rounding."""
        return self.generator(z).float()

    def real(self, x: Tensor) -> Tensor:
        """Levels of the data to [-1, 1]."""
        return to_unit(x, self.spec.num_levels)

    def view(self, x: Tensor) -> Tensor:
        """The discriminator's input for real or fake images (N, C, H, W) in [-1, 1]: augmented, if that is set."""
        return self.augmentation(x) if self.augmentation else x

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, C, H, W) uint8 levels; unconditional, `y` is not used. Drawn 250 at a time to bound memory."""
        sizes = [min(250, num_samples - first) for first in range(0, num_samples, 250)]
        return torch.cat([from_unit(self.generate(size), self.spec.num_levels) for size in sizes])
