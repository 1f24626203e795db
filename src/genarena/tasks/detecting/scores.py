"""The scores of a model: all that its capabilities allow, or those that are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.options.hints import nearest
from genarena.options.values import Count, Folder, Several
from genarena.runs import seals
from genarena.runs.folder import RunFolder
from genarena.tasks.base import Algorithm
from genarena.tasks.detecting import denoising, dose, inference, likelihood, regret, surface
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.sets import Examples, drawn

KINDS: tuple[type[Score], ...] = (
    likelihood.NLL,
    likelihood.Typicality,
    likelihood.Complexity,
    likelihood.Ratio,
    likelihood.WAIC,
    likelihood.ClassMax,
    dose.DoSE,
    dose.DoSESVM,
    inference.KL,
    inference.Reconstruction,
    regret.Regret,
    inference.ReconstructionError,
    denoising.DenoisingLoss,
    denoising.DenoisingReconstruction,
    denoising.ScoreNorm,
    surface.Energy,
    surface.Discriminator,
    surface.Projection,
)
NUM_VAL = 1_000  # validation examples for statistics


@dataclass(frozen=True)
class Scores(Algorithm):
    """scores: names; null: all that fit the model. draws: of noise or codes for a likelihood that is a bound or an estimate.
    num_searched: examples of each set for the scores that search, regret and latent_projection.

    background: a run of the same class on mutated data (`data.mutate=0.1`), for the likelihood ratio.
    ensemble: runs of other seeds, for WAIC.
    """

    name = "scores"
    needs = GenerativeModel
    exactness = "heuristic"

    scores: Sequence[str] | None = None
    draws: Count = 4
    num_searched: Several = 50
    background: Folder | None = None
    ensemble: Sequence[Folder] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {kind.name: kind for kind in KINDS}
        for name in self.scores or ():
            if name not in known:
                listed = ", ".join(known)
                raise ValueError(f"scores={name}: there is no such score{nearest(name, known)}; available: {listed}")
            wants = known[name].wants
            if wants and not getattr(self, wants):
                raise ValueError(f"scores={name}: name the runs that it needs, algorithm.{wants}=<run>")
        object.__setattr__(self, "scores", None if self.scores is None else tuple(self.scores))
        object.__setattr__(self, "ensemble", tuple(self.ensemble))

    @property
    def kinds(self) -> list[type[Score]]:
        return [kind for kind in KINDS if self.scores is None or kind.name in self.scores]

    def fits(self, model: type[GenerativeModel]) -> bool:
        """All that are asked for may fit, or one of all."""
        found = [kind.may_fit(model) for kind in self.kinds]
        return all(found) if self.scores else any(found)

    @property
    def wanted(self) -> tuple[str, ...]:
        if self.scores:
            return (" and ".join(dict.fromkeys(kind.wanted() for kind in self.kinds)),)
        return tuple(dict.fromkeys(kind.wanted() for kind in self.kinds if not issubclass(kind, dose.DoSE)))

    def options(self) -> dict[str, Any]:
        """Runs by the last parts of their path and their weights, the same on every machine. Raises UserError for a folder
        without a finished run."""
        runs = [_with_weights(run) for run in self.ensemble]
        return {
            "scores": self.scores,
            "draws": self.draws,
            "num_searched": self.num_searched,
            "background": self.background and _with_weights(self.background),
            "ensemble": runs,
        }

    def found(self, judge: Judge) -> list[Score]:
        """Those that are computed. Raises ValueError if one that was asked for does not fit, or none does."""
        every = [kind() for kind in self.kinds]
        fitting = [each for each in every if each.fits(judge)]
        missing = [each.name for each in every if each not in fitting]
        if missing and (self.scores is not None or not fitting):
            raise ValueError(f"{type(judge.model).__name__} has no score {missing[0]}: {_lacking(judge, missing[0])}")
        return fitting

    def values(self, score: Score, judge: Judge, *sets: Examples) -> tuple[Tensor, ...]:
        """Of the examples of each set, (N,); of the first of them where one costs a search."""
        return tuple(score(judge, each.first(self.num_searched if score.searches else None)) for each in sets)


def _lacking(judge: Judge, score: str) -> str:
    """Why a model has no such score."""
    if judge.model.spec.condition is not None and score != likelihood.ClassMax.name:
        return f"it was trained with data.condition={judge.model.spec.condition.kind}"
    return f"it lacks the capability that {score} needs"


def _short(run: str) -> str:
    return "/".join(Path(run).parts[-3:])


def _with_weights(run: str) -> str:
    folder = RunFolder.open(run)
    if not folder.chosen.is_file():
        raise UserError(f"{_short(run)}: the run is not finished")
    return f"{_short(run)}@{seals.digest(folder.chosen)[:8]}"


@lru_cache(maxsize=1)  # the cases of one task share what was computed
def judge_of(algorithm: Scores, model: GenerativeModel, data: ArenaDataModule) -> Judge:
    """Raises ValueError for a run of another class or other data, UserError for a run that cannot be opened."""
    background = algorithm.background and _opened(algorithm.background, model)
    ensemble = tuple(_opened(run, model) for run in algorithm.ensemble)
    val = drawn(data.val, 0, NUM_VAL, data.spec, "val")
    return Judge(model.eval(), val, background, ensemble, algorithm.draws)


def _opened(run: str, model: GenerativeModel) -> GenerativeModel:
    other = RunFolder.open(run).rebuild(model.device)[1].eval()
    if type(other) is not type(model) or other.spec != model.spec:
        raise ValueError(
            f"{_short(run)}: {type(other).__name__} of {other.spec.shape}; expected another run of the model"
        )
    return other
