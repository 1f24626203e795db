"""What a task is: settings, cases, algorithms by capability; and its outcome: lines of metrics beside floors, and pictures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.errors import counted
from genarena.models.base import GenerativeModel
from genarena.options import values
from genarena.spec import DataSpec

Exactness = Literal["exact", "asymptotic", "heuristic"]
Record = dict[str, Any]  # of a metric: value, n, title, higher_is_better, and what else stands beside the number
Metrics = Mapping[str, Record]


@dataclass(frozen=True)
class Algorithm(ABC):
    """How a model with a capability solves a task; `conf/algorithm/<name>.yaml` has its options, the fields of the class.

    needs: the class of `models/capabilities.py` that the model extends, or a union of classes, one of which it extends.
    exactness: a property where it depends on an option.
    Raises ValueError for an option of the wrong type or out of its range.
    """

    name: ClassVar[str]
    needs: ClassVar[type | UnionType]
    exactness: ClassVar[Exactness]
    paper: ClassVar[str] = ""  # arXiv id, or a DOI

    def __post_init__(self) -> None:
        values.check_fields(self, "algorithm")

    def fits(self, model: type[GenerativeModel]) -> bool:
        """Whether models of a class have what the algorithm needs."""
        return issubclass(model, self.needs)

    @property
    def wanted(self) -> tuple[str, ...]:
        """What a model must have, one of them, as "a model that ...": names of capabilities; () if any model will do."""
        classes = get_args(self.needs) or (self.needs,)
        return () if GenerativeModel in classes else tuple(each.__name__ for each in classes)

    def options(self) -> dict[str, Any]:
        """JSON-able: they tell lines of one algorithm apart."""
        return asdict(self)


@dataclass(frozen=True)
class Line:
    """Metrics of a way to solve the task: of the model (`mean`, `draw`), or of a floor, a method without a trained model.

    The first metric orders the table. remark: what a reader must know of the line, as "in short: and why". is_real: it is
    of real data as they are, what a perfect method would get: it is never the best, and has no rank. roles: what the line
    is in the rows of all seeds, where its name may be another, such as that of a layer which was chosen.
    """

    metrics: Metrics
    paper: str = ""
    remark: str = ""
    is_real: bool = False
    roles: Sequence[str] = ()


@dataclass(frozen=True)
class Shown:
    """What a picture shows.

    rows: of images, from above. text: what else there is to say. is_floor: it is of a method without a trained model, so that
    it is the same for every model. is_plot: it is drawn, not made of images.
    """

    rows: Sequence[str] = ()
    text: str = ""
    is_floor: bool = False
    is_plot: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a task made of a run, in one case.

    lines: of the model, name to line. A task with a single way to use the model names it "".
    floors: of the methods without a trained model.
    num_examples: how many test examples were used, or `counted`.
    facts: what else is known of the algorithm's run, e.g. acceptance rates; JSON-able.
    pictures: file name to uint8 images (rows * COLUMNS, C, H, W); a name that ends in .gif has frames of them, (F, rows *
        COLUMNS, C, H, W). In the order in which they are shown.
    shown: file name to what is seen there.
    data: facts of the data set, where it is another one than that of the run.
    counted: what `num_examples` counts, where it is not examples of the test split.
    """

    lines: Mapping[str, Line]
    floors: Mapping[str, Line]
    num_examples: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    counted: str = ""

    @property
    def used(self) -> str:
        """What the numbers are from, in words."""
        return (
            f"{self.num_examples:,} {self.counted}"
            if self.counted
            else f"test, {counted(self.num_examples, 'example')}"
        )


COLUMNS = 10  # images in a row of a picture


@dataclass(frozen=True)
class Task(ABC):
    """Base of all tasks. Raises ValueError for an option of the wrong type or out of its range.

    algorithms: in order of preference; the first that fits the model is used, unless the option `algorithm` is another.
    kind: the class that an algorithm of this task extends.
    table: rows of tasks with equal `table`, case, settings and constants share a table.
    """

    title: ClassVar[str]
    table: ClassVar[str]
    algorithms: ClassVar[tuple[type[Algorithm], ...]] = ()
    kind: ClassVar[type[Algorithm]] = Algorithm

    algorithm: Algorithm | None = None

    def __post_init__(self) -> None:
        values.check_fields(self, "task")
        if self.algorithm is not None and not isinstance(self.algorithm, self.kind):
            known = ", ".join(each.name for each in self.algorithms)
            raise ValueError(f"algorithm={self.algorithm.name}: does not solve this task; available: {known}")

    def refuse_repeated(self, option: str, fewest: int = 1) -> None:
        """Raise ValueError for an option that is a list with the same value twice, or with too few."""
        values = list(getattr(self, option))
        if len(values) < fewest or len(set(values)) < len(values):
            raise ValueError(f"{option}={values}: expected different values{', at least one' * bool(fewest)}")

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        """What is solved one after the other, each with a row and a table of its own, e.g. degradations."""
        return ("",)

    @abstractmethod
    def solve(self, model: GenerativeModel, algorithm: Algorithm, data: ArenaDataModule, case: str) -> Outcome:
        """Raises ValueError if the algorithm cannot handle a setting."""

    def check(self, spec: DataSpec) -> None:
        """Raise ValueError for data that the task is not made for. Images of integer levels, if it is not overridden."""
        if not (spec.is_image and spec.is_discrete):
            raise ValueError(f"needs images of integer levels, and the data of this run has shape {spec.shape}")

    def examine(self, data: Mapping[str, Any]) -> None:  # noqa: B027 - most tasks fit all data
        """Raise ValueError for an option that does not fit the data set of a run, from its configuration alone: before the
        model is loaded."""

    def settings(self, case: str) -> dict[str, Any]:
        """The options that the numbers of a case depend on, but for the algorithm, JSON-able."""
        return {key: value for key, value in asdict(self).items() if key != "algorithm"}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        """What the numbers depend on beside the settings, JSON-able: rows with other constants share no table."""
        return {}

    def training_options(self) -> tuple[str, ...]:
        """Options of `train.py` for models that are trained for this task, e.g. that their data has holes. Options that are
        given replace them. They decide nothing about models that are there already."""
        return ()

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Algorithm:
        """The algorithm for a model. Raises ValueError if none fits, or the chosen one does not."""
        if said := self.refusal(type(model)):
            raise ValueError(said)
        return next(each for each in self.asked if each.fits(type(model)))

    @property
    def asked(self) -> Sequence[Algorithm]:
        """The algorithm that is named, or all, with their usual options."""
        return [each() for each in self.algorithms] if self.algorithm is None else [self.algorithm]

    def refusal(self, model: type[GenerativeModel]) -> str:
        """Why no model of a class can do the task with the algorithm asked for; "" if there may be one."""
        if any(each.fits(model) for each in self.asked):
            return ""
        return f"{model.__name__} cannot do this task, which needs a model that {needs_of(self.asked)}"


def needs_of(algorithms: Sequence[Algorithm]) -> str:
    """What a model must have, one of them."""
    return " or ".join(dict.fromkeys(part for each in algorithms for part in each.wanted))
