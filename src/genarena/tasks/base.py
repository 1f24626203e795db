"""What a task is: settings, algorithms by capability, and its outcome: metrics beside classical methods, and pictures."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.options import values
from genarena.spec import DataSpec

Exactness = Literal["exact", "asymptotic", "heuristic"]
Record = dict[str, Any]  # of a metric: value, n, title, higher_is_better, and what else stands beside the number


@dataclass(frozen=True)
class Algorithm:
    """How a model with a capability solves the task.

    needs: the class of `models/capabilities.py` that the model extends.
    apply: a function whose first argument is the model; the task says which others follow, and what it returns.
    nfe: network evaluations per example.
    """

    name: str
    needs: type
    exactness: Exactness
    apply: Callable[..., Any]
    nfe: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a task made of a run.

    metrics: of the model, name to record. The first metric orders the table.
    classical: of the methods without training, name to {"paper": str, "metrics": records as above}.
    num_examples: test examples used.
    pictures: file name to uint8 images (rows * COLUMNS, C, H, W). shown: what the rows of a picture are, from above.
    """

    metrics: Mapping[str, Record]
    classical: Mapping[str, Mapping[str, Any]]
    num_examples: int
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    shown: Sequence[str] = ()


COLUMNS = 10  # images in a row of a picture


@dataclass(frozen=True)
class Task(ABC):
    """Base of all tasks. Raises ValueError for an option of the wrong type or out of its range.

    algorithms: in order of preference; the first that fits the model is used, unless the option `algorithm` names one.
    """

    title: ClassVar[str]
    algorithms: ClassVar[tuple[Algorithm, ...]]

    algorithm: str | None = None

    def __post_init__(self) -> None:
        values.check_fields(self, "task")

    @abstractmethod
    def solve(self, model: GenerativeModel, algorithm: Algorithm, data: ArenaDataModule) -> Outcome:
        """Raises ValueError if the algorithm cannot handle a setting."""

    def check(self, spec: DataSpec) -> None:
        """Raise ValueError for data that the task is not made for. Images of integer levels, if it is not overridden."""
        if not (spec.is_image and spec.is_discrete):
            raise ValueError(f"needs images of integer levels, and the data of this run has shape {spec.shape}")

    def constants(self, spec: DataSpec) -> dict[str, Any]:
        """What the numbers depend on beside the settings, JSON-able: rows with other constants share no table."""
        return {}

    def algorithm_for(self, model: GenerativeModel) -> Algorithm:
        """The algorithm for a model. Raises ValueError if none fits, or the named one does not."""
        known = [algorithm.name for algorithm in self.algorithms]
        if self.algorithm not in (None, *known):
            raise ValueError(
                f"task.algorithm={self.algorithm}: there is no such algorithm; available: {', '.join(known)}"
            )
        asked = [algorithm for algorithm in self.algorithms if self.algorithm in (None, algorithm.name)]
        found = next((algorithm for algorithm in asked if isinstance(model, algorithm.needs)), None)
        if found is None:
            needs = " or ".join(algorithm.needs.__name__ for algorithm in asked)
            raise ValueError(f"{type(model).__name__} cannot do this task, which needs a model that {needs}")
        return found
