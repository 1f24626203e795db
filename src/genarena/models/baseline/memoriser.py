"""A memoriser: its samples are training examples. The ceiling of sample quality; memorisation metrics must detect it.

The examples it keeps are a uniform random subset of one pass over the training set: reservoir sampling (Vitter 1985,
algorithm R, doi 10.1145/3147.3165).
"""

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.baseline.replacement import positions
from genarena.models.capabilities import Enumerates
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class Memoriser(GenerativeModel, Enumerates):
    """x ~ the empirical distribution of at most `capacity` training examples. No likelihood: unseen data has mass 0."""

    family = "baseline"
    takes_sound = True
    likelihood = Likelihood.NONE
    paper = "10.1145/3147.3165"
    max_epochs = 1

    def __init__(self, spec: DataSpec, training: Training | None = None, capacity: int = 10_000) -> None:
        super().__init__(spec, training)
        if capacity < 1:
            raise ValueError(f"capacity={capacity}: expected at least 1")
        self.capacity = capacity
        self.register_buffer("memory", torch.zeros(capacity, *spec.shape, dtype=spec.dtype))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def observe(self, batch: Batch) -> None:
        """Offers the batch to the memory."""
        self._offer(exchange.whole_batch(batch.x))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): different examples, as long as there are; zeros before any training."""
        return self.memory[positions(self.size, num_samples, self.device)]

    @property
    def size(self) -> int:
        return int(self.count.clamp(1, self.capacity))

    def _offer(self, x: Tensor) -> None:
        """Example i (from 0) takes slot i while there is room; later, a slot drawn from 0 .. i if it is below `capacity`."""
        number = self.count + torch.arange(len(x), device=self.device)
        drawn = (torch.rand(len(x), device=self.device, dtype=torch.float64) * (number + 1)).long()
        slot = torch.where(number < self.capacity, number, drawn)
        # Within a batch the last example wins a slot, as if the examples came one by one.
        for row in (slot < self.capacity).nonzero().flatten().tolist():
            self.memory[slot[row]] = x[row]
        self.count += len(x)
