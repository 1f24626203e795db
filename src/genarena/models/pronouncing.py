"""Mels of texts: what models of speech give, how long each character lasts and the frames for it."""

from abc import ABC, abstractmethod

from torch import Tensor


class Pronounces(ABC):
    """Mels of texts of any length, in two steps: durations of the characters, and frames for them."""

    @abstractmethod
    def durations(self, y: Tensor, temperature: float = 0.0, speed: float = 1.0) -> Tensor:
        """Frames (N, L) int64 of each character of texts y (N, L), 0 for padding, divided by `speed` before they are rounded.
        temperature: 0 the mean of the distribution, 1 a draw."""

    @abstractmethod
    def pronounce(self, y: Tensor, durations: Tensor, temperature: float = 0.0) -> Tensor:
        """Log-mels (N, 80, T) of texts y (N, L) with these durations (N, L), T the largest sum; silence behind the end of those
        that are shorter. temperature: 0 the mean, 1 a draw."""
