"""Calls timed in alternation in one process, so that whatever slows the machine slows both sides."""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.spec import Batch

AT_LEAST = 0.02  # seconds: shorter calls, timed one by one, vary by a tenth


class Pair(NamedTuple):
    """What is timed, our call, and that of the reference; both do the same work."""

    what: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def medians(calls: dict[str, Callable[[], object]], num_rounds: int) -> dict[str, float]:
    """Seconds of each call. Two rounds come before, which do not count; the second says how many of the shortest call take
    `AT_LEAST` seconds, and each round then has so many of every call in a row. On one thread the seconds are those of the
    processor: what else it does in the meantime does not count."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def seconds(call: Callable[[], object], repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            call()
        return (clock() - start) / repeats

    shortest = min([seconds(call, 1) for _ in range(2) for call in calls.values()][len(calls) :])
    repeats = math.ceil(AT_LEAST / shortest)
    rounds = [[seconds(call, repeats) for call in calls.values()] for _ in range(num_rounds)]
    return {name: statistics.median(times) for name, times in zip(calls, zip(*rounds, strict=True), strict=True)}


def compared(member: str, reference: str, pairs: list[Pair], num_rounds: int) -> str:
    """A line for each pair: milliseconds of both, and how many times ours is as fast."""
    lines = []
    for pair in pairs:
        times = medians({"ours": pair.ours, "theirs": pair.theirs}, num_rounds)
        shown = f"genarena {1e3 * times['ours']:.1f} ms, {reference} {1e3 * times['theirs']:.1f} ms"
        lines.append(f"{member}, {pair.what}: {shown}, {times['theirs'] / times['ours']:.2f}x")
    return "\n".join(lines)


def step(model: nn.Module, loss: Callable[[], Tensor], fused: bool = True) -> Callable[[], None]:
    """A training step: forward, backward and Adam. fused: as our configurations have it."""
    parameters = [parameter for parameter in model.train().parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, 1e-4, fused=fused)

    def run() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return run


def still(model: nn.Module, call: Callable[[], object]) -> Callable[[], object]:
    """The call in evaluation mode, without gradients. A model that is in this mode is not put in it again: that walks through
    all of its parts."""

    @torch.no_grad()
    def run() -> object:
        if model.training:
            model.eval()
        return call()

    return run


def likelihoods(
    model: GenerativeModel, other: nn.Module, log_prob: Callable[[Tensor], Tensor], x: Tensor
) -> list[Pair]:
    """A training step and log p of x: our model, and another module trained by its `log_prob` (N,)."""
    return [
        Pair(
            f"a training step on {len(x)} images",
            step(model, lambda: model.loss(Batch(x))["loss"]),
            step(other, lambda: -log_prob(x).mean()),
        ),
        Pair(f"log p of {len(x)} images", still(model, lambda: model.log_prob(x)), still(other, lambda: log_prob(x))),
    ]
