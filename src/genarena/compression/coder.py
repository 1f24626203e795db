"""The interface of the coders, and the step from a distribution over levels to a table of probabilities."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from constriction import stream
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.errors import Untrusted, UserError
from genarena.files.progress import Bars

# 24-bit fixed point; every level has at least probability 2^-24, so that every image can be coded.
TABLES = stream.model.Categorical(perfect=False)
NOT_OURS = (
    "the compressed images do not decode with the model's probabilities of this machine: they were written on "
    "another device or with other library versions"
)


class Coder(ABC):
    """Images to 32-bit words and back, with the probabilities of one model."""

    name: ClassVar[str]
    initial_bits: int = 0  # random bits that the coder puts before the first image

    @abstractmethod
    def encode(self, x: Tensor, bars: Bars) -> np.ndarray:
        """Levels (N, C, H, W), uint8, to words (uint32)."""

    @abstractmethod
    def decode(self, words: np.ndarray, num_images: int, bars: Bars) -> Tensor:
        """The inverse of `encode`, on the CPU. Raises Untrusted if the words cannot come from this model."""


def table(distribution: PixelDistribution) -> np.ndarray:
    """Probabilities (N C H W, L), float64, one row per dimension. Raises UserError if one is not finite."""
    probs = (
        distribution.probs().movedim(1, -1).flatten(0, -2).contiguous().cpu().numpy()
    )  # constriction ignores strides
    if not np.isfinite(probs).all():
        raise UserError("the model's probabilities are not finite, so nothing can be coded with them")
    return probs


def decoded(coder: object, *models: object) -> np.ndarray:
    """`coder.decode(*models)`. Raises Untrusted for words that are not a valid message."""
    try:
        return coder.decode(*models)
    except AssertionError as error:
        raise Untrusted(NOT_OURS) from error
