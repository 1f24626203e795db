"""How several devices train one network: `Replicas`, if it fits on each of them; else `Sharded`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.strategies import DDPStrategy

from genarena.training import sharding
from genarena.training.callbacks.ema import EMA


class Replicas(DDPStrategy):
    """Every rank has the whole network and a share of each batch; `Steps.descend` averages the gradients.

    Torch's DistributedDataParallel is not used. It expects one forward and one backward pass of all parameters per step,
    and gives every rank the buffers of rank 0. Neither fits two players in turn, chains in a replay buffer, moments in
    buffers, or gradients inside a loss. Disadvantage: gradients are not exchanged during the backward pass. Advantage: with
    accumulation they are exchanged once per step only.
    """

    def configure_ddp(self) -> None:
        """Does nothing: the model is not wrapped."""


class Sharded(Replicas):
    """Weights, gradients, averages and the state of optimisers are sharded (`genarena.training.sharding`).

    A checkpoint is gathered on rank 0, in CPU memory, and is the same sealed file that a single process writes.
    """

    def model_to_device(self) -> None:
        """Shard and move layer by layer, so that no device ever holds the whole network."""
        averages = [callback for callback in self.lightning_module.trainer.callbacks if isinstance(callback, EMA)]
        for module in (self.lightning_module, *(callback.model for callback in averages)):
            sharding.shard(module, self.root_device.type)
            module.to(self.root_device)
        self.lightning_module.lockstep = True

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        super().save_checkpoint(sharding.whole(checkpoint), filepath, storage_options)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            sharding.load_optimizer(optimizer, state)
