"""The constant of an energy, kept with the weights that it was estimated for."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from genarena.models.energy.annealed_importance_sampling import Partition


class KeptPartition(nn.Module):
    """A `Partition` without its weights of chains, in buffers: it is saved with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.zeros(4))  # valid for weights with the checksum below
        self.register_buffer("checksum", torch.zeros((), dtype=torch.int64))

    def of(self, weights: Iterable[Tensor], estimate: Callable[[], Partition]) -> Partition:
        """The constant; estimated anew only if the weights have changed."""
        found = checksum(weights)
        if found != self.checksum:
            self.numbers.copy_(torch.tensor(estimate()[:4]))
            self.checksum.copy_(found)
        return Partition(*self.numbers.tolist())


def checksum(tensors: Iterable[Tensor]) -> Tensor:
    """A whole number that changes with the values of weights."""
    return sum(part.float().contiguous().view(torch.int32).sum(dtype=torch.int64) for part in tensors)
