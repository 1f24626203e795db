"""Rows that a method completed."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.spec import DataSpec
from genarena.tasks.imputing.base import Imputer
from genarena.tasks.imputing.rows import Rows, Standard
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.base import PosteriorSampler

LANES, NUMBERS = 1024, 2**25  # lanes at once, at most; and numbers of a table of all levels of their entries
LARGEST = 1e3  # standard deviations of a column: beyond it a draw has diverged
SIGMA = 1e-3  # standard deviations of a column: the noise that is assumed where an algorithm cannot have none


@dataclass(frozen=True)
class Completed:
    """Standardised rows. fill: (N, D), the estimate: the mean of the draws, or what a method gives. draws: (K, N, D), or None.
    Both are the data where it is observed; what was not finite, or beyond `LARGEST`, is the mean of its column.
    failures: rows of which a draw was so. seconds: in all. facts: JSON-able."""

    fill: Tensor
    draws: Tensor | None
    failures: int
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def one(self) -> Tensor:
        """A random completion, where the method has them."""
        return self.fill if self.draws is None else self.draws[0]


def with_model(
    sampler: PosteriorSampler, model: GenerativeModel, rows: Rows, standard: Standard, seed: int, num_draws: int
) -> Completed:
    """Raises ValueError if the sampler takes no masks."""
    num_draws = 1 if sampler.is_point else num_draws
    problem = problem_of(sampler, model, rows, standard, seed, num_draws)
    started, parts = time.perf_counter(), []
    for part in problem.to(model.device, torch.float32).split(lanes_at_once(model.spec)):
        with torch.no_grad():
            parts.append(sampler.draw(model, part))
    drawn = torch.cat([part.x.double().cpu() for part in parts]).flatten(1).unflatten(0, (len(rows), num_draws))
    facts = {"nfe": sum(part.nfe * len(part.x) for part in parts) / len(problem), "sigma": problem.sigma}
    for name in parts[0].facts:
        facts[name] = torch.cat([part.facts[name].double().cpu() for part in parts]).mean().item()
    seconds = time.perf_counter() - started
    return _completed(standard(drawn.transpose(0, 1)), not sampler.is_point, rows, standard, seconds, facts)


def lanes_at_once(spec: DataSpec) -> int:
    """As many as fit in memory where a sampler has all levels of all entries in view."""
    return max(1, min(LANES, NUMBERS // (spec.num_dims * (spec.num_levels or 1))))


def problem_of(
    sampler: PosteriorSampler, model: GenerativeModel, rows: Rows, standard: Standard, seed: int, num_draws: int
) -> Problem:
    """x is observed where it is not hidden, without noise or with `SIGMA`; `num_draws` lanes per row, side by side."""
    lanes, shape = torch.arange(len(rows)).repeat_interleave(num_draws), model.spec.shape
    operator = Mask(~rows.hidden[lanes].unflatten(1, shape))
    small = SIGMA * standard.scale[standard.varies].mean().item()
    reasons = {sigma: sampler.refusal(operator, sigma) for sigma in (0.0, small)}
    sigma = next((each for each, reason in reasons.items() if not reason), None)
    if sigma is None:
        raise ValueError(f"algorithm={sampler.name}: {reasons[0.0]}")
    contents = [row.numpy().tobytes() for row in rows.x]
    keys = [(seed, "draw", contents[lane], k % num_draws) for k, lane in enumerate(lanes.tolist())]
    condition = None if rows.condition is None else rows.condition[lanes]
    return Problem(operator, operator(rows.x[lanes].unflatten(1, shape)), sigma, Noise.of(keys), condition)


def with_imputer(imputer: Imputer, rows: Rows, standard: Standard, num_draws: int, fitting: float) -> Completed:
    """fitting: seconds that it took to fit the method."""
    started, holed = time.perf_counter(), standard(rows.holed)
    drawn = imputer.draws(holed, num_draws)
    has_draws = drawn is not None
    drawn = imputer.fill(holed)[None] if drawn is None else drawn
    seconds = time.perf_counter() - started + fitting
    own = imputer.fill(holed) if has_draws else drawn[0]
    return _completed(drawn, has_draws, rows, standard, seconds, {}, own)


def _completed(
    drawn: Tensor,
    has_draws: bool,
    rows: Rows,
    standard: Standard,
    seconds: float,
    facts: dict[str, Any],
    fill: Tensor | None = None,
) -> Completed:
    """drawn: (K, N, D), standardised."""
    sound = drawn.abs() <= LARGEST  # not of NaN
    broken = (~sound & rows.hidden).any(0).any(1)
    drawn = torch.where(rows.hidden, drawn.where(sound, 0.0), standard(rows.x))
    fill = drawn.mean(0) if fill is None else torch.where(rows.hidden, fill, drawn[0])
    return Completed(fill, drawn if has_draws else None, int(broken.sum()), seconds, facts)
