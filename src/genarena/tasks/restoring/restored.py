"""What a method made of the test images of one degradation."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.statistics import ensembles
from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.degradations import Degradation
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.restoring.images import Images, to_8_bit

NUM_TRIED = 32  # validation images that choose the strength of a sampler


@dataclass(frozen=True)
class Restored:
    """mean: (N, C, H, W), the estimate with the smallest error: the mean of the draws, or what a method gives.
    draws: (N, K, C, H, W), or None. Both float64 in [0, 1], not clamped; what was not finite is the mean validation image.
    failures: images of which a draw was not finite. seconds: per image. facts: JSON-able."""

    mean: Tensor
    draws: Tensor | None
    failures: int
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """x: (N, *shape) float64 in [0, 1], a draw per lane, not clamped; seconds of all; facts: means over lanes."""

    x: Tensor
    seconds: float
    facts: dict[str, Any]


def mended(x: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Images (..., C, H, W) with those that are not finite replaced by `fill` (C, H, W); and which they were (...)."""
    broken = ~x.isfinite().flatten(-3).all(-1)
    return torch.where(broken[..., None, None, None], fill, x), broken


def with_model(
    sampler: PosteriorSampler,
    model: GenerativeModel,
    test: Images,
    fill: Tensor,
    degradation: Degradation,
    seed: int,
    num_draws: int,
) -> Restored:
    """fill: the mean validation image. Raises ValueError if the sampler cannot take the degradation."""
    num_draws = 1 if sampler.is_point else num_draws
    problem = test.observed(degradation, seed, num_draws)
    if reason := sampler.refusal(problem.operator, degradation.sigma):
        raise ValueError(f"algorithm={sampler.name}: {degradation.name}: {reason}")
    made = drawn(sampler, model, problem)
    draws, broken = mended(made.x.unflatten(0, (len(test.x), num_draws)), fill)
    failures, seconds = int(broken.any(1).sum()), made.seconds / len(test.x)
    return Restored(draws.mean(1), None if sampler.is_point else draws, failures, seconds, made.facts)


def drawn(sampler: PosteriorSampler, model: GenerativeModel, problem: Problem) -> Drawn:
    """Of a problem in units of [0, 1], as many lanes at once as the sampler takes."""
    started, parts = time.perf_counter(), []
    for part in problem.in_space().to(model.device, torch.float32).split(sampler.lanes):
        with torch.no_grad():
            parts.append(sampler.draw(model, part))
    x = 0.5 * (torch.cat([part.x.double().cpu() for part in parts]) + 1.0)
    seconds = time.perf_counter() - started
    facts = {"nfe": sum(part.nfe * len(part.x) for part in parts) / len(problem)}
    for name in parts[0].facts:
        facts[name] = torch.cat([part.facts[name].double().cpu() for part in parts]).mean().item()
    return Drawn(x, seconds, facts)


def with_strength(
    sampler: PosteriorSampler, model: GenerativeModel, val: Images, degradation: Degradation, seed: int
) -> tuple[PosteriorSampler, dict[str, float]]:
    """The sampler with its strength, if that is null: the one of the smallest CRPS of two draws for each of at most NUM_TRIED
    validation images; and what was chosen."""
    if not sampler.strength or getattr(sampler, sampler.strength) is not None:
        return sampler, {}
    tried, fill, errors = val.first(NUM_TRIED), val.x.mean(0), {}
    for each in sampler.strengths:
        found = with_model(replace(sampler, **{sampler.strength: each}), model, tried, fill, degradation, seed, 2)
        errors[each] = ensembles.crps(found.draws.transpose(0, 1), tried.x).mean().item()
    best = min(errors, key=errors.__getitem__)
    return replace(sampler, **{sampler.strength: best}), {sampler.strength: best}


def with_floor(
    floor: Floor, test: Images, val: Images, degradation: Degradation, seed: int, num_draws: int
) -> Restored:
    """The strength is the one with the smallest mean squared error on validation images. Neither its choice nor what a floor
    learns of the training images counts as seconds."""
    tried, problem = val.observed(degradation, seed), test.observed(degradation, seed)
    strengths = floor.strengths(degradation.sigma)
    errors = {each: _error(floor.restore(tried, each), val.x) for each in strengths} if len(strengths) > 1 else {}
    strength = min(errors, key=errors.__getitem__) if errors else strengths[0]
    lanes = test.observed(degradation, seed, num_draws)
    started = time.perf_counter()
    mean, draws = floor.restore(problem, strength).double(), floor.draw(lanes)
    seconds = (time.perf_counter() - started) / len(test.x)
    mean, broken = mended(mean, val.x.mean(0))
    if draws is not None:
        draws, lost = mended(draws.double().unflatten(0, (len(test.x), num_draws)), val.x.mean(0))
        broken = broken | lost.any(1)
    facts = {"strength": strength} if errors else {}
    return Restored(mean, draws, int(broken.sum()), seconds, facts)


def _error(restored: Tensor, x: Tensor) -> float:
    return (to_8_bit(restored) - x).square().mean().item()
