"""Held-out data: its samples are validation examples, from which no model learns. The ceiling without copying.

Paper: none. Two sets of real images have a Frechet distance above zero (3.15 between the training and the test images of
CIFAR-10); the FID of a model (Heusel et al. 2017, arXiv 1706.08500) should be compared with it.

Of sound given its mel it is the recording itself, the only draw from p(x | mel) that there is. It sees x, so it is no model of
p(x | mel): it is what a distance to the recording can be at best.
"""

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.baseline.replacement import positions
from genarena.models.capabilities import Enumerates, Withholds
from genarena.models.recoding import Recodes
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class Heldout(GenerativeModel, Withholds, Enumerates, Recodes):
    """x ~ the empirical distribution of at most `capacity` validation examples. No likelihood: unseen data has mass 0.

    Drawn without replacement: repeated samples are their own nearest neighbours, and would have no k-NN ball (recall 0.16
    where each image of digits comes twice or more, 0.9 where each comes once).
    """

    family = "baseline"
    takes_sound = True
    conditional = True
    condition_kinds = ("mel",)
    likelihood = Likelihood.NONE
    paper = "1706.08500"
    max_epochs = 0

    def __init__(self, spec: DataSpec, training: Training | None = None, capacity: Count = 10_000) -> None:
        super().__init__(spec, training)
        self.register_buffer("examples", torch.zeros(capacity, *spec.shape, dtype=spec.dtype))
        self.register_buffer("count", torch.ones((), dtype=torch.int64))

    def withhold(self, x: Tensor) -> None:
        """Keep the first `capacity` of the validation examples (N, *shape)."""
        kept = x[: len(self.examples)]
        self.examples[: len(kept)] = kept.to(self.device)
        self.count.fill_(len(kept))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """Different examples, as long as there are; before `withhold`, a single example of zeros. They are not
        those of y, which only an evaluation has (`recode`)."""
        return self.recode(self.examples[positions(self.size, num_samples, self.device)])

    def recode(self, x: Tensor) -> Tensor:
        return x

    @property
    def size(self) -> int:
        return int(self.count)
