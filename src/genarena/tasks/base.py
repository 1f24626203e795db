"""What a task is: settings, algorithms by capability, and classical methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.options import values

Exactness = Literal["exact", "asymptotic", "heuristic"]


@dataclass(frozen=True)
class Algorithm:
    """How a model with a capability solves the task.

    needs: the class of `models/capabilities.py` that the model extends.
    restore: (model, y (N, C, H, W), sigma, condition of each image or None) to x (N, C, H, W), not clamped; in [0, 1].
    nfe: network evaluations per image.
    """

    name: str
    needs: type
    exactness: Exactness
    restore: Callable[[Any, Tensor, float, Tensor | None], Tensor]
    nfe: int = 0


@dataclass(frozen=True)
class Classical:
    """A method without training. restore: (y, sigma, strength) to x; strengths: to choose from, for this sigma."""

    name: str
    restore: Callable[[Tensor, float, float], Tensor]
    strengths: Callable[[float], Sequence[float]] = lambda sigma: (0.0,)
    paper: str = ""


@dataclass(frozen=True)
class Task:
    """Base of all tasks. Raises ValueError for an option of the wrong type or out of its range.

    algorithms: in order of preference; the first that fits the model is used, if the options do not name one.
    """

    title: ClassVar[str]
    algorithms: ClassVar[tuple[Algorithm, ...]]
    classical: ClassVar[tuple[Classical, ...]]

    def __post_init__(self) -> None:
        values.check_fields(self, "task")

    def algorithm_for(self, model: GenerativeModel, name: str | None = None) -> Algorithm:
        """The algorithm for a model. Raises ValueError if none fits, or the named one does not."""
        known = [algorithm.name for algorithm in self.algorithms]
        if name is not None and name not in known:
            raise ValueError(f"task.algorithm={name}: there is no such algorithm; available: {', '.join(known)}")
        asked = [algorithm for algorithm in self.algorithms if name in (None, algorithm.name)]
        found = next((algorithm for algorithm in asked if isinstance(model, algorithm.needs)), None)
        if found is None:
            needs = " or ".join(algorithm.needs.__name__ for algorithm in asked)
            raise ValueError(f"{type(model).__name__} cannot do this task, which needs a model that {needs}")
        return found
