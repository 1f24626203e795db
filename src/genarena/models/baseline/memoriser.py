"""A memoriser: its samples are training examples. The ceiling of sample quality; memorisation metrics must detect it.

The examples it keeps are a uniform random subset of the training set (`reservoir.py`).
"""

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.baseline.replacement import positions
from genarena.models.baseline.reservoir import Reservoir
from genarena.models.capabilities import Enumerates
from genarena.options.values import Count
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

    def __init__(self, spec: DataSpec, training: Training | None = None, capacity: Count = 10_000) -> None:
        super().__init__(spec, training)
        self.reservoir = Reservoir(spec, capacity)

    def observe(self, batch: Batch) -> None:
        """Offers the batch to the memory."""
        self.reservoir.offer(exchange.whole_batch(batch.x))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): different examples, as long as there are; zeros before any training."""
        return self.reservoir.memory[positions(self.size, num_samples, self.device)]

    @property
    def size(self) -> int:
        return self.reservoir.size
