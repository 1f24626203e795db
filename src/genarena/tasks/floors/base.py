"""The contract of all floors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem


class Floor(ABC):
    """Restores images in [0, 1]; made once per data set.

    train: training images (N, C, H, W) in [0, 1], float32. A strength is chosen on validation images, for each degradation, by
    the smallest mean squared error.
    settings: what the result depends on beside the data and the strengths, JSON-able.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, train: Tensor) -> None:
        self.train = train

    def fits(self, operator: Operator, sigma: float) -> bool:
        """Whether the method is made for such problems."""
        return True

    def strengths(self, sigma: float) -> Sequence[float]:
        """To choose from."""
        return (0.0,)

    @abstractmethod
    def restore(self, problem: Problem, strength: float) -> Tensor:
        """x (N, C, H, W) float64, not clamped; one lane per image, in units of [0, 1]."""

    def draw(self, problem: Problem) -> Tensor | None:
        """One draw per lane, for a method that has a posterior distribution."""
        return None
