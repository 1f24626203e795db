"""How several devices train one network: `Replicas`, where it fits on each of them; `Sharded`, where it does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.strategies import DDPStrategy

from genarena.training import sharding
from genarena.training.callbacks.ema import EMA


class Replicas(DDPStrategy):
    """Every rank holds the network and sees its share of each batch; `GenerativeModel.descend` averages the gradients.

    Torch's DistributedDataParallel is not used: it expects one forward and one backward pass per step of all parameters
    together, and gives every rank the buffers of rank 0. Two players in turn, chains in a replay buffer, moments that
    are accumulated in buffers and gradients inside a loss want neither. What is lost is that gradients travel while the
    rest of the backward pass runs; what is won with accumulation is that they travel once per step.
    """

    def configure_ddp(self) -> None:
        """The model stays as it is."""


class Sharded(Replicas):
    """Weights, gradients, averages and the state of optimisers lie in shards (`genarena.training.sharding`).

    A checkpoint is put together on rank 0, in the memory of its CPU, and is the same sealed file that one process writes.
    """

    def model_to_device(self) -> None:
        """Layer by layer, so that no device ever holds the network."""
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
