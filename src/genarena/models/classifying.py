"""The capability of models that are classifiers too; the others are in `capabilities.py`."""

from abc import ABC, abstractmethod

from torch import Tensor


class Classifies(ABC):
    """p(y | x) of labels by the model itself, without p(x | y)."""

    @abstractmethod
    def class_log_prob(self, x: Tensor) -> Tensor:
        """log p(y | x) of every label, (N, labels) nats, of data (N, *shape)."""
