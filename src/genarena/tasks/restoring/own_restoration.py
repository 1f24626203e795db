"""A user's own picture restored by the model of a finished run."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.captions.vocabulary import Vocabulary
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.restoration import Restoration
from genarena.tasks.restoring.fitting import first_fitting
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.own_picture import Observation
from genarena.tasks.restoring.restored import NUM_TRIED, drawn, with_strength


@dataclass(frozen=True)
class OwnRestoration:
    """draws: (K, C, H, W) in [0, 1], not clamped; one, of an algorithm that gives one restoration."""

    draws: Tensor
    algorithm: PosteriorSampler
    seconds: float


def algorithm_for(
    task: Restoration, model: GenerativeModel, seen: Observation, asked: int | str | None
) -> PosteriorSampler:
    """The algorithm of the task, or the first that fits the model and the observation.

    model: its weights need not be loaded. asked: see `condition`. Raises UserError if the model or the algorithm cannot do it,
    and for a label or a text that the model does not know.
    """
    condition(model, asked, 1)
    try:
        operator = seen.degraded.operator(model.spec.shape, [b""], task.seed)
        return first_fitting(task.fitting(model), seen.degraded.name, operator, seen.degraded.sigma)
    except ValueError as error:
        raise UserError(str(error)) from error


def strong(
    algorithm: PosteriorSampler, model: GenerativeModel, data: ArenaDataModule, seen: Observation, seed: int
) -> PosteriorSampler:
    """The algorithm with its strength, chosen on validation images of the data that are degraded as the picture is."""
    val = Images.of(data.val, NUM_TRIED, data.spec)
    return with_strength(algorithm, model, val, seen.degraded, seed)[0]


def restored(
    model: GenerativeModel,
    algorithm: PosteriorSampler,
    seen: Observation,
    num_draws: int,
    seed: int,
    asked: int | str | None,
    keep: bool,
) -> OwnRestoration:
    """keep: the pixels that the mask leaves stay as they are. Raises UserError if the algorithm fails."""
    lanes = 1 if algorithm.is_point else num_draws
    operator = seen.degraded.operator(model.spec.shape, [b""], seed)
    noise = Noise.of([(seed, "draw", seen.y.numpy().tobytes(), k) for k in range(lanes)])
    y = seen.y.expand(lanes, *seen.y.shape[1:])
    try:
        made = drawn(algorithm, model, Problem(operator, y, seen.degraded.sigma, noise, condition(model, asked, lanes)))
    except ValueError as error:
        raise UserError(str(error)) from error
    broken = int((~made.x.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise UserError(f"algorithm={algorithm.name}: {broken} of {lanes} draws are not finite")
    x = torch.where(seen.kept, seen.y, made.x) if keep and seen.kept is not None else made.x
    return OwnRestoration(x, algorithm, made.seconds)


def condition(model: GenerativeModel, asked: int | str | None, num: int) -> Tensor | None:
    """(num, ...) the condition of a model of labels or captions; None for an unconditional one.

    asked: a label or a text. Raises UserError for one that is missing, or that the model does not know.
    """
    known = model.spec.condition
    kind = known.kind if known else ""
    if known is None and asked is None:
        return None
    if kind == "caption" and isinstance(asked, str):
        return Vocabulary.of_condition(known).encode(asked).expand(num, -1)
    if kind == "label" and isinstance(asked, int) and asked < known.size:
        return torch.full((num,), asked)
    if asked is None:
        wanted = {"label": ": label=<number> is missing", "caption": ": text=<what the picture shows> is missing"}
        raise UserError(f"the model is conditional on {kind}{wanted.get(kind, ', which it cannot be given here')}")
    option, lacking = ("text", "captions") if isinstance(asked, str) else ("label", "labels")
    has = f"labels 0 to {known.size - 1}" if kind == "label" else f"no {lacking}"
    raise UserError(f"{option}={asked}: the model has {has}")
