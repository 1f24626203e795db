"""What linear prediction expects of the next sample, by coefficients that hold everywhere, or by those of a mel."""

from typing import NamedTuple

from torch import Tensor

from genarena.statistics.mel_prediction import Predictors

LOUDNESS = 0.1  # deviation of speech in [-1, 1]


class Expected(NamedTuple):
    """mean: sum_j a_j x_{t-j}, (N, 1, T). deviation: the unit in which what it leaves is measured."""

    mean: Tensor
    deviation: Tensor | float


class Everywhere:
    """coefficients (order,): a_1, a_2, ... for every sample. The unit is `LOUDNESS`."""

    def __init__(self, coefficients: Tensor) -> None:
        self.order, self.backwards = len(coefficients), coefficients.flip(0)

    def __call__(self, past: Tensor, place: int) -> Expected:
        """Of the sample at `place`, (N, 1, 1), from the last `order` samples, past (N, order)."""
        return Expected((past @ self.backwards)[:, None, None], LOUDNESS)


class ByMel:
    """The predictors of a mel; the unit is the deviation that they expect of their errors."""

    def __init__(self, found: Predictors) -> None:
        self.found, self.order = found, found.coefficients.shape[2]

    def __call__(self, past: Tensor, place: int) -> Expected:
        coefficients, variance = self.found.at(place)
        mean = (past.double() * coefficients.flip(1)).sum(1)
        return Expected(mean.to(past.dtype)[:, None, None], variance.sqrt().to(past.dtype)[:, None, None])
