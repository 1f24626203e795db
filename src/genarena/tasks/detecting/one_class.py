"""One class against all others, for every class in turn: the mean of the areas (Ruff et al. 2018, Deep SVDD).

A floor is fitted on the training examples of the class. A model of p(x | label) gives -log p(x | class); other models have no
score of a single class, and are trained on each class alone instead (`data.only=<label>`, `against=others`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.models.base import GenerativeModel
from genarena.spec import DataSpec
from genarena.statistics import detection
from genarena.statistics.intervals import mean, t_half_width
from genarena.tasks.base import Line
from genarena.tasks.detecting import report
from genarena.tasks.detecting.floors import PAPERS, Floors
from genarena.tasks.detecting.likelihood import ClassMax, log_prob
from genarena.tasks.detecting.score import Judge
from genarena.tasks.detecting.sets import Examples, drawn

CASE = "one_class"


@dataclass(frozen=True)
class OfClass:
    """The training and validation examples of a class, for `Floors`."""

    spec: DataSpec
    train: Split
    val: Split

    @classmethod
    def of(cls, data: ArenaDataModule, label: int) -> "OfClass":
        return cls(data.spec, data.train[data.train.y == label], data.val[data.val.y == label])


def check(spec: DataSpec) -> None:
    """Raise ValueError for data without labels."""
    if not spec.num_classes or spec.num_classes < 2:
        raise ValueError("one_class=true: needs data with labels, and that of this run has none")


def knows_labels(model: GenerativeModel) -> bool:
    """Whether the model has log p(x | label)."""
    return ClassMax().fits(Judge(model, Examples(torch.empty(0), model.spec)))


def lines(judge: Judge, data: ArenaDataModule, limit: int) -> tuple[dict[str, Line], dict[str, Line], int]:
    """Of the model, of the floors, and the number of test examples: at most 2 * limit, of all classes."""
    test = drawn(data.test, 0, 2 * limit, data.spec, "test")
    labels = data.test.y[torch.randperm(data.test.size, generator=torch.Generator().manual_seed(0))[: len(test)]]
    classes = [label for label in range(data.spec.num_classes) if 1 < int((labels == label).sum()) < len(labels) - 1]
    of_floors: dict[str, list[float]] = {}
    of_model: dict[str, list[float]] = {}
    for label in classes:
        fitted = Floors(OfClass.of(data, label))
        for name in fitted.scores:
            of_floors.setdefault(name, []).append(_area(fitted.score(name, test), labels == label))
        if knows_labels(judge.model):
            of_model.setdefault("nll of the class", []).append(_area(_nll(judge, test, label), labels == label))
    return (
        {name: _line(areas, len(test)) for name, areas in of_model.items()},
        {name: _line(areas, len(test), PAPERS.get(name, "")) for name, areas in of_floors.items()},
        len(test),
    )


def _nll(judge: Judge, test: Examples, label: int) -> Tensor:
    model = judge.model
    return judge.per_example(
        f"class {label}",
        test,
        lambda x, noise: -log_prob(model, x, noise, judge.draws, torch.full((len(x),), label, device=x.device)),
    )


def _area(score: Tensor, inside: Tensor) -> float:
    return detection.auroc(score[inside].numpy(), score[~inside].numpy()).value


def _line(areas: list[float], num: int, paper: str = "") -> Line:
    """The interval is over classes."""
    record = {
        "title": report.TITLES["auroc"][0],
        "value": mean(areas),
        "ci95_half_width": t_half_width(areas),
        "interval": f"t over {len(areas)} classes",
        "higher_is_better": True,
        "n": num,
        "of_classes": areas,
    }
    return Line({"auroc": record}, paper)
