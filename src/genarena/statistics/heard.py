"""Pairs of sounds: what was recorded, and what was made for its mel."""

from typing import NamedTuple

from torch import Tensor


class Heard(NamedTuple):
    """real, made: (N, T) float64 in [-1, 1), row by row for the same mel. sample_rate: samples of a second."""

    real: Tensor
    made: Tensor
    sample_rate: int

    @property
    def seconds(self) -> float:
        """The length of a sound."""
        return self.real.shape[1] / self.sample_rate
