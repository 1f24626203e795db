"""Models so small that their training can be checked by hand, and data for them."""

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec
from genarena.training.callbacks.checkpoints import SealedCheckpointIO
from genarena.training.module import Training
from genarena.training.players import Player, joint
from genarena.training.schedule import constant

SPEC = DataSpec((2,))


class ToyData(ArenaDataModule):
    name = "toy"

    def load(self) -> tuple[Split, Split, Split]:
        x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        return Split(x), Split(x[:8]), Split(x[:8])


class Mean(GenerativeModel):
    """loss = mean of (x - mean)^2. broken: numbers of the batches whose loss is NaN."""

    family, likelihood, paper = "toy", Likelihood.NONE, "-"

    def __init__(self, lr: float = 0.1, broken: range = range(0), ema_decay: float | None = None) -> None:
        settings = Training(lambda p: torch.optim.SGD(p, lr=lr), constant, batch_size=8, ema_decay=ema_decay)
        super().__init__(SPEC, settings)
        self.mean = nn.Parameter(torch.full((2,), 5.0))
        self.broken = broken

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        loss = (batch.x - self.mean).pow(2).mean()
        return {"loss": loss * float("nan") if self.training and self.batches_seen in self.broken else loss}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.mean.detach() + torch.randn(num_samples, 2)


class TwoPlayers(GenerativeModel):
    family, likelihood, paper = "toy", Likelihood.NONE, "-"
    n_critic = 1

    def __init__(self, ema_decay: float | None = None) -> None:
        super().__init__(
            SPEC, Training(lambda p: torch.optim.SGD(p, lr=0.1), constant, batch_size=8, ema_decay=ema_decay)
        )
        self.generator, self.discriminator = nn.Linear(1, 2), nn.Linear(2, 1)

    def players(self) -> list[Player]:
        return [
            Player("discriminator", self.discriminator.parameters(), self.discriminator_loss),
            Player("generator", self.generator.parameters(), self.generator_loss, every=self.n_critic),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return joint(self.players(), batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {}

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake = self.generator(torch.ones(len(batch.x), 1)).detach()
        return {"loss": self.discriminator(fake).mean() - self.discriminator(batch.x).mean()}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": -self.discriminator(self.generator(torch.ones(len(batch.x), 1))).mean()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.generator(torch.ones(num_samples, 1)).detach()


def fit(model: GenerativeModel, callbacks: list, tmp_path, every: int = 4, logger: object = False) -> Trainer:
    trainer = Trainer(
        max_epochs=-1,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=None,
        val_check_interval=every,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=logger,
        accelerator="cpu",
        plugins=[SealedCheckpointIO()],
        callbacks=callbacks,
        default_root_dir=tmp_path,
        inference_mode=False,
    )
    trainer.fit(model, datamodule=ToyData(SPEC, batch_size=8))
    return trainer
