"""The cost of a run: FLOPs of training and of a sample, seconds for a single sample, the device. Takes seconds to measure.

FLOPs are those of `torch.utils.flop_counter`: matrix products, convolutions and attention; a multiply-add counts as two, and
element-wise operations are not counted.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.runs.provenance import processor
from genarena.spec import Batch
from genarena.training.players import constant, outside

NUM_EXAMPLES = 16  # size of the training batch whose FLOPs are counted; FLOPs are proportional to it
PATIENCE = 2.0  # seconds per sample above which FLOPs are not counted: counting takes up to 15 times as long


class _Whole(nullcontext):
    """Replaces the tracker that attributes FLOPs to modules, whose hooks fail in a loss that calls `autograd.grad`."""

    parents = frozenset({"Global"})


class FlopCounter(FlopCounterMode):
    """Counts the total FLOPs of all operations inside this context."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self.mod_tracker = _Whole()


def measure(model: GenerativeModel, data: ArenaDataModule, examples_seen: int, train_seconds: float) -> dict[str, Any]:
    """Entries of `cost`. One that cannot be measured is None, and its reason is in `unmeasured`.

    Afterwards the model is in eval mode, without gradients. Weights, buffers and the random state have not changed.
    """
    cost: dict[str, Any] = {
        "examples_per_second": examples_seen / train_seconds if train_seconds else None,
        "device": device_name(model.device),
        "device_type": model.device.type,
        "unmeasured": {},
    }

    def attempt(key: str, measurement: Callable[[], float]) -> None:
        try:
            cost[key] = measurement()
        except Exception as error:  # one measurement that fails must not lose a finished run
            cost[key], cost["unmeasured"][key] = None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"

    devices = [model.device] if model.device.type == "cuda" else []
    compiles = (
        "torch._dynamo" in sys.modules
    )  # if it was not imported, nothing is compiled, and importing it takes a second
    uncompiled = torch.compiler.set_stance("force_eager") if compiles else nullcontext()
    with torch.random.fork_rng(devices), uncompiled:
        attempt("train_flops", lambda: round(train_flops_per_example(model, _examples(model, data)) * examples_seen))
        attempt("sample_seconds_batch_1", lambda: seconds_per_single_sample(model, data))
        seconds = cost["sample_seconds_batch_1"]
        if seconds is None or seconds > PATIENCE:
            cost["sample_flops"], cost["unmeasured"]["sample_flops"] = None, "one sample takes too long to count"
        else:
            attempt("sample_flops", lambda: flops_per_sample(model, data))
    return cost


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def train_flops_per_example(model: GenerativeModel, batch: Batch) -> float:
    """FLOPs of what the model observes and of the forward and backward passes of one training batch, per example.

    A player that moves in every k-th step counts once per k batches.
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]  # statistics, chains, ...
    model.train()
    try:
        with torch.no_grad(), FlopCounter() as observed:
            model.observe(batch)
        total = float(observed.get_total_flops())
        for player in model.players():
            with constant(outside(model, player)):
                total += _descent(lambda player=player: player.loss(batch)["loss"]) / player.every
        return total / len(batch.x)
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        model.zero_grad(set_to_none=True)
        model.eval()


def flops_per_sample(model: GenerativeModel, data: ArenaDataModule) -> int:
    with torch.no_grad(), FlopCounter() as counter:
        model.sample(1, _labels(model, data))
    return counter.get_total_flops()


def seconds_per_single_sample(model: GenerativeModel, data: ArenaDataModule) -> float:
    """Wall seconds of a call that draws one sample: the median of at most 10 calls or one second; the first warms up."""
    times: list[float] = []
    while len(times) < 11 and sum(times) < 1.0:
        began = time.perf_counter()
        with torch.no_grad():
            model.sample(1, _labels(model, data)).cpu()
        times.append(time.perf_counter() - began)
    return median(times[1:] or times)


def _descent(loss: Callable[[], torch.Tensor]) -> int:
    with torch.enable_grad(), FlopCounter() as counter:
        value = loss()
        if value.requires_grad:
            value.backward()
    return counter.get_total_flops()


def _examples(model: GenerativeModel, data: ArenaDataModule) -> Batch:
    x, y = data.train[:NUM_EXAMPLES]
    return Batch(x.to(model.device), None if y is None else y.to(model.device))


def _labels(model: GenerativeModel, data: ArenaDataModule) -> torch.Tensor | None:
    return data.train.y[:1].to(model.device) if data.spec.condition else None
