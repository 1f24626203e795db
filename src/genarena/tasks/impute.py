"""Imputation: entries of a row are hidden, and drawn given the others."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from genarena.data import mechanisms
from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, FewDraws, Seed, Share
from genarena.spec import DataSpec
from genarena.tasks.base import Line, Outcome, Shown, Task
from genarena.tasks.imputing import downstream, pictures, scores
from genarena.tasks.imputing.base import Imputer
from genarena.tasks.imputing.completed import SIGMA, Completed, with_imputer, with_model
from genarena.tasks.imputing.em import PRIOR, GaussianEM
from genarena.tasks.imputing.hot_deck import HotDeck
from genarena.tasks.imputing.ice import ICE
from genarena.tasks.imputing.knn import KNN5, KNN10
from genarena.tasks.imputing.mean import Mean
from genarena.tasks.imputing.mice import MICE
from genarena.tasks.imputing.miss_forest import MissForest
from genarena.tasks.imputing.rows import Rows, Standard, check, hidden_of, rows_of
from genarena.tasks.posterior import every
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.importance_resampling import ImportanceResampling

Inputs = tuple[Rows, Rows, Standard]  # training rows, test rows


@dataclass(frozen=True)
class Impute(Task):
    """mechanism, rate: how test entries are hidden (`data/mechanisms.py`). seed: of the holes and the draws.
    column: inductive, the training rows had such holes, for the model and for the classical methods; complete, they had none;
        None: as the run was trained. The two are tables of their own.
    num_draws: completions of each row, as many as MICE has chains at most. num_rows: test rows. num_train: rows that the
        classical methods are fitted to, and that what is predicted from completed rows is learned from.

    Raises ValueError for a rate of 0 or 1.
    """

    title = "Imputation"
    table = "imputation"
    kind = PosteriorSampler
    algorithms: ClassVar = every.OF_VECTORS
    floors: ClassVar[tuple[type[Imputer], ...]] = (Mean, HotDeck, KNN5, KNN10, ICE, MICE, MissForest, GaussianEM)

    mechanism: Literal["mcar", "mar", "mnar_self", "mnar_quantile", "not_miwae"] = "mcar"
    rate: Share = 0.3
    column: Literal["inductive", "complete"] | None = None
    num_draws: FewDraws = 10
    num_rows: Count = 500
    num_train: Count = 5000
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.rate < 1.0:
            raise ValueError(f"rate={self.rate:g}: expected a number between 0 and 1")

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        """One: mechanism, rate, column."""
        rate = [f"{self.rate:g}"] if self.mechanism in mechanisms.WITH_RATE else []
        return ("-".join([self.mechanism, *rate, column_of(spec)]),)

    def training_options(self) -> tuple[str, ...]:
        """Training rows with the holes of the test rows, unless the rows are to be complete."""
        if self.column == "complete":
            return ()
        rate = [f"data.missing_rate={self.rate:g}"] if self.mechanism in mechanisms.WITH_RATE else []
        return (f"data.missing={self.mechanism}", f"data.missing_seed={self.seed}", *rate)

    def settings(self, case: str) -> dict[str, Any]:
        rate = self.rate if self.mechanism in mechanisms.WITH_RATE else None
        found = super().settings(case) | {"rate": rate}
        found.pop("column")
        return found

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {
            "column": column_of(spec),
            "gaussian_em": PRIOR,
            "sigma": SIGMA,
            "standardised": "by observed training entries",
        }

    def check(self, spec: DataSpec) -> None:
        check(spec)
        if self.column == "complete" and spec.missing:
            raise ValueError(
                f"column=complete: the run was trained with data.missing={spec.missing}; use column=inductive"
            )
        if self.column == "inductive" and not spec.missing:
            wanted = f"train with data.missing={self.mechanism}, or use column=complete"
            raise ValueError(f"column=inductive: the run was trained with complete rows; {wanted}")
        if spec.missing and spec.missing != self.mechanism:
            raise ValueError(f"mechanism={self.mechanism}: the run was trained with data.missing={spec.missing}")

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> PosteriorSampler:
        """An encoder that learned from rows with holes says the code of a row with holes: chains from the prior are worse."""
        if self.algorithm is None and model.spec.missing and isinstance(model, ImportanceResampling.needs):
            return ImportanceResampling()
        return super().algorithm_for(model, case)

    def solve(self, model: GenerativeModel, algorithm: PosteriorSampler, data: ArenaDataModule, case: str) -> Outcome:
        inputs = train, test, standard = self.inputs(data)
        own = with_model(algorithm, model, test, standard, self.seed, self.num_draws)
        of_train = (
            own if not train.hidden.any() else with_model(algorithm, model, train, standard, self.seed, self.num_draws)
        )
        lines = {"": Line(self.metrics(own, of_train, inputs))}
        floors, left_out, shown = {}, [], {algorithm.name: own}
        for kind in self.floors:
            if not kind.fits(train.x):
                left_out.append(kind.name)
                continue
            started = time.perf_counter()
            imputer = kind(standard(train.holed), self.seed)
            seconds = time.perf_counter() - started
            made, filled = (with_imputer(imputer, rows, standard, self.num_draws, seconds) for rows in (test, train))
            floors[kind.name] = Line(self.metrics(made, filled, inputs), kind.paper)
            if kind is GaussianEM:
                shown[kind.name] = made
        facts = own.facts | {"left_out": left_out}
        picture = pictures.filled(shown, standard(test.x), test.hidden & standard.varies)
        about = Shown(text="truth across, filled upwards, with the range of the draws", is_plot=True)
        return Outcome(
            lines, floors | references(inputs), len(test), facts, {"filled.png": picture}, {"filled.png": about}
        )

    def inputs(self, data: ArenaDataModule) -> Inputs:
        """Raises ValueError if the run was trained with other holes."""
        chosen = (self.mechanism, self.rate, self.seed)
        inductive = column_of(data.spec) == "inductive"
        if inductive:
            rate = data.missing_rate if self.mechanism in mechanisms.WITH_RATE else self.rate
            if (rate, data.missing_seed) != (self.rate, self.seed):
                had = f"data.missing_rate={data.missing_rate:g} data.missing_seed={data.missing_seed}"
                raise ValueError(f"rate={self.rate:g} seed={self.seed}: the run was trained with {had}")
        hidden = hidden_of(data, "train", *chosen) if inductive else None
        train = rows_of(data, "train", self.num_train, hidden)
        test = rows_of(data, "test", self.num_rows, hidden_of(data, "test", *chosen))
        return train, test, Standard.of(train.holed)

    def metrics(self, made: Completed, of_train: Completed, inputs: Inputs) -> dict[str, Any]:
        train, test, standard = inputs
        found = scores.of(made, standard(test.x), test.hidden & standard.varies)
        if train.targets is None:
            return found
        filled = of_train.fill if train.hidden.any() else standard(train.x)
        return found | downstream.of(filled, made.fill, (train.targets, test.targets))


def column_of(spec: DataSpec) -> str:
    """What the training rows of a run were."""
    return "inductive" if spec.missing else "complete"


def references(inputs: Inputs) -> dict[str, Line]:
    """What completing rows can be worth: nothing is hidden; and boosted trees that take holes as they are."""
    train, test, standard = inputs
    if train.targets is None:
        return {}
    targets = (train.targets, test.targets)
    complete, holed = ([standard(each) for each in pair] for pair in ((train.x, test.x), (train.holed, test.holed)))
    return {
        "complete rows": Line(downstream.of(*complete, targets), is_real=True),
        "rows with holes": Line(downstream.of(*holed, targets, linear=False)),
    }
