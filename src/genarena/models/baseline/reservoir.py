"""A uniform random subset of one pass over the training set: reservoir sampling (Vitter 1985, algorithm R, doi
10.1145/3147.3165)."""

import torch
from torch import Tensor, nn

from genarena.spec import DataSpec


class Reservoir(nn.Module):
    """At most `capacity` examples, all equally likely to be kept. memory (capacity, *shape); the first `size` rows count."""

    def __init__(self, spec: DataSpec, capacity: int) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity={capacity}: expected at least 1")
        self.capacity = capacity
        self.register_buffer("memory", torch.zeros(capacity, *spec.shape, dtype=spec.dtype))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    def size(self) -> int:
        return int(self.count.clamp(1, self.capacity))

    def offer(self, x: Tensor) -> None:
        """Example i (from 0) takes slot i while there is room; later, a slot drawn from 0 .. i if it is below `capacity`."""
        number = self.count + torch.arange(len(x), device=self.count.device)
        drawn = (torch.rand(len(x), device=self.count.device, dtype=torch.float64) * (number + 1)).long()
        slot = torch.where(number < self.capacity, number, drawn)
        # Within a batch the last example wins a slot, as if the examples came one by one.
        for row in (slot < self.capacity).nonzero().flatten().tolist():
            self.memory[slot[row]] = x[row]
        self.count += len(x)
