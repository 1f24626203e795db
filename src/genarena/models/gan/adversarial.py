"""The base of every GAN: two players, trained in turn."""

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec
from genarena.training.means import minimised
from genarena.training.module import Training


class AdversarialModel(GenerativeModel):
    """Two players. A subclass has the networks `generator` and `discriminator`, and writes the two losses.

    `n_critic` discriminator steps are made per generator step. In each batch the discriminator is updated first, and the
    generator's loss uses the updated one. With gradient accumulation the discriminator is updated in the last batch of a
    group only; in the batches before, the generator's loss uses the discriminator of the previous update.
    """

    family = "gan"
    likelihood = Likelihood.NONE

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        discriminator_optimizer: Callable | None = None,
        n_critic: int = 1,
    ) -> None:
        super().__init__(spec, training)
        if n_critic < 1:
            raise ValueError(f"n_critic={n_critic}: must be at least 1")
        self.discriminator_optimizer = discriminator_optimizer or self.settings.optimizer
        self.n_critic = n_critic

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars; `loss` is minimised by the discriminator. The fake images must be detached."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars; `loss` is minimised by the generator."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses at once, for inspection; training alternates them."""
        discriminator, generator = self.discriminator_loss(batch), self.generator_loss(batch)
        total = {"loss": discriminator["loss"] + generator["loss"]}
        return total | self._named(discriminator, "discriminator") | self._named(generator, "generator")

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Empty: adversarial losses say nothing about held-out data."""
        return {}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        generator_optimizer, discriminator_optimizer = self.optimizers(use_pl_optimizer=True)
        in_a_row, broken = self.nonfinite_in_a_row, self.nonfinite_steps
        generator_turn = (self.batches_seen // self.settings.accumulate + 1) % self.n_critic == 0
        terms = self._named(self.discriminator_loss(batch), "discriminator")
        self.descend(terms["discriminator_loss"], discriminator_optimizer, "discriminator_")
        if generator_turn:
            self.discriminator.requires_grad_(False)
            generator = self._named(self.generator_loss(batch), "generator")
            self.discriminator.requires_grad_(True)
            self.descend(generator["generator_loss"], generator_optimizer, "generator_")
            terms |= generator
        broken = self.nonfinite_steps - broken
        if broken or not generator_turn:  # a finite step of one player does not reset the count of the other
            self.nonfinite_in_a_row = in_a_row + broken
        self.after_batch(terms, len(batch.x))

    def optimizer_groups(self) -> list[tuple[Callable, list[nn.Parameter]]]:
        return [
            (self.settings.optimizer, list(self.generator.parameters())),
            (self.discriminator_optimizer, list(self.discriminator.parameters())),
        ]

    @staticmethod
    def _named(terms: dict[str, Tensor], player: str) -> dict[str, Tensor]:
        minimised(terms, f"{player}_loss")
        return {f"{player}_{name}": value for name, value in terms.items()}
