"""The capability of mixtures of Gaussians; the others are in `capabilities.py`."""

from abc import ABC, abstractmethod

from torch import Tensor


class Mixes(ABC):
    """The model is a mixture of K Gaussians, which their weights, means and covariances determine."""

    @abstractmethod
    def components(self, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (K,), means (K, D), and covariances (K, D, D) or their diagonals (K, D), float64: of continuous data, or of
        levels in [-1, 1]. y: the condition of one example, (1, ...)."""
