"""The contract of every model: a subclass writes mathematics only (`loss`, `sample`, `log_prob`).

How it is optimised is written once, in `genarena.training.module`. Everything here works without a Trainer.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from genarena.likelihood import Likelihood, bits_per_dim
from genarena.spec import Batch, DataSpec
from genarena.training.module import TrainedModule, Training

FACTS = ("family", "likelihood", "paper")


class GenerativeModel(TrainedModule, ABC):
    """A distribution p(x | y) over the data a `DataSpec` describes.

    A subclass names its `family` (the folder), `likelihood` and `paper`, and writes `loss`, `sample` and, unless its
    likelihood is `NONE`, `log_prob`. Where the kind of likelihood depends on the data or an option, `likelihood` is a
    property: a flow has a `LOWER_BOUND` for dequantised levels and is `EXACT` for vectors.
    `selection` names the value of `validate` that chooses the best weights: `val/loss`, `val/<term>`, or, if the likelihood
    is exact or a bound, `val/bits_per_dim`.

    Raises TypeError for a class without `family`, `likelihood` or `paper`.
    """

    family: ClassVar[str]
    likelihood: ClassVar[Likelihood]
    paper: ClassVar[str]  # arXiv id, or a DOI

    def __init__(self, spec: DataSpec, training: Training | None = None) -> None:
        super().__init__(training)
        if missing := [fact for fact in FACTS if not hasattr(type(self), fact)]:
            raise TypeError(f"the class {type(self).__name__} has no {' and no '.join(missing)}: it has to name them")
        self.spec = spec

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss` is minimised, the others are the paper's named terms (nats unless the model says otherwise)."""

    @abstractmethod
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape) in the space of the data: uint8 levels, or floats for continuous data."""

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x | y), (N,) nats, of x (N, *shape) in the space of the data: integer levels, or floats.

        `num_samples` Monte-Carlo draws tighten a bound or an estimate. Raises TypeError if the model has no likelihood.
        """
        raise TypeError(f"{type(self).__name__} has no likelihood")

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        """How `log_prob` computes its value: `method`, and every setting that the value depends on; JSON-able.

        It is part of the record of every metric that uses the value. A model with a bound or an estimate overrides it.
        """
        return {"method": "closed form"}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars averaged over the validation set and logged as `val/<name>`."""
        terms = self.loss(batch)
        if self.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
            terms["bits_per_dim"] = bits_per_dim(self.log_prob(batch.x, batch.y), self.spec.num_dims).mean()
        return terms

    @property
    def nfe(self) -> int:
        """Network evaluations per sample."""
        return 1
