"""The contract of all posterior samplers."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.tasks.base import Algorithm
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem


@dataclass(frozen=True)
class Draws:
    """x: (N, *shape), one draw per lane, not clamped, in the space of the model. nfe: network evaluations per draw; one with
    its gradient counts 2. facts: what is known of each lane (N,), e.g. its acceptance rate."""

    x: Tensor
    nfe: float = 0.0
    facts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PosteriorSampler(Algorithm):
    """Draws x ~ p(x | y). Lanes are independent: a lane's draw is the same alone and in a batch.

    is_point: gives one restoration, such as a mean or a mode, instead of draws.
    lanes: problems that it is given at once.
    strength: the option that has no value of its own, but one of `strengths`, chosen on validation images where it is null.
    """

    is_point: ClassVar[bool] = False
    lanes: ClassVar[int] = 64
    strength: ClassVar[str] = ""
    strengths: ClassVar[tuple[float, ...]] = ()

    @abstractmethod
    def draw(self, model: GenerativeModel, problem: Problem) -> Draws:
        """One draw per lane of the problem, which is in the space of the model. Raises ValueError for what it cannot take."""

    def refusal(self, operator: Operator, sigma: float) -> str:
        """Why the algorithm cannot take such problems, e.g. "needs a mask"; "" if it can."""
        return ""
