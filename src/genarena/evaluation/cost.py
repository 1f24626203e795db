"""The cost of a run: FLOPs of training and of a sample, seconds for a single sample, the device. Takes seconds to measure.

FLOPs are counted as in `genarena.training.flops`.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from genarena.data.base import ArenaDataModule
from genarena.evaluation import honesty, sampling_state
from genarena.models.base import GenerativeModel
from genarena.runs.provenance import processor
from genarena.spec import Batch
from genarena.training import flops

PATIENCE = 2.0  # seconds per sample above which FLOPs are not counted: counting takes up to 15 times as long


def measure(
    model: GenerativeModel,
    data: ArenaDataModule,
    examples_seen: int,
    train_seconds: float,
    counted: float | None = None,
) -> dict[str, Any]:
    """Entries of `cost`, and `odd` (`genarena.evaluation.honesty`). What cannot be measured is None; `unmeasured` says why.

    counted: FLOPs of training per example, if they were counted while it trained.

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
    with torch.random.fork_rng(devices), flops.uncompiled():
        attempt("train_flops", lambda: round(examples_seen * (counted or flops_per_example(model, data))))
        attempt("sample_seconds_batch_1", lambda: seconds_per_single_sample(model, data))
        seconds = cost["sample_seconds_batch_1"]
        state: dict[str, int] = {}
        attempt("sampling_state", lambda: _sampling_state(model, data, state))
        cost["generator_parameters"] = state.get("generator_parameters")
        if seconds is None or seconds > PATIENCE:
            cost["sample_flops"], cost["unmeasured"]["sample_flops"] = None, "one sample takes too long to count"
        else:
            attempt("sample_flops", lambda: flops_per_sample(model, data))
            attempt("odd", lambda: honesty.odd(model, data))
    return cost


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def flops_per_example(model: GenerativeModel, data: ArenaDataModule) -> float:
    """FLOPs of training per example, of the first batch."""
    x, y = data.train[: min(data.batch_size, data.train.size)].batch(data.spec.condition)
    return flops.per_example(model, Batch(x.to(model.device), None if y is None else y.to(model.device)))


def flops_per_sample(model: GenerativeModel, data: ArenaDataModule) -> int:
    with torch.no_grad(), flops.FlopCounter() as counter:
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


def _sampling_state(model: GenerativeModel, data: ArenaDataModule, state: dict[str, int]) -> int:
    state |= sampling_state.sizes(model, lambda: model.sample(1, _labels(model, data)))
    return state["sampling_state"]


def _labels(model: GenerativeModel, data: ArenaDataModule) -> torch.Tensor | None:
    condition = data.spec.condition
    return data.train[:1].given(condition).to(model.device) if condition else None
