"""Measures the cost of a run on a few batches of noise, in a separate process: `python -m genarena.jobs.trial`.

Reads a JSON list of configurations from stdin and writes one JSON object per line to stdout, in their order.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import psutil
import torch
from torch import Tensor

import genarena.run  # noqa: F401  for the time that it takes: a run imports it too
from genarena.evaluation import memory
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.ranks.threads import take
from genarena.runs import classes, first_stage
from genarena.runs.folder import build_model
from genarena.spec import TEXTS, Batch, Condition, DataSpec
from genarena.startup import threads
from genarena.training import flops

PATIENCE = 1.0  # seconds for one kind of measurement, after its first call


def measure(cfg: dict[str, Any]) -> dict[str, Any]:
    """Seconds per training example, per sample and per likelihood (0 without one), FLOPs per training example (for a budget
    in FLOPs), peak memory in MB, bytes of a checkpoint and of the weights, number of checkpoints that are kept, and number of
    passes over the data after which training ends.

    Measured in the precision of the weights, on noise instead of the data set.
    """
    device = torch.device("cuda" if cfg["trainer"]["accelerator"] in ("gpu", "cuda") else "cpu")
    torch.manual_seed(0)
    memory.reset_peak()
    model: GenerativeModel = build_model(first_stage.resolved(classes.resolved(cfg))).to(device)
    model.progress = 0.5
    optimizers = model.configure_optimizers()
    x, y = _noise(model.spec, cfg["data"]["batch_size"], device)
    step = _median_seconds(lambda: _descend(model.train(), Batch(x, y), optimizers), device)
    operations = flops.per_example(model, Batch(x, y)) if cfg["budget"]["flops"] else None
    model.eval().requires_grad_(False)
    num = 16 if _median_seconds(lambda: _sample(model, 1), device) < 0.1 else 1
    sampling = _median_seconds(lambda: _sample(model, num), device) / num
    likelihood = 0.0
    if model.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
        likelihood = _median_seconds(lambda: model.log_prob(x[:16], None if y is None else y[:16]), device) / len(
            x[:16]
        )
    chosen = model.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND) or "fd_domain" in cfg["metrics"]
    weights = _bytes(model.state_dict())
    copies = 2 if model.settings.averages else 1
    return {
        "example_seconds": step / len(x),
        "sample_seconds": sampling,
        "likelihood_seconds": likelihood,
        "memory_mb": memory.peak_mb(),
        "weight_bytes": weights,
        "checkpoint_bytes": copies * weights + sum(_bytes(optimizer.state_dict()) for optimizer in optimizers),
        "example_flops": operations,
        "checkpoints": 3 if chosen else 2,
        "passes": model.max_epochs,
    }


def _sample(model: GenerativeModel, num: int) -> Tensor:
    condition = model.spec.condition
    return model.sample(num, some_conditions(condition, num).to(model.device) if condition else None)


def some_conditions(condition: Condition, num: int) -> Tensor:
    """(num, ...) conditions to measure with; captions are of as many words as there may be, mels noise."""
    if condition.kind in TEXTS:
        return torch.randint(condition.size, (num, *condition.shape)).clamp_min(1)
    if condition.kind == "mel":
        return torch.randn(num, *condition.shape)
    return condition.in_turn(num)


def _noise(spec: DataSpec, num: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    shape = (num, *spec.shape)
    x = torch.randint(spec.num_levels, shape, dtype=spec.dtype) if spec.is_discrete else torch.randn(shape)
    y = some_conditions(spec.condition, num) if spec.condition else None
    return x.to(device), None if y is None else y.to(device)


def _descend(model: GenerativeModel, batch: Batch, optimizers: list[torch.optim.Optimizer]) -> None:
    """Train on one batch. Every player moves in every batch here."""
    with torch.no_grad():
        model.observe(batch)
    for player in model.players():
        value = player.loss(batch)["loss"]
        if value.requires_grad:
            value.backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def _median_seconds(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: the median of at most ten calls within PATIENCE after the first; the first, if it is slow."""
    times: list[float] = []
    while len(times) < 11 and sum(times) < PATIENCE:
        began = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return median(times[1:] or times)


def _bytes(content: Any) -> int:
    """Bytes of all tensors in nested dictionaries and lists."""
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return sum(map(_bytes, parts))


def attempt(cfg: dict[str, Any]) -> dict[str, Any]:
    """The result of `measure`, or an `error` in one line, so that one failure does not stop the others."""
    try:
        return measure(cfg)
    except Exception as error:
        return {"error": (str(error).strip().splitlines() or [repr(error)])[0]}


def main() -> None:
    take(threads.choose())
    for cfg in json.load(sys.stdin):
        found = attempt(cfg)
        found["startup_seconds"] = STARTUP
        print(json.dumps(found), flush=True)


STARTUP = time.time() - psutil.Process().create_time()  # a run makes the same imports

if __name__ == "__main__":
    main()
