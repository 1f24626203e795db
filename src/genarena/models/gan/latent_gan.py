"""The base of GANs with a Gaussian latent vector: two players, what G draws, and the discriminator's inputs."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, from_space, nearest_level, to_space, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Discriminates, Emits, Represents
from genarena.models.gan.augmentation import DiffAugment
from genarena.nets.conditioning import in_parts
from genarena.nets.layers import recorded
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player, joint


class LatentGAN(GenerativeModel, Emits, Discriminates, Represents):
    """x = G(z), z ~ N(0, I): a subclass sets `generator` and `discriminator` and writes the two losses.

    `n_critic` discriminator steps are made per generator step. In each batch the discriminator is updated first, and the
    generator's loss uses the updated one. With gradient accumulation the discriminator is updated in the last batch of a
    group only; in the batches before, the generator's loss uses the discriminator of the previous update.

    The discriminator trains the encoder of captions: real pairs teach it which words matter. The generator gets what it says,
    detached; its own loss would move the words to where the discriminator is wrong.

    `takes_vectors`: the class also has networks for continuous vectors (D,), which are neither scaled nor rounded.
    """

    family = "gan"
    likelihood = Likelihood.NONE
    mixed_precision = True
    shardable = True
    takes_vectors: ClassVar[bool] = False
    generator_batch: int = 1  # what the generator draws for one of its steps, as a multiple of the batch of data

    def __init__(
        self,
        spec: DataSpec,
        training: Training,
        discriminator_optimizer: Callable | None,
        n_critic: int,
        latent_dim: int,
        augmentation: DiffAugment | None,
    ) -> None:
        super().__init__(spec, training)
        if n_critic < 1:
            raise ValueError(f"n_critic={n_critic}: must be at least 1")
        self.discriminator_optimizer, self.n_critic = discriminator_optimizer, n_critic
        if not (self.takes_vectors and spec.is_vector and not spec.is_discrete):
            spec.require_image(type(self).__name__)
        elif augmentation is not None:
            raise ValueError(f"augmentation: {type(augmentation).__name__} is for images, and this data has vectors")
        self.latent_dim = latent_dim
        self.augmentation = augmentation

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars; `loss` is minimised by the discriminator. The fake images must be detached."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars; `loss` is minimised by the generator."""

    def players(self) -> list[Player]:
        generator, readers = self.generator.parameters(), [self.conditioning] if self.conditioning else []
        discriminator = [p for module in (self.discriminator, *readers) for p in module.parameters()]
        return [
            Player("discriminator", discriminator, self.discriminator_loss, self.discriminator_optimizer),
            Player("generator", generator, self.generator_loss, every=self.n_critic),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses at once, for inspection; training alternates them."""
        return joint(self.players(), batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Empty: adversarial losses say nothing about held-out data."""
        return {}

    def generate(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, C, H, W) in [-1, 1], rounded to the levels of the data with a straight-through gradient.

        Vectors (num_samples, D) are not rounded.
        """
        return self.rounded(self.unrounded(num_samples, y))

    def unrounded(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """What `generate` gives, before rounding."""
        return self.emit(torch.randn(num_samples, self.latent_dim, device=self.device), y)

    def rounded(self, x: Tensor) -> Tensor:
        """x in [-1, 1] at the nearest levels of the data, with the gradient of x; continuous data as it is."""
        if not self.spec.is_discrete:
            return x
        return x + (to_unit(nearest_level(x, self.spec.num_levels), self.spec.num_levels) - x).detach()

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z) (N, C, H, W) in [-1, 1], before rounding; or vectors (N, D)."""
        context = self.context(y, len(z))
        return (self.generator(z) if context is None else self.generator(z, context.detach())).float()

    def discriminate(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """D(x) (N,): the logit, or the critic's value; without augmentation."""
        context = self.context(y, len(x))
        return (self.discriminator(x) if context is None else self.discriminator(x, context)).float().flatten()

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """What the last layer of the discriminator reads."""
        last = {"discriminator": self.discriminator.last}
        return recorded(lambda: self.discriminate(self.real(x), y), inputs=last)

    def judged(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the generator draws for one of its steps, with the conditions of the batch, and their context."""
        y = None if batch.y is None else batch.y.repeat_interleave(self.generator_batch, 0)
        num = self.generator_batch * len(batch.x)
        return self.generate(num, y), self.context(y, num)

    def real(self, x: Tensor) -> Tensor:
        """Levels of the data to [-1, 1]; vectors stay as they are."""
        return to_space(x, self.spec)

    def view(self, x: Tensor) -> Tensor:
        """The discriminator's input for real or fake images (N, C, H, W) in [-1, 1]: augmented, if that is set."""
        return self.augmentation(x) if self.augmentation else x

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, C, H, W) levels, or vectors (num_samples, D). Drawn 250 at a time to bound memory."""
        drawn = (self.unrounded(*part) for part in in_parts(self.conditioning, num_samples, 250, y))
        return torch.cat([from_space(x, self.spec) for x in drawn])
