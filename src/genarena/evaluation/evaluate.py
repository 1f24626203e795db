"""One protocol for every model: `evaluate(model, data, metrics, settings)`, and its description, `protocol`.

A metric's `update` names what it needs, and `genarena.evaluation.evidence` produces each piece on first use and shares
it: a model is sampled once however many metrics look at the samples, and not at all when none does.
"""

import hashlib
import importlib
import inspect
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation import features
from genarena.evaluation.evidence import ODE_BATCH, Evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.metrics import check
from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.models.base import GenerativeModel
from genarena.ranks import exchange, world

PROTOCOL_VERSION = 3
LIBRARIES = ("torch-fidelity", "torchmetrics")  # whose version may change a number
LIBRARIES_OF_VISION = ("timm", "pillow")  # these make the features of DINOv2 and CLIP
QUANTISER = "integer levels in memory, as the model returns them (genarena.likelihood)"


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    metrics: name -> {"value": float, "n": int, ...} or {"value": None, "reason": str}.
    fake: the samples as they came; None where no metric asked for any.
    """

    metrics: dict[str, dict[str, Any]]
    protocol: dict[str, Any]
    fake: Tensor | None
    seconds_per_image: float | None
    nonfinite_samples: int


def evaluate(
    model: GenerativeModel,
    data: ArenaDataModule,
    metrics: Sequence[str],
    settings: EvaluationSettings,
    progress: bool = True,
) -> Evaluation:
    """Score a model in eval mode on the test (or validation) split of a data set that is set up.

    In a job of several ranks all of them call it, with the same weights, and share the work; each gets the whole result,
    which is that of one process: seeds belong to blocks of samples, and every test example is in one block.
    The caller's random state is left as it was. Raises ValueError when a metric does not exist or the model breaks its
    contract, ArenaError when features are not finite.
    """
    if model.training:
        raise ValueError("evaluate takes a model in eval mode: call model.eval()")
    classes = {name: load_metric(name) for name in check(metrics)}
    results = {}
    devices = [model.device] if model.device.type == "cuda" else []
    with Bars(progress and world.rank() == 0) as bars, torch.random.fork_rng(devices), torch.no_grad():
        evidence = Evidence(model, data, settings, bars)
        for name in bars.track(classes, "metrics"):
            results[name] = _measure(classes[name], evidence)
    drawn = vars(evidence).get("_samples")
    return Evaluation(
        metrics=results,
        protocol=protocol(metrics, settings),
        fake=drawn and drawn[0],
        seconds_per_image=drawn and drawn[1],
        nonfinite_samples=evidence.nonfinite_samples,
    )


def protocol(metrics: Sequence[str], settings: EvaluationSettings) -> dict[str, Any]:
    """Everything that defines the numbers but the data set, which has its own id; `id` is the hash of all the rest.

    Loads the metrics, so a metric that does not exist raises ValueError here; a file of weights that is named and is not
    there raises UserError.
    """
    needs = {name: needed(load_metric(name)) for name in sorted(check(metrics))}
    wanted = {name for names in needs.values() for name in names}
    space = settings.features.space
    networks = {
        name: features.recipe_hash() if name == "domain" else settings.features.sha256(name)
        for name in Evidence.networks(wanted, space)
    }
    libraries = [*LIBRARIES, *(LIBRARIES_OF_VISION if {"dinov2", "clip"} & set(networks) else ())]
    unused = {name for piece, own in Evidence.OWN_SETTINGS.items() if piece not in wanted for name in own}
    used = {name: value for name, value in settings.numbers().items() if name not in unused}
    used |= {"ode_batch": ODE_BATCH} if "ode_log_prob" in wanted else {}
    rules = {
        "version": PROTOCOL_VERSION,
        "metrics": list(needs),
        "settings": used,
        "split": settings.split,
        "quantiser": QUANTISER,
        "space": space if wanted & Evidence.SPACE else None,
        "networks": networks,
        "k": {name: load_metric(name).k for name in needs if hasattr(load_metric(name), "k")},
        "libraries": {library: _version(library) for library in libraries},
    }
    return {"id": hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:8], **rules}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def load_metric(name: str) -> type[ArenaMetric]:
    """The one metric class of `genarena/metrics/<name>.py`. Raises ValueError when there is no such file."""
    check([name])
    module = importlib.import_module(f"genarena.metrics.{name}")
    members = [
        member for member in vars(module).values() if inspect.isclass(member) and member.__module__ == module.__name__
    ]
    found = [member for member in members if issubclass(member, ArenaMetric)]
    if len(found) != 1:
        raise TypeError(f"genarena/metrics/{name}.py has {len(found)} metric classes, expected one")
    unknown = set(needed(found[0])) - set(Evidence.names())
    if unknown:
        raise TypeError(f"{name}.update asks for {', '.join(sorted(unknown))}; there are {', '.join(Evidence.names())}")
    return found[0]


def needed(metric: type[ArenaMetric]) -> list[str]:
    """Names of the evidence that the metric's `update` takes."""
    return list(inspect.signature(metric.update).parameters)[1:]


def _measure(metric_class: type[ArenaMetric], evidence: Evidence) -> dict[str, Any]:
    """The record of one metric. `seconds` is what it added: evidence counts for the first metric that asks for it."""
    names, began = needed(metric_class), time.perf_counter()
    try:
        evidence.require(metric_class.min_examples, metric_class.too_few)
        pieces = {name: getattr(evidence, name) for name in names}
        record = exchange.from_zero(lambda: _computed(metric_class, pieces))
    except Unavailable as error:
        return {"value": None, "reason": str(error), "seconds": round(time.perf_counter() - began, 3)}
    seconds = round(time.perf_counter() - began, 3)
    return record | evidence.provenance(names) | {"seconds": seconds}


def _computed(metric_class: type[ArenaMetric], pieces: dict[str, Any]) -> dict[str, Any]:
    metric = metric_class()
    metric.update(**pieces)
    value = float(metric.compute())
    if not math.isfinite(value):
        raise Unavailable(f"the value is {value}")
    meaning = {name: getattr(metric, name) for name in ("title", "unit", "higher_is_better")}
    return {"value": value, **metric.record(), **meaning}
